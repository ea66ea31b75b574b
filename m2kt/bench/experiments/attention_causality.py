"""Do the attention heads behind A carry the steps? Taken away, against random sets of heads.

    choose   on some contrasts: heads by what each alone does to A, until 90 % of it is gone
    test     on others: what the chosen ones say is taken from another text (resample ablation)

Beside it: where they look is taken from another text, or made to be everywhere (pattern
patching), and heads that look as much where both texts are the same (negative control).
Zhang and Nanda (2024), arXiv 2309.16042.

Owns: `measure`. Does not own: what is measured of one teacher (head_ward), the test (head_test),
how a packet tells of heads (tested_heads).
"""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any, Final

from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.experiments.head_ward import Ward, examined
from m2kt.causality import Way
from m2kt.head_test import HeadTest, HeadTestConfig
from m2kt.progress import Progress, Report
from m2kt.tested_heads import SIGNIFICANT

QUICK: Final = ("mod7-addsub", "mod7-mul")
FULL: Final = (*QUICK, "mod10", "s3", "relations", "digits", "lists", "logic")
SEEDS: Final = (3, 4, 5)
"""Draws that nobody had looked at when the claims were made."""
NULL: Final = 0.95
"""Quantile of random sets that the chosen heads should exceed."""
PASSED: Final = 0.75
"""Share of chosen sets that should have that p."""
CONTROL: Final = 0.25
"""Of the effect of the chosen heads, what the negative control may have."""
LIMITS: Final = (
    "In a first full run, of draws 0 to 2, 21 of 24 chosen sets had p < 0.01, the worst 0.030. The"
    " claim was then made of heads that are sent, whose p is below 0.01 by definition; the others"
    " were made after that run and before this one.",
    "p is over sets of heads on one sample of contrasts, and says nothing of other contrasts: draws"
    " do. That of single heads takes contrasts as independent, though several recall one fact.",
    "Heads are tested at the place where a step's result is due, and nowhere else: what other"
    " places contribute before is part of what these heads bring.",
    "Contrasts exchange one character of a question; both texts are ones that the teacher gets"
    " right. Resampling shows that heads carry what differs between texts of one form, no more.",
    "A chosen set that fails is not sent: its heads have no weight in a packet. How many failed"
    " stands in the record as sets_tested and sets_passed.",
    "p has a floor of 1 / (1 + random sets). Random sets in the same layers come first; models of"
    " 16 or 20 heads have few, and the rest are drawn from all layers.",
    "Where heads look differs little between texts of one form where a model looks by place:"
    " a small effect of taking the pattern from the other text does not say that patterns do not"
    " matter; looking everywhere alike is told beside it, and nothing is claimed of either: in how"
    " many sets the pattern alone has p < 0.01 stands in the record as patterns_passed.",
    "A teacher with 8 heads (mod97) has too few sets of heads for this test, and is left out.",
)


def measure(scope: Scope, report: Report) -> Findings:
    """Tests the heads of every teacher, on each draw."""
    teachers = QUICK if scope.quick else FULL
    seeds = scope.seeds or (SEEDS[:1] if scope.quick else SEEDS)
    wards = []
    for seed in seeds:
        for teacher in teachers:
            report(Progress(f"heads of {teacher}, draw {seed}"))
            wards.append(examined(teacher, HeadTestConfig(seed=seed)))
    return findings(wards, seeds)


def findings(wards: Sequence[Ward], seeds: Sequence[int]) -> Findings:
    """What the tests of several teachers and draws show."""
    by_teacher = {name: _told(its) for name, its in _by_teacher(wards).items()}
    return Findings(
        about="The heads behind A are chosen on some contrasts, and what they say is taken from"
        " another text on others: how much of the step's logit difference, and of A, is then gone,"
        f" against {len(wards[0].found.others)} random sets of as many heads.",
        claims=_claims(wards),
        figures={
            "causality": {
                "p": _worst_sent(wards),
                "p_of_chosen": max(ward.found.p for ward in wards),
                "effect": fmean(ward.found.logits for ward in wards),
                "heads": [
                    {"teacher": ward.teacher} | head
                    for ward in wards
                    if ward.seed == seeds[0]
                    for head in _heads(ward.found)
                ],
            },
            "sets_tested": len(wards),
            "sets_passed": sum(ward.found.p < SIGNIFICANT for ward in wards),
            "patterns_passed": sum(ward.looks[Way.PATTERN][1] < SIGNIFICANT for ward in wards),
            "by_teacher": by_teacher,
        },
        tables=(_sets_table(wards), _looks_table(wards), _heads_table(wards, seeds[0])),
        plots=(*_dose_plots(wards, seeds[0]), _random_plot(wards, seeds[0])),
        limits=LIMITS,
        student=", ".join(by_teacher),
        seeds=tuple(seeds),
    )


