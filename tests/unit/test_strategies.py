"""Strategies: laws that all of them keep, and what those that look at more than points are for."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from m2kt import robust
from m2kt.combine_config import CombineRules
from m2kt.errors import PacketError, RequestError
from m2kt.premix import applied, norm_clip
from m2kt.robust import Ballot, mixed
from m2kt.strategies import SHARPNESS, STRATEGIES, Strategy, add, strategy
from tests.votes import SEEDS, among, attacked, ballot, ballots, normal, result

NAMES = list(STRATEGIES)
BY_COORDINATE = {"coordinate_median", "trimmed_mean", "bulyan"}
"""They look at each coordinate for itself: turning the space changes what they see."""
BY_ANGLE = {"fltrust", "adaptive_weighted", "best_teacher_per_concept"}
"""They look at angles about 0: moving all points changes these."""
CLOSE = {"rtol": 0, "atol": 1e-8}
"""In double precision, of numbers of size one; the geometric median ends at a change of 1e-9."""


def orthogonal(seed: int, width: int) -> Tensor:
    return torch.linalg.qr(normal(seed, width, width)).Q


def tied(name: str, its: Ballot) -> bool:
    """Whether a rule has to choose between two points that are each other's nearest.

    Krum with n - f = 2 neighbours does, and so does Bulyan's last round with f = 1.
    """
    krums = name == "krum" and its.voters - its.hostile < 3
    return krums or (name == "bulyan" and its.hostile == 1)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(st.data())
def test_the_order_of_voters_does_not_matter(name, data):
    its = data.draw(ballots(name).filter(lambda its: not tied(name, its)))
    order = torch.randperm(
        its.voters, generator=torch.Generator().manual_seed(data.draw(SEEDS, label="order"))
    )
    other = among(its, order)
    assert torch.allclose(result(name, other), result(name, its), **CLOSE)
    weights = [STRATEGIES[name].weigh(each) for each in (its, other)]
    assert torch.allclose(weights[1], weights[0][:, order], **CLOSE)


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_ANGLE))
@settings(max_examples=40)
@given(st.data())
def test_where_all_move_alike_the_result_moves_with_them(name, data):
    its = data.draw(ballots(name))
    step = 10 * normal(data.draw(SEEDS), len(its.points), its.points.shape[2])
    if name == "abstain":
        its = replace(its, says=torch.zeros_like(its.says))
    moved = replace(its, points=its.points + step[:, None])
    assert torch.allclose(result(name, moved), result(name, its) + step, **CLOSE)


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_COORDINATE))
@settings(max_examples=40)
@given(st.data())
def test_where_the_space_is_turned_the_result_turns_with_it(name, data):
    its = data.draw(ballots(name))
    turn = orthogonal(data.draw(SEEDS), its.points.shape[2])
    turned = replace(its, points=its.points @ turn, root=its.root @ turn)
    assert torch.allclose(result(name, turned), result(name, its) @ turn, **CLOSE)


@pytest.mark.parametrize("name", sorted(BY_COORDINATE - {"bulyan"}))
@settings(max_examples=40)
@given(st.data())
def test_a_rule_by_coordinates_bears_any_scale_and_order_of_them(name, data):
    its = data.draw(ballots(name))
    width = its.points.shape[2]
    order = torch.randperm(width, generator=torch.Generator().manual_seed(data.draw(SEEDS)))
    scale = normal(data.draw(SEEDS), width)  # negative ones mirror
    other = replace(its, points=(its.points * scale)[:, :, order])
    assert torch.allclose(result(name, other), (result(name, its) * scale)[:, order], **CLOSE)


@settings(max_examples=40)
@given(st.data())
def test_bulyan_bears_any_order_of_coordinates_and_one_scale_of_all(data):
    """Its first half is Krum, by distances: a scale of one coordinate changes whom it chooses."""
    its = data.draw(ballots("bulyan"))
    width = its.points.shape[2]
    order = torch.randperm(width, generator=torch.Generator().manual_seed(data.draw(SEEDS)))
    other = replace(its, points=-3 * its.points[:, :, order])
    assert torch.allclose(result("bulyan", other), -3 * result("bulyan", its)[:, order], **CLOSE)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(st.data())
def test_what_all_say_alike_is_the_result(name, data):
    its = data.draw(ballots(name))
    same = its.points[:, :1].expand(-1, its.voters, -1).contiguous()
    says = its.says[:, :1].expand(-1, its.voters)
    unanimous = replace(its, points=same, root=same[:, 0], says=says)
    assert torch.allclose(result(name, unanimous), same[:, 0], **CLOSE)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(st.data())
def test_shares_are_not_negative_and_sum_to_one(name, data):
    """FLTrust: of lengths of the root. Where a rule abstains they are all 0."""
    its = data.draw(ballots(name))
    weights = STRATEGIES[name].weigh(its)
    assert weights.shape in {(*its.points.shape[:2], 1), tuple(its.points.shape)}
    assert float(weights.min()) >= 0
    if name == "fltrust":
        lengths = its.points.norm(dim=2) / its.root.norm(dim=1, keepdim=True)
        weights = weights * lengths[:, :, None]
    total = weights.sum(dim=1)
    gone = total.amax(dim=1) == 0
    assert torch.allclose(total[~gone], torch.ones_like(total[~gone]))
    assert name in {"fltrust", "abstain"} or not bool(gone.any())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_twice_the_same_ballot_is_twice_the_same_bit_for_bit(name, dtype):
    its = ballot(normal(1, 20, 11, 8).to(dtype), 2)
    once, again = (STRATEGIES[name].weigh(replace(its)) for _ in range(2))
    assert once.dtype == dtype
    assert torch.equal(once, again)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_concept_is_weighed_alike_alone_and_among_others(name, dtype):
    its = ballot(normal(2, 40, 11, 3).to(dtype), 2)
    whole = STRATEGIES[name].weigh(its)
    for size in (1, 7):
        parts = [
            replace(
                its,
                points=its.points[at],
                root=its.root[at],
                says=its.says[at],
                doubt=its.doubt[at],
            )
            for at in torch.arange(40).split(size)
        ]
        assert torch.equal(torch.cat([STRATEGIES[name].weigh(part) for part in parts]), whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_voter_is_followed(name):
    alone = ballot(normal(3, 4, 1, 5))
    alone = replace(alone, root=alone.points[:, 0])
    assert torch.allclose(result(name, alone), alone.points[:, 0], **CLOSE)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(st.data())
def test_after_clipping_nobody_lengthens_a_result_beyond_the_honest_ones(name, data):
    """The median length is at most an honest one's with n > 2f; shares sum to one at most."""
    drawn = name if STRATEGIES[name].fewest(1) > 2 else "coordinate_median"
    its, honest = data.draw(attacked(drawn))
    clipped = replace(its, points=applied(norm_clip(its.points, its.hostile), its.points))
    longest = float(its.points[0, honest].norm(dim=1).max())
    if name == "fltrust":
        longest = float(its.root.norm())
    assert float(result(name, clipped).norm()) <= longest * (1 + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_no_strategy_is_asked_about_what_is_no_number(name):
    points = normal(0, 1, 5, 2)
    points[0, 0, 0] = torch.nan
    with pytest.raises(PacketError, match="screen packets before"):
        result(name, Ballot(points=points))


def test_guarantees_need_so_many_voters():
    found = {name: [its.fewest(f) for f in (0, 1, 2)] for name, its in STRATEGIES.items()}
    majority, anybody = [1, 3, 5], [1, 1, 1]
    assert found.pop("bulyan") == [1, 7, 11]
    asking = {"coordinate_median", "trimmed_mean", "geometric_median", "krum", "multi_krum"}
    asking |= {"adaptive_weighted"}
    assert found == {name: majority if name in asking else anybody for name in found}


@pytest.fixture
def mine() -> Iterator[str]:
    """A name that is free, and free again afterwards."""
    yield "first_come"
    STRATEGIES.pop("first_come", None)


def first_come(its: Ballot) -> Tensor:
    """All to the first."""
    weights = its.points.new_zeros(*its.points.shape[:2], 1)
    weights[:, 0] = 1
    return weights


def test_a_rule_of_ones_own_is_known_by_its_name(mine):
    with pytest.raises(RequestError, match="first_come"):
        CombineRules(strategy=mine)
    add(mine, first_come, lambda f: f + 1)
    assert CombineRules(strategy=mine, hostile=2).fewest() == 3
    its = ballot(normal(0, 2, 3, 4))
    assert torch.equal(result(mine, its), its.points[:, 0])


def test_a_rule_of_ones_own_needs_nobody_in_particular_by_default(mine):
    add(mine, first_come)
    assert strategy(mine).fewest(7) == 1


def test_a_name_that_is_taken_is_refused(mine):
    add(mine, first_come)
    for taken in (mine, "krum"):
        before = STRATEGIES[taken]
        with pytest.raises(RequestError, match=f"found the strategy '{taken}'"):
            add(taken, robust.mean)
        assert STRATEGIES[taken] is before


def test_an_unknown_name_is_refused_by_naming_the_known_ones():
    with pytest.raises(RequestError) as refusal:
        strategy("loudest")
    assert all(name in str(refusal.value) for name in [*NAMES, "loudest"])
    assert strategy("krum") == Strategy(robust.krum, STRATEGIES["krum"].fewest)


POINTS = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]])


