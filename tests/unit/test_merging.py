"""Merges by hand on a few numbers, and on CALs of a real small model."""

from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.adapters import SCALE
from m2kt.align import align
from m2kt.bench.delivery import STUDENT
from m2kt.bench.subjects import Subject, draw_lesson, load_model
from m2kt.blend import Share
from m2kt.cal import CALConfig, ConceptAlignmentLayer, attached
from m2kt.errors import CompatibilityError, RequestError
from m2kt.extract import ExtractConfig
from m2kt.merging import MERGES, MergeRules, merged
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.relation import Role, Roles
from m2kt.student import Student
from m2kt.tensors import digest_state
from m2kt.verify import examine
from tests.courses import ALIGN
from tests.lessons import SMALL_CAL, model

RANK = SMALL_CAL.adapter_rank
NAMES = ("a", "b", "c")
HALF = MergeRules(how="task_arithmetic", scale=0.5)


def combine(how: str, *vectors: list[float], density: float = 0.2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return MERGES[how].combine(torch.tensor(vectors), density, generator)


def learnt(number: int = 0, *, config: CALConfig = SMALL_CAL, seed: int = 3, width: int = 9):
    """A CAL of three concepts after something was learnt, and the adapters with it."""
    generator = torch.Generator().manual_seed(number)
    share = Share(
        torch.randn(3, width, generator=generator), torch.tensor([0, 1, 2]), torch.ones(3)
    )
    keys = torch.randn(3, 128, generator=generator)
    cal = ConceptAlignmentLayer(config, keys, [share], seed=seed)
    with attached(model("mod7-addsub"), cal) as adapters:
        for its in (*cal.parameters(), *adapters):
            its.data.add_(0.05 * torch.randn(its.shape, generator=generator))
    return cal


def said(cal: ConceptAlignmentLayer) -> torch.Tensor:
    """Logits of the frozen student that carries it."""
    lm = model("mod7-addsub")
    with attached(lm, cal), torch.no_grad():
        return lm.model(input_ids=torch.tensor([lm.encode("3+4-2\n")])).logits


def deltas(cal: ConceptAlignmentLayer) -> dict[str, torch.Tensor]:
    """What each adapter adds to its frozen weight."""
    names = [name.removesuffix("lora_A") for name in cal.adapters if name.endswith("lora_A")]
    return {n: SCALE * cal.adapters[f"{n}lora_B"] @ cal.adapters[f"{n}lora_A"] for n in names}


def shared(cal: ConceptAlignmentLayer) -> dict[str, torch.Tensor]:
    """What of a memory belongs to no packet and to no concept."""
    apart = ("phi.", "find.keys", "find.members")
    return {name: its for name, its in cal.state_dict().items() if not name.startswith(apart)}


def test_task_arithmetic_is_the_sum():
    found = combine("task_arithmetic", [1.0, -2.0, 0.0], [0.5, 3.0, 4.0])
    assert found.tolist() == [1.5, 1.0, 4.0]


def test_ties_trims_each_then_follows_the_sign_with_the_larger_total():
    one, two, three = [5.0, 1.0, -4.0, 0.1], [3.0, -2.0, 6.0, 0.2], [-2.0, -0.1, -3.0, 0.3]
    # Half of each is left: [5, ., -4, .], [3, ., 6, .] and [-2, ., -3, .]. Of the third entry the
    # negative total, 7, is larger than 6, though the largest entry is positive.
    assert combine("ties", one, two, three, density=0.5).tolist() == [4.0, 0.0, -3.5, 0.0]
    # All is left: of the second entry the negative ones win and are averaged without the other.
    whole = combine("ties", one, two, three, density=1.0)
    assert whole.tolist() == pytest.approx([4.0, -1.05, -3.5, 0.2])


def test_ties_leaves_nothing_where_both_signs_have_the_same_total_and_trims_no_single_number():
    assert combine("ties", [2.0], [-2.0]).tolist() == [0.0]
    assert combine("ties", [0.25], [0.75], density=0.01).tolist() == [0.5]


def test_dare_drops_at_random_and_scales_the_rest_to_the_same_expectation():
    vector = torch.linspace(-1, 1, 50)
    drawn = [combine("dare_ties", vector.tolist(), density=0.25, seed=s) for s in range(4000)]
    left = torch.stack([its != 0 for its in drawn]).float().mean()
    assert float(left) == pytest.approx(0.25, abs=0.01)
    for its in drawn[:9]:
        assert torch.allclose(its[its != 0], 4 * vector[its != 0])
    # Of v / p with probability p the variance is v^2 (1 - p) / p.
    error = (torch.stack(drawn).mean(dim=0) - vector).abs()
    assert bool((error <= 5 * vector.abs() * (3 / 4000) ** 0.5 + 1e-6).all())


def test_dare_ties_is_ties_of_what_is_left_and_the_same_for_a_seed():
    one, two = [3.0, -1.0, 2.0, 4.0] * 20, [-1.0, -3.0, 4.0, -5.0] * 20
    found = combine("dare_ties", one, two, density=0.5, seed=4)
    kept = torch.rand(2, 80, generator=torch.Generator().manual_seed(4)) < 0.5
    for at, value in enumerate(found.tolist()):
        left = [2 * its[at] for its, mask in zip((one, two), kept, strict=True) if mask[at]]
        positive = sum(its for its in left if its > 0) > -sum(its for its in left if its < 0)
        agree = [its for its in left if (its > 0) == positive]
        assert value == (sum(agree) / len(agree) if agree else 0.0)
    assert torch.equal(found, combine("dare_ties", one, two, density=0.5, seed=4))
    assert not torch.equal(found, combine("dare_ties", one, two, density=0.5, seed=5))


def test_a_single_number_is_never_dropped():
    drawn = [combine("dare_ties", [0.5], [1.5], density=0.1, seed=seed) for seed in range(20)]
    assert {its.item() for its in drawn} == {1.0}


def test_a_cal_merged_with_itself_by_halves_answers_as_it_did():
    cal = learnt()
    both = merged([cal, cal], HALF, [NAMES, NAMES])
    alone, found = said(cal), said(both)
    assert torch.allclose(found, alone, atol=1e-4)
    assert torch.allclose(both.attention, cal.attention, atol=1e-6)
    assert not torch.allclose(said(learnt(1)), alone, atol=1e-2), "CALs do change what is said"


def test_without_names_what_two_hold_has_two_places_and_leaves_less_to_the_null_slot():
    cal = learnt()
    both = merged([cal, cal], HALF)
    states = torch.randn(1, 4, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        cal.find.null.sub_(torch.tensor(2.0).log())
        one, two = cal.find(states), both.find(states)
    assert two.shape == (1, 4, 6)
    assert torch.allclose(two[..., :3] + two[..., 3:], one, atol=1e-6)


def test_the_memory_holds_the_concepts_of_all_in_order():
    one, two = learnt(0), learnt(1)
    both = merged([one, two], HALF)
    assert torch.equal(both.find.keys, torch.cat([one.find.keys, two.find.keys]))
    assert torch.allclose(both.values(), torch.cat([one.values(), two.values()]), atol=1e-6)
    assert both.tensors()["memory.phi.maps.1.0.weight"].equal(two.phi.maps[0][0].weight)


def test_what_two_hold_under_one_name_has_one_place_with_the_mean_of_both():
    one, two = learnt(0), learnt(1)
    both = merged([one, two], HALF, [NAMES, ("c", "d", "a")])
    assert torch.allclose(both.find.keys[0], (one.find.keys[0] + two.find.keys[2]) / 2)
    values, first, second = both.values(), one.values(), two.values()
    means = [(first[0] + second[2]) / 2, first[1], (first[2] + second[0]) / 2, second[1]]
    assert torch.allclose(values, torch.stack(means), atol=1e-6)


@pytest.mark.parametrize("how", MERGES)
def test_what_is_shared_moves_from_where_the_seed_began(how):
    cals = [learnt(0), learnt(1)]
    rules = MergeRules(how=how, scale=0.7, density=0.4, seed=2)
    found, first = merged(cals, rules), cals[0]
    begun = ConceptAlignmentLayer(SMALL_CAL, first.find.keys, first.phi.shares(), seed=3)
    generator = torch.Generator().manual_seed(2)
    assert set(shared(begun)) >= {"gate", "find.tau", "find.null", "find.key.weight"}
    for name, start in shared(begun).items():
        moves = torch.stack([cal.state_dict()[name] - start for cal in cals])
        moved = MERGES[how].combine(moves, 0.4, generator)
        assert torch.allclose(found.state_dict()[name], start + 0.7 * moved, atol=1e-6), name
    assert not torch.equal(found.find.query.weight, begun.find.query.weight)


def test_teachers_of_different_width_begin_from_different_draws_and_halves_give_the_mean():
    cals = [learnt(0), learnt(1, width=7)]
    found = merged(cals, HALF)
    assert [its.means.shape[1] for its in found.phi.shares()] == [9, 7]
    for name in ("find.query.weight", "find.tau", "gate"):
        mean = sum(cal.state_dict()[name] for cal in cals) / 2
        assert torch.allclose(found.state_dict()[name], mean, atol=1e-6)


def test_adapters_that_are_added_up_lose_nothing():
    cals = [learnt(0), learnt(1)]
    found = merged(cals, MergeRules(how="task_arithmetic", scale=0.3))
    assert found.config.adapter_rank == 2 * RANK
    for name, delta in deltas(found).items():
        wanted = 0.3 * sum(deltas(cal)[name] for cal in cals)
        assert torch.allclose(delta, wanted, atol=1e-5)


@pytest.mark.parametrize("how", ["ties", "dare_ties"])
def test_other_merges_of_adapters_are_the_nearest_of_their_rank(how):
    cals = [learnt(0), learnt(1)]
    rules = MergeRules(how=how, scale=0.8, density=0.5, seed=6)
    found, moving = merged(cals, rules), torch.Generator().manual_seed(6)
    for its in shared(cals[0]).values():  # what is drawn for the memory
        if its.numel() > 1 and how == "dare_ties":
            torch.rand(2, *its.shape, generator=moving)
    for name, delta in deltas(found).items():
        each = torch.stack([deltas(cal)[name] for cal in cals])
        whole = 0.8 * MERGES[how].combine(each, 0.5, moving)
        best = torch.linalg.svdvals(whole)[2 * RANK :].norm()
        assert float((whole - delta).norm()) == pytest.approx(float(best), rel=1e-3)
        assert float(best) > 0, "of higher rank than is kept"


@pytest.mark.parametrize("how", MERGES)
def test_a_merged_cal_is_kept_and_attached_like_any_other(how):
    both = merged([learnt(0), learnt(1)], MergeRules(how=how))
    again = ConceptAlignmentLayer.from_tensors(both.tensors(), both.header())
    assert digest_state(again.tensors()) == digest_state(both.tensors())
    assert torch.equal(said(again), said(both))
    three = merged([learnt(0), learnt(1), learnt(2)], MergeRules(how=how))
    assert bool(torch.isfinite(said(three)).all())


def test_the_cals_that_were_merged_stay_as_they_were():
    cals = [learnt(0), learnt(1)]
    before = [digest_state(cal.tensors()) for cal in cals]
    with attached(model("mod7-addsub"), merged(cals, HALF)) as adapters:
        for its in adapters:
            its.data.add_(1.0)
    assert [digest_state(cal.tensors()) for cal in cals] == before


def test_a_factor_narrower_than_its_rank_is_filled_with_zeros():
    wide = replace(SMALL_CAL, adapter_rank=90)
    cals = [learnt(0, config=wide), learnt(1, config=wide)]
    found = merged(cals, MergeRules(how="ties", density=1.0))
    for name, delta in deltas(found).items():
        wanted = MERGES["ties"].combine(
            torch.stack([deltas(cal)[name] for cal in cals]), 1.0, torch.Generator()
        )
        assert torch.allclose(delta, wanted, atol=1e-4)
    assert bool(torch.isfinite(said(found)).all())


def relational() -> ConceptAlignmentLayer:
    roles = [Role(torch.tensor(its), torch.randn(len(its), 128)) for its in ([0, 1], [2], [0, 1])]
    share = Share(torch.randn(3, 9), torch.tensor([0, 1, 2]), torch.ones(3))
    return ConceptAlignmentLayer(SMALL_CAL, Roles(torch.tensor([0, 1]), *roles), [share], seed=3)


def narrow() -> ConceptAlignmentLayer:
    share = Share(torch.randn(3, 9), torch.tensor([0, 1, 2]), torch.ones(3))
    return ConceptAlignmentLayer(SMALL_CAL, torch.randn(3, 96), [share], seed=3)


def unattached() -> ConceptAlignmentLayer:
    cal = learnt(1)
    cal.adapters = {}
    return cal


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: learnt(1, config=replace(SMALL_CAL, key_rank=16)), "one shape.*key_rank=16"),
        (lambda: learnt(1, config=replace(SMALL_CAL, looks_early=False)), "one shape"),
        (lambda: learnt(1, seed=4), "one seed, found 3 and 4"),
        (narrow, "one width of the student, found 128 and 96"),
        (unattached, "one adapters"),
        (relational, "relational"),
    ],
)
def test_cals_that_do_not_belong_together_are_refused(other, what):
    with pytest.raises(CompatibilityError, match=what):
        merged([learnt(0), other()], HALF)


