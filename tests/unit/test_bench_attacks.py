"""What liars send, of teachers that are made up: only what no trace shows is ever changed."""

from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from m2kt.bench import attacks
from m2kt.bench.attacks import ATTACKS, JITTER, LONGEST, OPPOSED, Scene
from m2kt.packet import ScreenedPacket
from m2kt.reading import read
from m2kt.screen import ScreenRules, screen
from m2kt.spaces import SPACES
from tests.assembly import FACTS, HIDDEN, TOLD, VIEW, WIDTH, packet_by, truth
from tests.lessons import multiplication
from tests.screening import DOMAIN, authentic

OWN = packet_by("liar")
HONEST = [packet_by(f"honest-{number}", noise=0.2) for number in range(5)]
SCENE = Scene(multiplication(), VIEW, {fact: truth(fact) for fact in TOLD}, HONEST, 2, 0)
IDS = [spec.id for spec in OWN.concepts]
SHOWN, UNSHOWN = ([IDS.index(fact) for fact in facts] for facts in (TOLD, HIDDEN))
IN_PLACE = ("sign_flip", "label_flip", "gaussian", "scaling", "subtle")
MADE_UP = ("alie", "ipm")


def sent(attack: str, number: int = 0, scene: Scene = SCENE):
    return ATTACKS[attack](OWN, scene, number)


def passes(packet) -> bool:
    """Whether a student may learn from it."""
    its = authentic(packet, teacher=packet.provenance.teacher)
    return isinstance(screen(its, DOMAIN, ScreenRules()), ScreenedPacket)


def points(packet) -> dict[str, torch.Tensor]:
    """Where each concept is in the student's space."""
    reading = read(packet, SCENE.told, VIEW, SPACES["anchor_ridge"])
    return dict(zip(IDS, reading.points(torch.arange(len(IDS))), strict=True))


@pytest.mark.parametrize("attack", IN_PLACE)
def test_what_traces_show_stays_as_it_was(attack):
    found = sent(attack)
    assert torch.equal(found.exemplars[SHOWN], OWN.exemplars[SHOWN])
    assert not torch.equal(found.exemplars[UNSHOWN], OWN.exemplars[UNSHOWN])
    assert found.concepts == OWN.concepts


@pytest.mark.parametrize("attack", ATTACKS)
def test_traces_stay_right_and_the_packet_passes_screening(attack):
    found = sent(attack)
    assert found.traces == (HONEST[0] if attack == "mimic" else OWN).traces
    assert found.provenance == OWN.provenance
    assert torch.allclose(found.means, found.exemplars.mean(dim=1))
    assert passes(found)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_seed_decides_what_a_liar_sends(attack):
    assert torch.equal(sent(attack, 1).exemplars, sent(attack, 1).exemplars)
    drawn = torch.equal(
        sent(attack, 1).exemplars, sent(attack, 1, replace(SCENE, seed=1)).exemplars
    )
    assert drawn == (attack in {"sign_flip", "label_flip", "scaling"})


def test_a_flipped_sign_points_the_other_way():
    assert torch.equal(sent("sign_flip").means[UNSHOWN], -OWN.means[UNSHOWN])


def donors(found, rows) -> dict[str, str]:
    """For each concept among `rows` the one whose exemplars it has."""
    return {
        IDS[row]: next(IDS[n] for n, its in enumerate(OWN.exemplars) if its.equal(found[row]))
        for row in rows
    }


def test_a_flipped_label_is_the_next_symbol():
    for fact, donor in donors(sent("label_flip").exemplars, UNSHOWN).items():
        assert int(truth(donor)) == (int(truth(fact)) + 1) % 7


def test_where_no_concept_has_the_next_symbol_the_one_after_it_is_taken():
    kept = [row for row, fact in enumerate(IDS) if truth(fact) != "3"]
    few = replace(
        packet_by("liar", facts=[IDS[row] for row in kept], told=[]),
        exemplars=OWN.exemplars[kept],
        means=OWN.means[kept],
    )
    found = ATTACKS["label_flip"](few, SCENE, 0)
    twos = [n for n, row in enumerate(kept) if truth(IDS[row]) == "2" and IDS[row] in HIDDEN]
    lied = donors({kept[n]: found.exemplars[n] for n in twos}, [kept[n] for n in twos])
    assert lied
    assert {truth(donor) for donor in lied.values()} == {"4"}


