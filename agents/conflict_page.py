"""The page of a lesson's consensus: who taught what, who differed, and what the student did.

Owns: what the page says and in which order. Does not own: the heat map (conflict_plots), the
shell (page), the values (m2kt.consensus).
"""

from collections.abc import Iterable
from typing import Final

from m2kt.consensus import LEARNT, Consensus, Decision, Fate, Opinion, Standing

from .conflict_plots import MOST_ROWS, heat_map
from .page import facts, figure, page, section, table, tile

MEANINGS: Final = {
    Decision.AGGREGATE: "voters agree: the rule makes them one",
    Decision.TOLD: "traces that check tell it: nobody was asked",
    Decision.UNOPPOSED: "one voter alone, or nothing to hold it against: equal shares",
    Decision.ARBITRATE: "voters differ: those are followed whom enough others, or a root, confirm",
    Decision.ABSTAIN: "voters differ, or are too few: not learnt",
    Decision.QUARANTINE: "only those have it who are kept out: not learnt",
}


def build_conflict_page(transfer: str, consensus: Consensus) -> str:
    """The page, as HTML without a single external resource.

    Args:
        transfer: Id of the transfer.
        consensus: Of its verdict.
    """
    decisions = consensus.decisions
    learnt = sum(count for its, count in decisions.items() if its in LEARNT)
    out = [its for its in consensus.standings if its.fate is not Fate.USED]
    return page(
        f"M2KT {transfer}",
        f"{len(consensus.standings)} voters, {learnt} concepts learnt",
        f"Rule: {consensus.rule}; it was to bear {consensus.hostile} hostile voters.",
        tiles=[
            tile(str(learnt), "concepts learnt"),
            tile(str(decisions[Decision.ARBITRATE]), "disputes settled"),
            tile(str(decisions[Decision.ABSTAIN]), "not settled, not learnt"),
            tile(str(len(out)), "voters kept out", good=not out),
        ],
        sections=[
            section("Concepts by voters", figure(heat_map(consensus), _caption(consensus))),
            section("Voters", _voters(consensus.standings)),
            section("Where they differ", _disputes(consensus.disputed)),
            section(
                "What was decided",
                facts((f"{count}", MEANINGS[its]) for its, count in decisions.items() if count),
            ),
        ],
    )


def _caption(consensus: Consensus) -> str:
    shown = min(MOST_ROWS, len(consensus.opinions))
    return (
        f"{shown} of {sum(consensus.decisions.values())} concepts, the disputed ones first, then"
        " those on which voters are furthest apart. In each cell the symbol that the voter's"
        " concept is nearest to in the student's space; none where traces tell it."
    )


def _voters(standings: Iterable[Standing]) -> str:
    rows = [
        [
            f"{its.voter}{' (root of trust)' if its.root else ''}",
            its.fate.value,
            str(its.concepts),
            str(its.used),
            str(its.outvoted),
            f"{its.share:.3f}",
            f"{its.fit:.3f}",
            f"{its.affinity:.3f}",
        ]
        for its in standings
    ]
    head = ("voter", "", "concepts", "used", "outvoted", "mean share", "fit", "agreement")
    whys = [(its.voter, its.why) for its in standings if its.why]
    return table(head, rows) + (facts(whys) if whys else "")


def _disputes(disputed: Iterable[Opinion]) -> str:
    rows = [
        [
            its.concept,
            its.decision.value,
            ", ".join(f"{v.voter}: {v.says or 'not asked'} ({v.fate.value})" for v in its.voices),
            f"{its.dispersion:.3f}",
            f"{its.p:.4f}",
        ]
        for its in disputed
    ]
    if not rows:
        return "<p>Nowhere by more than honest teachers would.</p>"
    return table(("concept", "", "who said what", "dispersion", "p"), rows, numeric=False)