def _claims(wards: Sequence[Ward]) -> tuple[Claim, ...]:
    """Each for the worst of all teachers and draws."""
    return (
        Claim(
            what="p of the heads that are sent, worst of teachers and draws",
            found=_worst_sent(wards),
            bound=SIGNIFICANT,
            at_least=False,
        ),
        Claim(
            what="draws in which a teacher has heads to send, fewest of teachers",
            found=float(min(sum(map(_sends, its)) for its in _by_teacher(wards).values())),
            bound=1.0,
        ),
        Claim(
            what="share of all chosen sets with p < 0.01, of A and of logits",
            found=fmean(ward.found.p < SIGNIFICANT for ward in wards),
            bound=PASSED,
        ),
        *_comparisons(wards),
    )


def _comparisons(wards: Sequence[Ward]) -> tuple[Claim, ...]:
    """The chosen heads beside others: drawn sets, the control, and as many drawn ones."""
    return (
        Claim(
            what="their effect less the 95th percentile of random sets, least of A and logits",
            found=min(min(above_random(ward.found)) for ward in wards),
            bound=0.0,
        ),
        Claim(
            what="effect of as many heads that look as much where texts are the same, as a share of"
            " that of the chosen ones, largest",
            found=max(ward.control.logits / ward.found.logits for ward in wards),
            bound=CONTROL,
            at_least=False,
        ),
        Claim(
            what="dose-response: effect of heads in order less that of as many drawn ones, mean"
            " over numbers of heads, least",
            found=min(fmean(own - drawn for own, drawn in ward.doses) for ward in wards),
            bound=0.0,
        ),
    )


def _by_teacher(wards: Sequence[Ward]) -> dict[str, list[Ward]]:
    names = dict.fromkeys(ward.teacher for ward in wards)
    return {name: [ward for ward in wards if ward.teacher == name] for name in names}


def _sends(ward: Ward) -> bool:
    """Whether a packet would give weight to some of its heads."""
    return any(head.weight > 0 for head in ward.found.tested)


def _worst_sent(wards: Sequence[Ward]) -> float:
    """The highest p of a head that has weight; 1 if none has."""
    sent = [head.p for ward in wards for head in ward.found.tested if head.weight > 0]
    return max(sent, default=1.0)


def above_random(found: HeadTest) -> tuple[float, float]:
    """Effect on A and on logits, each less the 95th percentile of random sets."""
    return (
        found.maps - float(found.random_maps.quantile(NULL)),
        found.logits - float(found.random_logits.quantile(NULL)),
    )


def _heads(found: HeadTest) -> list[dict[str, Any]]:
    return [asdict(head) for head in found.tested]


def _told(wards: Sequence[Ward]) -> dict[str, Any]:
    """Of one teacher: the worst and the mean of its draws, and heads by draw."""
    return {
        "family": wards[0].family,
        "p": max(ward.found.p for ward in wards),
        "effect": fmean(ward.found.logits for ward in wards),
        "effect_on_maps": fmean(ward.found.maps for ward in wards),
        "steps_still_right": fmean(ward.found.right for ward in wards),
        "control_p": min(ward.control.p for ward in wards),
        "control_effect": fmean(ward.control.logits for ward in wards),
        "draws": [
            {
                "seed": ward.seed,
                "p": ward.found.p,
                "effect": ward.found.logits,
                "heads": _heads(ward.found),
                "control": _heads(ward.control),
                "random_sets_in_the_same_layers": ward.found.matched,
                "random_mean": float(ward.found.random_logits.mean()),
            }
            for ward in wards
        ],
    }


