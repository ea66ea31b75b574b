"""Who votes: an organisation once, a packet that can be read, on what it has."""

import torch

from m2kt import domains
from m2kt.ballots import AT_ONCE, draw_up
from m2kt.reading import View
from m2kt.testimony import told
from tests.assembly import HIDDEN, TOLD, VIEW, WIDTH, honest, teacher, truth


def drawn_up(packets, view=VIEW):
    return draw_up(packets, told(packets, view), view, "anchor_ridge")


def test_every_voter_puts_a_concept_where_the_student_says_its_symbol():
    ballots = drawn_up(honest(3))
    hidden = torch.tensor([k for k, spec in enumerate(ballots.specs) if spec.id in HIDDEN])
    says, doubt = ballots.says(ballots.points(hidden))
    for concept, its in zip(hidden.tolist(), says.tolist(), strict=True):
        assert {ballots.symbols[symbol] for symbol in its} == {truth(ballots.specs[concept].id)}
    assert float(doubt.max()) < float(torch.tensor(7.0).log())


def test_an_organisation_has_one_vote_in_the_middle_of_its_packets():
    own = [teacher(f"of-acme-{n}", organisation="acme") for n in range(2)]
    ballots = drawn_up([*own, teacher("alone")])
    assert ballots.voters == ("acme", "alone")
    assert ballots.owners.tolist() == [0, 0, 1]
    every = torch.arange(len(ballots.specs))
    points = ballots.points(every)
    alone = []
    for packet in own:
        its = drawn_up([packet, teacher("alone")])
        alone.append(its.points(every)[:, its.voters.index("acme")])
    assert torch.allclose(points[:, 0], torch.stack(alone).mean(dim=0), atol=1e-5)
    assert not torch.allclose(*alone, atol=1e-3)


def test_a_root_of_trust_speaks_for_itself_not_for_its_organisation():
    packets = [
        teacher("plain", organisation="acme"),
        teacher("rooted", organisation="acme", root=True),
    ]
    ballots = drawn_up(packets)
    assert ballots.voters == ("acme", "rooted")
    assert ballots.roots.tolist() == [False, True]


def test_who_lacks_a_concept_does_not_vote_on_it_and_has_no_point():
    part = teacher("part", facts=[*TOLD, *HIDDEN[:3]])
    ballots = drawn_up([*honest(2), part])
    voter = ballots.voters.index("part")
    has = [spec.id in {*TOLD, *HIDDEN[:3]} for spec in ballots.specs]
    assert ballots.voting[:, voter].tolist() == has
    points = ballots.points(torch.arange(len(ballots.specs)))
    assert points[:, voter].any(dim=1).tolist() == has


def test_a_packet_that_does_not_fit_what_traces_tell_holds_and_does_not_vote():
    noise = teacher("noise", noise=50.0)
    ballots = drawn_up([*honest(2), noise])
    voter = ballots.voters.index("noise")
    assert ballots.able.tolist() == [name != "noise" for name in ballots.voters]
    assert bool(ballots.holding[:, voter].all())
    assert not bool(ballots.voting[:, voter].any())
    assert ballots.fit(voter) < ballots.fit(ballots.voters.index("honest-0"))


def test_nothing_is_read_where_nothing_is_contested():
    assert drawn_up([teacher("one")]).readings == ()
    apart = [
        teacher("left", facts=[*TOLD, *HIDDEN[:9]]),
        teacher("right", facts=[*TOLD, *HIDDEN[9:]]),
    ]
    assert drawn_up(apart).readings == ()
    assert drawn_up(honest(2), view=None).readings == ()
    relational = domains.get("arith.mod97")
    assert drawn_up(honest(2), View(relational, torch.zeros(97, 4))).readings == ()


def test_concepts_are_looked_at_as_many_at_a_time_as_memory_is_meant_for():
    ballots, every = drawn_up(honest(3)), torch.arange(100_000)
    parts = list(ballots.blocks(every))
    assert torch.equal(torch.cat(parts), every)
    assert len(parts) > 1
    assert max(len(part) for part in parts) * 3 * WIDTH <= AT_ONCE
    assert list(ballots.blocks(every[:0])) == []
