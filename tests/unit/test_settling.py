"""What is done about each concept."""

from dataclasses import replace

import pytest
import torch

from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.consensus import LEARNT, Decision, Fate
from m2kt.strategies import STRATEGIES, add
from tests.assembly import (
    FACTS,
    HIDDEN,
    RULES,
    TOLD,
    VIEW,
    believed,
    honest,
    liars,
    shifted,
    teacher,
    truth,
)

ONE = HIDDEN[:1]


def decisions(packets, rules=RULES) -> dict[str, Decision]:
    lesson = combine(packets, rules, VIEW)
    return {its.concept: its.decision for its in lesson.consensus.opinions}


def test_what_traces_tell_is_not_put_to_the_vote_and_what_all_say_is_taken():
    found = decisions(honest(3))
    assert {found[fact] for fact in TOLD} == {Decision.TOLD}
    assert {found[fact] for fact in HIDDEN} == {Decision.AGGREGATE}


def test_where_one_of_many_errs_the_others_are_followed():
    packets = [*honest(4), teacher("mistaken", shifted(only=ONE))]
    lesson = combine(packets, replace(RULES, hostile=1), VIEW)
    found = {its.concept: its for its in lesson.consensus.opinions}[ONE[0]]
    assert found.decision is Decision.ARBITRATE
    assert believed(lesson)[ONE[0]] == truth(ONE[0])
    shares = {voice.voter: voice.share for voice in found.voices}
    assert shares["mistaken"] == 0
    assert found.p < 0.05


@pytest.mark.parametrize(("right", "wrong"), [(1, 1), (2, 1), (3, 1), (2, 2), (7, 3)])
def test_where_too_many_differ_the_concept_is_not_learnt(right, wrong):
    packets = [*honest(right), *(teacher(f"other-{n}", shifted(only=ONE)) for n in range(wrong))]
    found = decisions(packets)
    assert found[ONE[0]] is Decision.ABSTAIN
    assert {its for fact, its in found.items() if fact != ONE[0]} <= LEARNT
    lesson = combine(packets, RULES, VIEW)
    assert ONE[0] not in {concept.spec.id for concept in lesson.concepts}


def test_a_root_of_trust_decides_where_voters_cannot():
    for wrong in ("honest", "liar"):
        word = shifted(only=ONE) if wrong == "liar" else truth
        packets = [
            *honest(2),
            *(teacher(f"other-{n}", shifted(only=ONE)) for n in range(2)),
            teacher("root", word, root=True),
        ]
        lesson = combine(packets, RULES, VIEW)
        assert believed(lesson)[ONE[0]] == word(ONE[0])


def test_where_a_root_stands_alone_against_many_nobody_is_followed():
    packets = [*honest(5), teacher("root", shifted(only=ONE), root=True)]
    assert decisions(packets)[ONE[0]] is Decision.ABSTAIN


@pytest.mark.parametrize("confirming", [1, 2])
def test_many_do_not_outvote_a_root_that_somebody_confirms(confirming):
    packets = [
        *honest(confirming),
        *(teacher(f"other-{n}", shifted(only=ONE)) for n in range(6)),
        teacher("root", root=True),
    ]
    assert believed(combine(packets, RULES, VIEW))[ONE[0]] == truth(ONE[0])


def test_one_voter_alone_never_overrules_a_root_of_trust():
    packets = [teacher("one", shifted(only=ONE)), teacher("root", root=True)]
    assert believed(combine(packets, RULES, VIEW))[ONE[0]] == truth(ONE[0])


def test_a_single_voice_is_believed_unless_liars_were_declared():
    packets = [*honest(3, facts=[*TOLD, *HIDDEN[1:]]), teacher("alone", facts=[*TOLD, *ONE])]
    assert decisions(packets)[ONE[0]] is Decision.UNOPPOSED
    declared = replace(RULES, hostile=1)
    assert decisions(packets, declared)[ONE[0]] is Decision.ABSTAIN
    rooted = [*packets, teacher("root", root=True, facts=[*TOLD, *ONE])]
    assert decisions(rooted, declared)[ONE[0]] in LEARNT


def test_what_only_liars_have_is_quarantined_and_does_not_count_as_unsettled():
    packets = [*honest(5, facts=[*TOLD, *HIDDEN[1:]]), *liars(1)]
    lesson = combine(packets, RULES, VIEW)
    assert {o.concept for o in lesson.consensus.opinions if o.decision is Decision.QUARANTINE} == {
        ONE[0]
    }
    assert lesson.consensus.unsettled == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_keeps_what_honest_teachers_say(name):
    packets = [*honest(7), teacher("root", root=True)]
    lesson = combine(packets, replace(RULES, strategy=name), VIEW)
    assert believed(lesson) == {fact: truth(fact) for fact in HIDDEN}
    for concept in lesson.concepts:
        assert sum(source.weight for source in concept.sources) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["geometric_median", "krum", "multi_krum", "bulyan"])