def shares(name: str, **known) -> list[float]:
    """Of the three voters of `POINTS` in the one concept."""
    return STRATEGIES[name].weigh(Ballot(points=POINTS, **known))[0, :, 0].tolist()


def test_fltrust_follows_those_that_point_where_the_root_does():
    root = torch.tensor([[0.0, 10.0]])
    found = shares("fltrust", root=root)  # cosines 0.8, 1, 0: of 1.8, at the length of 10
    assert found == pytest.approx([0.8 / 1.8 * 10 / 5, 1 / 1.8 * 10 / 2, 0])
    lengths = mixed(POINTS, STRATEGIES["fltrust"].weigh(Ballot(points=POINTS, root=root))).norm()
    assert float(lengths) <= 10


def test_fltrust_abstains_where_nobody_points_there_or_there_is_no_root():
    assert shares("fltrust", root=torch.tensor([[0.0, -1.0]])) == [0, 0, 0]
    assert shares("fltrust") == [0, 0, 0]


@given(st.data())
def test_no_hostile_voter_leads_fltrust_away_from_the_root(data):
    """Of points as long as the root and at most square to it, a mean is at most as long."""
    its, _ = data.draw(attacked("coordinate_median"))
    found = result("fltrust", its)[0]
    assert float(found.norm()) <= float(its.root.norm()) * (1 + 1e-12)
    assert float(found @ its.root[0]) >= 0


