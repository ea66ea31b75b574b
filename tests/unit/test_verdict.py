"""Judging: the same from either side, at any time, and no when in doubt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.errors import RequestError
from m2kt.reasons import Reason
from m2kt.verdict import (
    Accepted,
    Evidence,
    Exam,
    JudgeRules,
    Rejected,
    decided,
    judge,
)
from m2kt.workings import Working

RULES = JudgeRules()
marks = st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), max_size=60)


def exams(items) -> tuple[Exam, Exam]:
    levels = tuple(level for level, _, _ in items)
    return (
        Exam(levels, tuple(then for _, then, _ in items)),
        Exam(levels, tuple(now for _, _, now in items)),
    )


def outcome(won: int, lost: int, same: int = 0, rules: JudgeRules = RULES):
    items = [(1, False, True)] * won + [(1, True, False)] * lost + [(1, True, True)] * same
    return judge(*exams(items), rules, {})


@given(marks)
def test_judging_from_the_other_side_turns_every_figure_round(items):
    before, after = exams(items)
    there, back = (
        judge(one, other, RULES, {}).evidence for one, other in ((before, after), (after, before))
    )
    assert there.gain == -back.gain
    assert (there.p_gain, there.p_loss) == (back.p_loss, back.p_gain)
    assert (there.before, there.after) == (back.after, back.before)


@given(marks)
def test_nobody_is_accepted_both_ways_or_for_standing_still(items):
    before, after = exams(items)
    ways = [judge(before, after, RULES, {}), judge(after, before, RULES, {})]
    assert sum(isinstance(way, Accepted) for way in ways) <= 1
    assert not isinstance(judge(before, before, RULES, {}), Accepted)


@given(marks, st.integers(0, 20))
def test_one_more_item_won_never_turns_yes_into_no(items, more):
    better = items + [(1, False, True)] * more
    if isinstance(judge(*exams(items), RULES, {}), Accepted):
        assert isinstance(judge(*exams(better), RULES, {}), Accepted)


@pytest.mark.parametrize(
    ("won", "lost", "same", "reason"),
    [
        (20, 0, 0, None),
        (20, 5, 100, None),
        (0, 20, 0, Reason.REGRESSION),
        (0, 9, 1000, Reason.REGRESSION),
        (0, 5, 1000, Reason.NO_GAIN),
        (0, 0, 50, Reason.NO_GAIN),
        (10, 0, 1000, Reason.NO_GAIN),
        (4, 0, 0, Reason.UNDECIDED),
        (3, 1, 10, Reason.UNDECIDED),
        (0, 0, 0, Reason.NO_GAIN),
    ],
)
def test_a_candidate_is_kept_only_if_it_is_better_beyond_doubt(won, lost, same, reason):
    verdict = outcome(won, lost, same)
    if reason is None:
        assert isinstance(verdict, Accepted)
    else:
        assert isinstance(verdict, Rejected)
        assert verdict.reasons == (reason,)
        assert verdict.details[0].startswith("expected")
    assert verdict.evidence == outcome(won, lost, same).evidence
    assert verdict.evidence.items == won + lost + same


def test_a_stricter_student_asks_for_more():
    assert isinstance(outcome(8, 0, 52), Accepted)
    assert isinstance(outcome(8, 0, 52, JudgeRules(min_gain=0.2)), Rejected)
    assert isinstance(outcome(8, 0, 52, JudgeRules(alpha=0.01)), Rejected)


@given(marks)
def test_what_is_decided_on_the_way_is_the_verdict_at_the_end(items):
    found = decided(*exams(items), RULES, {})
    last = judge(*exams(items), RULES, {})
    if found is not None:
        assert found == last
    else:
        assert isinstance(last, Rejected)
        assert last.reasons[0] in {Reason.UNDECIDED, Reason.NO_GAIN}


def test_little_evidence_decides_nothing_and_much_ends_the_exam():
    assert decided(*exams([]), RULES, {}) is None
    assert decided(*exams([(1, False, True)] * 3), RULES, {}) is None
    assert isinstance(decided(*exams([(1, False, True)] * 9), RULES, {}), Accepted)
    still = decided(*exams([(1, True, True)] * 300), RULES, {})
    assert isinstance(still, Rejected)
    assert still.reasons == (Reason.NO_GAIN,)
    assert decided(*exams([(1, True, True)] * 30), RULES, {}) is None


def test_two_parts_of_an_exam_are_one():
    one, other = Exam((1, 2), (True, False)), Exam((2,), (True,))
    assert one + other == Exam((1, 2, 2), (True, False, True))
    seen = Exam((2,), (True,), (Working(2),))
    assert (seen + seen).workings == (Working(2), Working(2))
    with pytest.raises(RequestError, match="a working for each of 3 items or none"):
        one + seen


def test_figures_are_handed_on():
    before, after = exams([(1, False, True)] * 9)
    assert judge(before, after, RULES, {"drift": 0.5}).evidence.figures == {"drift": 0.5}


def test_accuracy_is_by_level_and_its_mean_counts_every_level_once():
    exam = Exam((2, 1, 1, 1), (True, True, False, False))
    assert exam.accuracy == {1: pytest.approx(1 / 3), 2: 1.0}
    assert exam.mean == pytest.approx(2 / 3)
    assert (Exam((), ()).accuracy, Exam((), ()).mean) == ({}, 0.0)


def test_exams_on_different_items_are_not_compared():
    with pytest.raises(RequestError, match="same items"):
        judge(Exam((1,), (True,)), Exam((2,), (True,)), RULES, {})
    with pytest.raises(RequestError, match="each of 2"):
        Exam((1, 2), (True,))


def test_a_rejection_gives_reasons():
    with pytest.raises(RequestError, match="reason"):
        Rejected(())
    evidence = Evidence(before={}, after={}, gain=0.0, p_gain=1.0, p_loss=1.0, items=0)
    assert Rejected((Reason.NO_GAIN,), (), evidence).evidence is evidence
