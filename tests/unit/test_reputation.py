"""Laws of a reputation: which way it moves, that it fades, and that no root is outvoted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt import consensus
from m2kt.consensus import Consensus, Decision, Fate
from m2kt.errors import RequestError
from m2kt.identity import AgentId
from m2kt.reasons import Reason
from m2kt.reputation import (
    DAY_S,
    NOTHING_NEW,
    TELLING,
    UNKNOWN,
    ReputationRules,
    TrackRecord,
    evidence_of,
    trust_in,
    weights,
)
from m2kt.verdict import Accepted, Evidence, Rejected

RULES = ReputationRules(half_life_days=10.0, concept_weight=0.5)
A, B, C = AgentId("a"), AgentId("b"), AgentId("c")
amounts = st.floats(0, 1e6)
times = st.floats(0, 4e9)
track_records = st.builds(
    TrackRecord, accepted=amounts, rejected=amounts, agreed=amounts, disputed=amounts, at_s=times
)
rules = st.builds(
    ReputationRules, half_life_days=st.floats(1e-3, 1e5), concept_weight=st.floats(0, 1)
)
agents = st.sampled_from([AgentId(name) for name in "abcdef"])
ACCEPTED = Accepted(Evidence(before={}, after={}, gain=1.0, p_gain=0.0, p_loss=1.0, items=1))


def near(a: TrackRecord, b: TrackRecord) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in TrackRecord.__dataclass_fields__]
    return all(x == pytest.approx(y, rel=1e-9, abs=1e-12) for x, y in pairs)


@pytest.mark.parametrize(
    ("standing", "score"),
    [
        (TrackRecord(), 1 / 2),
        (TrackRecord(accepted=1.0), 2 / 3),
        (TrackRecord(rejected=1.0), 1 / 3),
        (TrackRecord(accepted=8.0, rejected=1.0), 9 / 11),
        (TrackRecord(agreed=2.0, disputed=4.0), 2 / 5),
    ],
)
def test_the_score_is_the_expected_value_of_the_beta_distribution(standing, score):
    assert standing.score(0.0, RULES) == pytest.approx(score)


@given(track_records, times, rules, st.sampled_from(["accepted", "agreed", "rejected", "disputed"]))
def test_good_news_never_lowers_a_score_and_bad_news_never_raises_it(held, now_s, its, kind):
    news = TrackRecord(**{kind: 3.0}, at_s=now_s)
    before, after = held.score(now_s, its), held.credited(news, its).score(now_s, its)
    if kind in ("accepted", "agreed"):
        assert after >= before * (1 - 1e-12)
    else:
        assert after <= before * (1 + 1e-12)


@given(st.integers(0, 50).map(float), st.integers(0, 50).map(float))
def test_a_packet_more_moves_the_score(accepted, rejected):
    held = TrackRecord(accepted=accepted, rejected=rejected)
    up = held.credited(TrackRecord(accepted=1.0), RULES)
    down = held.credited(TrackRecord(rejected=1.0), RULES)
    assert down.score(0.0, RULES) < held.score(0.0, RULES) < up.score(0.0, RULES)


@given(track_records, times, times, rules)
def test_every_score_fades_towards_one_half(held, first_s, second_s, its):
    sooner, later = sorted((held.at_s + first_s, held.at_s + second_s))
    before, after = held.score(sooner, its), held.score(later, its)
    assert abs(after - 0.5) <= abs(before - 0.5) + 1e-12
    assert (after - 0.5) * (before - 0.5) >= -1e-12, "and never past it"


def test_half_of_the_evidence_is_left_after_a_half_life():
    held = TrackRecord(accepted=8.0, rejected=4.0, agreed=2.0, disputed=6.0, at_s=0.0)
    left = held.decayed(10 * DAY_S, RULES)
    assert near(
        left, TrackRecord(accepted=4.0, rejected=2.0, agreed=1.0, disputed=3.0, at_s=10 * DAY_S)
    )
    assert held.score(1e4 * DAY_S, RULES) == pytest.approx(0.5)


@given(track_records, times, times, rules)
def test_it_does_not_matter_how_often_a_standing_is_looked_at(held, first_s, second_s, its):
    sooner, later = sorted((held.at_s + first_s, held.at_s + second_s))
    assert near(held.decayed(sooner, its).decayed(later, its), held.decayed(later, its))


@given(track_records, times)
def test_on_a_clock_that_went_back_nothing_grows_again(held, now_s):
    assert held.decayed(min(now_s, held.at_s), RULES) == held


@given(st.lists(track_records, max_size=5), st.randoms(), rules)
def test_the_order_in_which_evidence_comes_does_not_matter(events, rng, its):
    def told(order):
        held = TrackRecord()
        for event in order:
            held = held.credited(event, its)
        return held

    shuffled = list(events)
    rng.shuffle(shuffled)
    assert near(told(events), told(shuffled))


@given(st.floats(0, 1.7e308), st.floats(0, 1.7e308), times)
def test_a_score_is_always_above_zero_and_below_one(accepted, rejected, now_s):
    assert 0 < TrackRecord(accepted=accepted, rejected=rejected).score(now_s, RULES) < 1


@given(st.dictionaries(agents, st.floats(0.001, 0.999), max_size=6), st.frozensets(agents))
def test_all_others_together_do_not_outvote_one_root_of_trust(scores, roots):
    found = weights(scores, roots)
    others = sum(found[name] for name in scores if name not in roots)
    assert all(found[name] > others for name in scores if name in roots)
    assert all(found[name] == scores[name] for name in scores if name not in roots)


def test_an_organisation_is_trusted_as_its_teachers_are_in_the_mean():
    speakers = {(A, "house"), (B, "house"), (C, "c")}
    scores = {A: 0.9, B: 0.3}
    assert trust_in(speakers, scores, frozenset()) == pytest.approx({"house": 0.6, "c": UNKNOWN})
    assert TrackRecord().score(0.0, RULES) == UNKNOWN


def test_a_root_of_trust_weighs_more_than_all_voters_whatever_its_record():
    speakers = {(A, "a"), (B, "house"), (C, "c")}
    found = trust_in(speakers, {A: 0.1, B: 0.9, C: 0.9}, {"a"})
    assert found["a"] > found["house"] + found["c"] == pytest.approx(1.8)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (TrackRecord, {"accepted": -1.0}),
        (TrackRecord, {"agreed": float("nan")}),
        (TrackRecord, {"rejected": float("inf")}),
        (ReputationRules, {"half_life_days": 0.0}),
        (ReputationRules, {"concept_weight": 1.5}),
    ],
)
def test_amounts_that_make_no_sense_are_refused(kind, named):
    with pytest.raises(RequestError, match="expected"):
        kind(**named)


def heard(name: AgentId, fate: Fate = Fate.USED, used: int = 3, **more):
    """How a voter that is in no organisation stands in a lesson."""
    return consensus.Standing(
        voter=name, teachers=(name,), root=False, concepts=9, fate=fate, used=used, **more
    )


def said(verdict, *names: AgentId, standings=(), known=False):
    if standings:
        decisions = dict.fromkeys(Decision, 0)
        verdict = replace(verdict, consensus=Consensus("mean", 0, standings, decisions, ()))
    return evidence_of(verdict, frozenset(names), known=known)


def test_a_success_is_shared_and_a_failure_of_several_is_nobodys():
    assert said(ACCEPTED, A) == {A: TrackRecord(accepted=1.0)}
    assert said(ACCEPTED, A, B) == {A: TrackRecord(accepted=0.5), B: TrackRecord(accepted=0.5)}
    worse = Rejected((Reason.REGRESSION,))
    assert said(worse, A) == {A: TrackRecord(rejected=1.0)}
    assert said(worse, A, B) == {}
    assert said(worse, A, B, standings=(heard(A), heard(B))) == {}


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.ESTRANGED, Fate.DISTRUSTED])
def test_who_is_kept_out_of_a_lesson_is_to_blame_and_nobody_who_came_with_it(fate):
    why = (Reason.NOT_FINITE,) if fate is Fate.REFUSED else ()
    kept_out = [heard(name, fate, used=0, reasons=why) for name in (B, AgentId("old"))]
    standings = (heard(A), *kept_out)
    blamed = {B: TrackRecord(rejected=1.0)}
    assert said(ACCEPTED, A, B, standings=standings) == blamed | {A: TrackRecord(accepted=1.0)}
    assert said(Rejected((Reason.CONFLICT,)), A, B, standings=standings) == blamed
    both = blamed | {A: TrackRecord(rejected=1.0)}  # for A alone was learnt from
    assert said(Rejected((Reason.REGRESSION,)), A, B, standings=standings) == both
    standings = (*standings, heard(C))
    assert said(Rejected((Reason.REGRESSION,)), A, B, C, standings=standings) == blamed


@pytest.mark.parametrize("fate", [Fate.USED, Fate.UNALIGNED, Fate.TRIMMED])
def test_of_whom_nothing_was_learnt_has_no_share_in_a_success(fate):
    standings = (heard(A), heard(B, fate, used=0))
    assert said(ACCEPTED, A, B, standings=standings) == {A: TrackRecord(accepted=1.0)}


def test_a_packet_that_the_student_is_too_old_for_speaks_against_nobody():
    why = (Reason.UNSUPPORTED_DOMAIN,)
    strange = heard(B, Fate.REFUSED, used=0, reasons=why)
    assert said(Rejected(why), B, standings=(strange,)) == {}
    assert said(ACCEPTED, A, B, standings=(heard(A), strange)) == {A: TrackRecord(accepted=1.0)}


def test_whom_others_confirm_or_outvote_counts_once_the_exam_is_passed():
    standings = (
        heard(A, confirmed=3),
        heard(B, confirmed=1, outvoted=2),
        heard(C, used=0, outvoted=3),
    )
    assert said(ACCEPTED, A, B, C, standings=standings) == {
        A: TrackRecord(accepted=0.5, agreed=3.0),
        B: TrackRecord(accepted=0.5, agreed=1.0, disputed=2.0),
        C: TrackRecord(disputed=3.0),
    }
    assert said(Rejected((Reason.REGRESSION,)), A, B, C, standings=standings) == {}


def test_of_an_organisation_only_those_are_credited_who_came():
    both = replace(heard(A), voter="house", teachers=(A, B))
    assert said(ACCEPTED, B, standings=(both,)) == {B: TrackRecord(accepted=1.0)}


@pytest.mark.parametrize("reason", Reason)
def test_only_reasons_that_speak_against_a_packet_count(reason):
    telling = reason in TELLING
    assert bool(said(Rejected((reason,)), A, known=True)) is telling
    assert bool(said(Rejected((reason,)), A, known=False)) is (telling or reason in NOTHING_NEW)


def test_no_reason_that_is_about_signatures_or_the_network_counts():
    silent = {
        Reason.UNKNOWN_KEY,
        Reason.REVOKED_KEY,
        Reason.BAD_SIGNATURE,
        Reason.REPLAYED,
        Reason.WRONG_AUDIENCE,
        Reason.PEER_UNAVAILABLE,
        Reason.DEADLINE,
        Reason.INTERRUPTED,
        Reason.STORAGE,
        Reason.INTERNAL,
        Reason.UNDECIDED,
    }
    assert silent.isdisjoint(TELLING | NOTHING_NEW)