def test_requests_that_make_no_sense_are_refused():
    cal = learnt()
    with pytest.raises(RequestError, match="two CALs or more to merge, found 1"):
        merged([cal], HALF)
    for ids in ([NAMES], [NAMES, ("a", "b")], [NAMES, ("a", "b", "b")]):
        with pytest.raises(RequestError, match="different ids"):
            merged([cal, cal], HALF, ids)
    with pytest.raises(RequestError, match="task_arithmetic, ties, dare_ties, found 'soup'"):
        MergeRules(how="soup")
    for density in (0.0, 1.5):
        with pytest.raises(RequestError, match="density"):
            MergeRules(how="ties", density=density)
    with pytest.raises(RequestError, match="finite"):
        MergeRules(how="ties", scale=float("inf"))


@pytest.fixture(scope="module")
def apart():
    """Two CALs of one student, each learnt a little from a teacher alone, and their concepts."""
    domain, student = domains.get("arith.mod7"), Student(STUDENT, load_model("symbols-student"))
    lessons = [
        draw_lesson(Subject(domain.name, {name: signs}), ExtractConfig(traces_per_level=4))
        for name, signs in (("mod7-addsub", "+-"), ("mod7-mul", "*"))
    ]
    cals = [align(student, lesson, domain, ALIGN, silent).cal for lesson in lessons]
    return student, cals, [[concept.spec.id for concept in its.concepts] for its in lessons]


@pytest.mark.slow
@pytest.mark.parametrize("how", MERGES)
def test_what_two_teachers_taught_apart_is_one_cal_that_answers(apart, how):
    student, cals, names = apart
    both = merged(cals, MergeRules(how=how), names)
    values = torch.cat([cal.values() for cal in cals])
    assert torch.allclose(both.values(), values, atol=1e-5)
    probes = draw_probes(domains.get("arith.mod7"), seed=0, per_level=2)
    exam = examine(student, domains.get("arith.mod7"), probes, both)
    assert len(exam.right) == len(probes.items) > 0