def test_the_surer_the_more_by_the_formula_of_ca_mkd():
    doubt = torch.tensor([[0.0, 1.0, 2.0]])
    powers = [1.0, 2.718281828, 7.389056099]
    wanted = [(1 - its / sum(powers)) / 2 for its in powers]
    assert shares("confidence_weighted", doubt=doubt) == pytest.approx(wanted)
    assert wanted == sorted(wanted, reverse=True)
    assert shares("confidence_weighted") == pytest.approx([1 / 3] * 3)


def test_whoever_agrees_with_the_others_has_more():
    found = shares("adaptive_weighted")
    agreement = torch.tensor([(0.8 - 0.6) / 2, (0.8 + 0) / 2, (-0.6 + 0) / 2])
    assert found == pytest.approx((SHARPNESS * agreement).softmax(dim=0).tolist())
    assert found[1] > found[0] > found[2]


def test_a_record_gives_the_same_share_in_every_concept():
    its = Ballot(points=normal(0, 5, 3, 2), trust=torch.tensor([0.2, 0.5, 0.3]))
    found = STRATEGIES["reputation_weighted"].weigh(its)
    wanted = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    assert torch.allclose(found[:, :, 0], wanted.expand(5, 3))
    assert shares("reputation_weighted") == pytest.approx([1 / 3] * 3)


def test_the_best_teacher_is_nearest_to_the_root_else_the_surest_else_the_longest():
    doubt = torch.tensor([[0.3, 0.2, 0.1]])
    root = torch.tensor([[0.1, 1.0]])
    assert shares("best_teacher_per_concept", root=root, doubt=doubt) == [0, 1, 0]
    assert shares("best_teacher_per_concept", doubt=doubt) == [0, 0, 1]
    assert shares("best_teacher_per_concept") == [1, 0, 0]


def test_each_concept_has_a_best_teacher_of_its_own():
    doubt = torch.tensor([[0.1, 0.2], [0.2, 0.1]])
    its = Ballot(points=torch.ones(2, 2, 3), doubt=doubt)
    assert STRATEGIES["best_teacher_per_concept"].weigh(its)[:, :, 0].tolist() == [[1, 0], [0, 1]]


def test_it_abstains_where_one_voter_says_something_else():
    its = Ballot(points=torch.ones(2, 3, 4), says=torch.tensor([[1, 1, 1], [1, 1, 2]]))
    found = STRATEGIES["abstain"].weigh(its)[:, :, 0]
    assert torch.allclose(found, torch.tensor([[1 / 3] * 3, [0.0] * 3]))
    assert shares("abstain") == pytest.approx([1 / 3] * 3), "nobody looked at what they say"