def test_noise_is_as_long_as_what_it_replaces_and_every_liar_has_its_own():
    one, two = sent("gaussian", 0), sent("gaussian", 1)
    lengths = OWN.means[UNSHOWN].norm(dim=1)
    assert torch.allclose(one.means[UNSHOWN].norm(dim=1), lengths, rtol=1e-4)
    spread = one.exemplars - one.means[:, None]
    assert torch.allclose(spread, OWN.exemplars - OWN.means[:, None], atol=1e-5)
    cosines = F.cosine_similarity(one.means[UNSHOWN], two.means[UNSHOWN])
    assert float(cosines.abs().mean()) < 0.5


def test_the_longest_lie_is_not_far_below_what_screening_refuses(monkeypatch):
    flipped = sent("label_flip").exemplars[UNSHOWN]
    assert passes(sent("scaling"))
    assert torch.equal(sent("scaling").exemplars[UNSHOWN], LONGEST * flipped)
    monkeypatch.setattr(attacks, "LONGEST", 2 * LONGEST)
    assert not passes(sent("scaling"))


@pytest.mark.parametrize("attack", ["sybil", "mimic"])
def test_copies_are_near_and_no_two_are_equal(attack):
    copied = sent("label_flip") if attack == "sybil" else HONEST[0]
    one, two = sent(attack, 0), sent(attack, 1)
    for found in (one, two):
        moved = (found.exemplars - copied.exemplars).std() / copied.exemplars.std()
        assert float(moved) == pytest.approx(JITTER, rel=0.1)
    assert not torch.equal(one.exemplars, two.exemplars)
    assert one.concepts == copied.concepts


def test_a_subtle_liar_lies_about_one_concept_in_twenty_and_all_about_the_same():
    found = [sent("subtle", number).exemplars for number in (0, 1)]
    assert torch.equal(*found)
    lied = [n for n, its in enumerate(OWN.exemplars) if not its.equal(found[0][n])]
    assert len(lied) == round(len(FACTS) / 20)
    assert set(lied) <= set(UNSHOWN)


@pytest.mark.parametrize("attack", MADE_UP)
def test_what_is_made_up_lies_right_where_traces_tell(attack):
    found = sent(attack)
    assert found.means.shape == (len(FACTS), WIDTH)
    told = VIEW.directions[[int(truth(fact)) for fact in TOLD]]
    assert float(F.cosine_similarity(found.means[SHOWN], told).min()) > 0.99
    assert not torch.equal(found.exemplars, sent(attack, 1).exemplars)


def test_a_little_is_as_many_deviations_from_the_honest_mean_as_honest_teachers_vouch_for():
    every = [points(packet) for packet in HONEST]
    found, z = sent("alie"), NormalDist().inv_cdf(0.6)  # of 7, 2 honest ones make 4 with 2 liars
    for row in UNSHOWN:
        honest = torch.stack([its[IDS[row]] for its in every])
        wanted = honest.mean(dim=0) - z * honest.std(dim=0, correction=0)
        assert torch.allclose(found.means[row], wanted, atol=0.03)


def test_an_inner_product_is_manipulated_by_the_opposite_of_the_honest_mean():
    every = [points(packet) for packet in HONEST]
    found = sent("ipm")
    for row in UNSHOWN:
        honest = torch.stack([its[IDS[row]] for its in every]).mean(dim=0)
        assert torch.allclose(found.means[row], -OPPOSED * honest, atol=0.03)


@pytest.mark.parametrize("attack", MADE_UP)
def test_nothing_is_made_up_of_what_no_honest_teacher_has(attack):
    fewer = [packet_by("honest-0", facts=[fact for fact in FACTS if fact != HIDDEN[0]])]
    found = sent(attack, scene=replace(SCENE, honest=fewer))
    assert [spec.id for spec in found.concepts] == [name for name in IDS if name != HIDDEN[0]]
    steps = [step.concept for trace in found.traces for step in trace.steps]
    told = [found.concepts[int(row)].id for row in found.maps.indices[:, 0]]
    assert told == steps
