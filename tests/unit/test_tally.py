"""The report: who said what, with which share, and what became of it."""

from dataclasses import replace

from m2kt.combine import combine
from m2kt.consensus import MOST_OPINIONS, Decision, Fate
from tests.assembly import FACTS, HIDDEN, RULES, TOLD, VIEW, honest, liars, shifted, teacher


def test_every_voice_has_what_it_says_its_share_and_its_fate():
    packets = [*honest(4), teacher("mistaken", shifted(2, only=HIDDEN[:1]))]
    consensus = combine(packets, replace(RULES, hostile=1), VIEW).consensus
    (disputed,) = consensus.disputed
    assert disputed.concept == HIDDEN[0]
    said = {voice.voter: voice for voice in disputed.voices}
    assert said["mistaken"].fate is Fate.OUTVOTED
    assert said["mistaken"].says == shifted(2)(HIDDEN[0])
    assert {said[f"honest-{n}"].fate for n in range(4)} <= {Fate.USED, Fate.TRIMMED}
    told = next(its for its in consensus.opinions if its.concept in TOLD)
    assert {voice.says for voice in told.voices} == {""}


def test_a_standing_tells_why_a_voter_is_kept_out_of_the_lesson():
    consensus = combine([*honest(5), *liars(1)], RULES, VIEW).consensus
    standings = {its.voter: its for its in consensus.standings}
    liar, other = standings["liar-0"], standings["honest-0"]
    assert (liar.fate, liar.used, liar.share) == (Fate.ESTRANGED, 0, 0.0)
    assert f"{liar.affinity:.2f}" in liar.why
    assert (other.fate, other.why, other.concepts) == (Fate.USED, "", len(FACTS))
    assert other.affinity > liar.affinity
    assert other.fit == 1.0


def test_who_is_confirmed_by_others_is_counted_and_nobody_confirms_himself():
    def confirmed(*packets, rules=RULES):
        found = combine([*packets], rules, VIEW).consensus.standings
        return {its.voter: (its.confirmed, its.used) for its in found}

    assert confirmed(*honest(1)) == {"honest-0": (0, len(FACTS))}
    alike = confirmed(*honest(3))
    assert set(alike.values()) == {(len(HIDDEN), len(FACTS))}  # what traces tell is put to no vote
    mistaken = teacher("mistaken", shifted(only=HIDDEN[:2]))
    assert confirmed(*honest(6), mistaken)["mistaken"] == (len(HIDDEN) - 2, len(FACTS) - 2)
    alone = replace(RULES, strategy="best_teacher_per_concept", guarded=False)
    strangers = confirmed(*honest(1), *liars(1), rules=alone)
    assert {count for count, _ in strangers.values()} == {0}


def test_who_is_outvoted_is_counted_and_abstaining_is_nobodys_fault():
    packets = [*honest(6), teacher("mistaken", shifted(only=HIDDEN[:2]))]
    consensus = combine(packets, RULES, VIEW).consensus
    assert {its.voter: its.outvoted for its in consensus.standings}["mistaken"] == 2
    torn = combine([*honest(1), *liars(1)], RULES, VIEW).consensus
    hidden = [its for its in torn.opinions if its.concept in HIDDEN]
    assert {voice.fate for its in hidden for voice in its.voices} == {Fate.ABSTAINED}
    assert torn.unsettled == len(HIDDEN) / len(FACTS)


def test_a_teacher_that_does_not_fit_is_said_to_be_unaligned():
    consensus = combine([*honest(2), teacher("noise", noise=50.0)], RULES, VIEW).consensus
    standings = {its.voter: its for its in consensus.standings}
    assert standings["noise"].fate is Fate.UNALIGNED
    assert standings["noise"].used == 0


def test_decisions_are_counted_also_of_concepts_that_are_not_told_of(monkeypatch):
    monkeypatch.setattr("m2kt.tally.MOST_OPINIONS", 5)
    packets = [*honest(6), teacher("mistaken", shifted(only=HIDDEN[-2:]))]
    consensus = combine(packets, RULES, VIEW).consensus
    assert len(consensus.opinions) == 5 < MOST_OPINIONS
    assert {its.concept for its in consensus.disputed} == set(HIDDEN[-2:])
    assert sum(consensus.decisions.values()) == len(FACTS)
    assert consensus.decisions[Decision.ARBITRATE] == 2