def _name(ward: Ward) -> str:
    return f"{ward.teacher}, draw {ward.seed}"


def _sets_table(wards: Sequence[Ward]) -> Table:
    return Table(
        title="Chosen heads, taken away together",
        head=(
            "teacher",
            "heads",
            "effect on A",
            "on logits",
            "steps still right",
            "p",
            "random 95 %",
            "in the same layers",
            "control: effect",
            "control: p",
            "control: right",
        ),
        rows=tuple(
            (
                _name(ward),
                len(ward.found.chosen),
                ward.found.maps,
                ward.found.logits,
                ward.found.right,
                ward.found.p,
                float(ward.found.random_logits.quantile(NULL)),
                ward.found.matched,
                ward.control.logits,
                ward.control.p,
                ward.control.right,
            )
            for ward in wards
        ),
        note="An effect is a share of what all heads make. Without anything taken away all steps"
        " are right: others are not tested.",
    )


def _looks_table(wards: Sequence[Ward]) -> Table:
    return Table(
        title="Where the chosen heads look, taken alone",
        head=(
            "teacher",
            "of the other text",
            "p",
            "everywhere alike",
            "p ",
            "backward: of the other text",
            "backward: what they say",
            "attention where texts differ",
            "control: where they do not",
        ),
        rows=tuple(
            (
                _name(ward),
                *ward.looks[Way.PATTERN],
                *ward.looks[Way.UNIFORM],
                ward.backward[Way.PATTERN],
                ward.backward[Way.RESAMPLE],
                *ward.masses,
            )
            for ward in wards
        ),
        note="Effects on logits. Backward: text and other text exchanged, which tells how much of"
        " the first text's result its heads bring back into the other.",
    )


def _heads_table(wards: Sequence[Ward], seed: int) -> Table:
    rows = []
    for ward in (its for its in wards if its.seed == seed):
        sent = {(its.layer, its.head): its for its in ward.found.tested}
        for head in sorted(ward.found.order, key=ward.found.order.index):
            weight = sent[head].weight if head in sent else None
            rows.append(
                (
                    f"{ward.teacher} {head[0]}.{head[1]}",
                    float(ward.found.singles[head]),
                    float(ward.found.single_p[head]),
                    weight,
                )
            )
    return Table(
        title="Each head alone",
        head=("teacher layer.head", "effect on logits", "p, adjusted", "weight in the packet"),
        rows=tuple(rows),
        note="In the order in which they were chosen. Heads without a weight were not chosen; p is"
        " by signs over contrasts, adjusted over all heads of the model.",
    )


def _dose_plots(wards: Sequence[Ward], seed: int) -> tuple[Plot, ...]:
    return tuple(
        Plot(
            title=f"{ward.teacher}: heads taken away, one more at a time",
            x="heads",
            y="effect on logits",
            series={
                "in the order of A": _points([own for own, _ in ward.doses]),
                "drawn": _points([drawn for _, drawn in ward.doses]),
            },
            level=1.0,
            note=f"{len(ward.found.chosen)} heads were chosen, on other contrasts.",
        )
        for ward in wards
        if ward.seed == seed
    )


def _points(heights: Sequence[float]) -> list[Point]:
    return [Point(x=float(count), y=height) for count, height in enumerate(heights, 1)]


def _random_plot(wards: Sequence[Ward], seed: int) -> Plot:
    its = [ward for ward in wards if ward.seed == seed]
    return Plot(
        title="Chosen heads among random sets of as many",
        x="teacher",
        y="effect on logits",
        series={
            "random sets": [
                Point(x=ward.teacher, y=effect)
                for ward in its
                for effect in ward.found.random_logits.tolist()
            ],
            "control": [Point(x=ward.teacher, y=ward.control.logits) for ward in its],
            "chosen": [Point(x=ward.teacher, y=ward.found.logits) for ward in its],
        },
        joined=False,
        note="A dot for each random set.",
    )