def test_a_robust_rule_alone_bears_a_liar_that_the_mean_follows_part_of_the_way(name):
    packets = [*honest(6), *liars(1)]
    alone = replace(RULES, strategy=name, guarded=False, before=(), hostile=1)
    lesson = combine(packets, alone, VIEW)
    assert believed(lesson) == {fact: truth(fact) for fact in HIDDEN}
    share = {its.voter: its.share for its in lesson.consensus.standings}
    if name != "geometric_median":
        hidden = [o for o in lesson.consensus.opinions if o.concept in HIDDEN]
        lied = [v.share for o in hidden for v in o.voices if v.voter == "liar-0"]
        assert max(lied) == 0, share


def test_a_rule_of_ones_own_is_one_function_with_a_name():
    def loudest(ballot):
        which = ballot.points.norm(dim=2).argmax(dim=1, keepdim=True)
        return torch.zeros(ballot.points.shape[:2]).scatter(1, which, 1.0)[:, :, None]

    add("loudest", loudest)
    try:
        lesson = combine(honest(3), replace(RULES, strategy="loudest", before=()), VIEW)
        hidden = [c for c in lesson.concepts if c.spec.id in HIDDEN]
        assert {len(concept.sources) for concept in hidden} == {1}
    finally:
        del STRATEGIES["loudest"]


@pytest.mark.parametrize("before", [RULES.before, ("bucketing",), ()])
@pytest.mark.parametrize("count", [2, 5])
def test_a_voters_record_is_its_weight_whatever_is_done_to_points_before(before, count):
    rules = replace(RULES, strategy="reputation_weighted", before=before)
    trust = {f"honest-{number}": 0.1 for number in range(1, count)} | {"honest-0": 0.9}
    packets = honest(count, noise=0.01)

    def share(record):
        opinions = combine(packets, rules, VIEW, record).consensus.opinions
        [its] = [its for its in opinions if its.concept in ONE]
        return {voice.voter: voice.share for voice in its.voices}["honest-0"]

    assert share(trust) == pytest.approx(0.9 / sum(trust.values()), rel=0.02)
    assert share(None) <= 0.51  # without one it is a voter like the others


def test_a_rule_that_weighs_nobody_leaves_the_concept_out():
    lesson = combine(honest(3), replace(RULES, strategy="fltrust"), VIEW)
    found = {its.concept: its.decision for its in lesson.consensus.opinions}
    assert {found[fact] for fact in HIDDEN} == {Decision.ABSTAIN}
    assert {concept.spec.id for concept in lesson.concepts} == set(TOLD)


def test_all_facts_are_decided():
    assert set(decisions([*honest(4), *liars(1)])) == set(FACTS)


@pytest.mark.parametrize(
    ("name", "voters", "hostile"),
    [
        (name, voters, hostile)
        for name, rule in STRATEGIES.items()
        for voters, hostile in [(5, 2), (7, 1), (7, 2), (7, 3)]
        if rule.fewest(hostile) <= voters
    ],
)
def test_where_pairs_are_too_few_points_for_the_rule_it_bears_fewer_hostile_ones(
    name, voters, hostile
):
    rules = CombineRules(strategy=name, before=("bucketing",), hostile=hostile)
    lesson = combine(honest(voters), rules, VIEW)
    assert len(lesson.concepts) == (len(TOLD) if name == "fltrust" else len(FACTS))
    for concept in lesson.concepts:
        assert sum(source.weight for source in concept.sources) == pytest.approx(1)


def test_who_must_be_hostile_for_so_few_to_be_wrong_is_not_heard_at_all():
    """Two against two, twice, over different honest ones: more than two would have to lie."""
    apart = [HIDDEN[:1], HIDDEN[1:2]]
    lied = shifted(only=HIDDEN[:2])
    some = [*TOLD, *HIDDEN[4:]]
    packets = [
        *(teacher(f"first-{n}", facts=[*some, *apart[0]]) for n in range(2)),
        *(teacher(f"second-{n}", facts=[*some, *apart[1]]) for n in range(2)),
        *honest(4, facts=some),
        *(teacher(f"subtle-{n}", lied) for n in range(2)),
    ]
    lesson = combine(packets, RULES, VIEW)
    fates = {its.voter: its.fate for its in lesson.consensus.standings}
    assert {name for name, its in fates.items() if its is Fate.IMPLICATED} == {
        "subtle-0",
        "subtle-1",
    }
    said = believed(lesson)
    assert {fact: said[fact] for fact in HIDDEN[:2]} == {f: truth(f) for f in HIDDEN[:2]}
    assert lesson.consensus.unsettled == 0
    alone = replace(RULES, guarded=False, hostile=2)  # concepts with too few votes are left out
    fates = {its.voter: its.fate for its in combine(packets, alone, VIEW).consensus.standings}
    assert set(fates.values()) == {Fate.USED}
