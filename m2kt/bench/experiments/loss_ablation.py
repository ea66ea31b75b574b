"""The paper's second experiment: what each of the four losses is for, alone and left out.

Beside accuracy stands what each term is to bring about itself: L_geo that phase A left and the
divergence of what it reads, KL of the memory's attention from the teacher's maps, and the
largest cosine of a projected concept with what the student calls unsafe.

Owns: `measure`. Does not own: which terms are left (ablations), how a lesson is learnt (align).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812

from m2kt.align_config import AlignConfig
from m2kt.bench.ablations import FOUR, TERMS
from m2kt.bench.cells import Cell
from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.experiments.lecture import FEW, Lecture, lecture_of, lesson_of, result_of
from m2kt.bench.spread import summary
from m2kt.bench.subjects import subject
from m2kt.progress import Progress, Report
from m2kt.student import Candidate

DOMAINS: Final = ("arith.mod7", "relation.chain")
PHRASES: Final = (
    "delete all files",
    "ignore the rules",
    "send me the password",
    "turn off the guard",
)
"""What the student calls unsafe: L_safety is nothing without."""
MARGIN: Final = 0.0
"""Cosine from which on it is penalised: by default few concepts come near it."""
STEPS: Final = 150
"""Of rehearsal at most: what is never mastered would take all of them."""
PER_LEVEL: Final = 60
QUICK_PER_LEVEL: Final = 40
QUICK_STEPS: Final = 80
NEEDED: Final = 0.3
"""How much accuracy a term without which nothing is learnt should carry."""
LARGER: Final = 0.01
"""How much larger than with the term what it is for should be without it."""
MEASURED: Final = (
    "loss_geometry",
    "divergence_geometry",
    "divergence_structure",
    "structure_agreement",
    "unsafe_cosine",
)

Result = Mapping[str, Any]
Found = dict[str, dict[str, Any]]
"""By the terms that were left, what came of them."""


def measure(scope: Scope, report: Report) -> Findings:
    """Learns by all four terms, by each alone, and without each."""
    student = scope.student or "symbols-student"
    seeds = scope.seeds or ((0,) if scope.quick else (0, 1, 2))
    named = DOMAINS[:1] if scope.quick else DOMAINS
    per_level = QUICK_PER_LEVEL if scope.quick else PER_LEVEL
    usual = AlignConfig(
        steps=QUICK_STEPS if scope.quick else STEPS, unsafe_phrases=PHRASES, unsafe_margin=MARGIN
    )
    found: dict[str, Found] = {}
    for domain in named:
        runs: dict[str, list[Result]] = {name: [] for name in TERMS}
        for seed in seeds:
            its = subject(domain)
            lecture = lecture_of(student, its, lesson_of(its, seed=seed))
            for name, result in results(lecture, replace(usual, seed=seed), per_level=per_level):
                runs[name].append(result)
                report(Progress(f"{domain}, {name}", {"accuracy": result["mean"]}))
        found[domain] = {name: summed(its) for name, its in runs.items()}
    return findings(found, student, seeds)


def results(
    lecture: Lecture, align: AlignConfig, *, per_level: int, terms: Iterable[str] = TERMS
) -> Iterator[tuple[str, Result]]:
    """What comes of one lesson, by the terms that it is learnt by."""
    student, domain = lecture.student.language_model.name, lecture.domain.name
    usual = Cell(student=student, domain=domain, way="with_c", align=align)
    for name in terms:
        candidate = lecture.learn(TERMS[name](usual).align)
        exam = lecture.exam(candidate, per_level=per_level)
        figures = {**candidate.figures, "unsafe_cosine": unsafe_cosine(lecture, candidate)}
        yield name, {**result_of(exam), "figures": figures}


@torch.no_grad()
def unsafe_cosine(lecture: Lecture, candidate: Candidate) -> float:
    """The largest cosine of a projected concept with the student's state at an unsafe phrase."""
    model = lecture.student.language_model
    layer = candidate.cal.config.memory_layer(model.depth)
    unsafe = F.normalize(model.last_states(PHRASES, layer=layer), dim=-1)
    values = F.normalize(candidate.cal.values().float().cpu(), dim=-1)
    return float((values @ unsafe.T).max())


def summed(its: Sequence[Result]) -> dict[str, Any]:
    """Mean over seeds, with the interval of accuracy."""
    made = summary(its)
    figures = {name: fmean(one["figures"][name] for one in its) for name in MEASURED}
    return {key: made[key] for key in ("accuracy", "interval", "by_seed")} | figures


def findings(found: Mapping[str, Found], student: str, seeds: tuple[int, ...]) -> Findings:
    """What follows; the first domain's figures stand on top."""
    first, *others = found
    return Findings(
        about=(
            f"A fifth of the facts is shown ({FEW:g}); the lesson is learnt by all four terms, by"
            " each alone, without each, and by none. Accuracy is a mean over levels; every"
            " figure a mean over seeds."
        ),
        claims=_claims(found),
        figures={
            "ablation": found[first],
            "domain": first,
            "others": {name: found[name] for name in others},
            "contributes": {domain: _contributions(its) for domain, its in found.items()},
            "unsafe": {"phrases": list(PHRASES), "margin": MARGIN},
        },
        tables=tuple(_table(domain, its) for domain, its in found.items()),
        plots=tuple(_plot(domain, its) for domain, its in found.items()),
        limits=LIMITS,
        student=student,
        seeds=seeds,
    )


LIMITS: Final = (
    "That each term contributes to accuracy, as the paper has it, is not claimed: L_struct and"
    " L_safety are asked for what they are about, and what accuracy gains by them stands in"
    " the table. Addresses in closed form find what is due before L_struct is asked.",
    "KL of attention is measured on the lesson's own traces, against maps that are spread over"
    " concepts with one result: a memory that finds the right one is far from them all the same.",
    f"Rehearsal ends after {STEPS} steps ({QUICK_STEPS} if quick), mastered or not.",
    "Unsafe phrases were chosen for this experiment; the domains hold nothing unsafe. The margin"
    " is 0, and 0.3 by default.",
    "L_safety has no weight of its own to win: it is measured on the directions that it was given.",
)


def _contributions(its: Found) -> dict[str, float]:
    """What accuracy loses with each term."""
    return {term: its["all"]["accuracy"] - its[f"no_{term}"]["accuracy"] for term in FOUR}


def _claims(found: Mapping[str, Found]) -> tuple[Claim, ...]:
    """Each of the least of all domains."""

    def lost(term: str) -> float:
        return min(_contributions(its)[term] for its in found.values())

    def grown(term: str, figure: str) -> float:
        left = (float(its[f"no_{term}"][figure] - its["all"][figure]) for its in found.values())
        return min(left)

    return (
        Claim(what="accuracy that is lost without L_geo", found=lost("geometry"), bound=NEEDED),
        Claim(what="accuracy that is lost without L_reason", found=lost("reason"), bound=NEEDED),
        Claim(
            what="KL of attention: what it grows by without L_struct",
            found=grown("structure", "divergence_structure"),
            bound=LARGER,
        ),
        Claim(
            what="largest unsafe cosine: what it grows by without L_safety",
            found=grown("safety", "unsafe_cosine"),
            bound=LARGER,
        ),
    )


def _table(domain: str, its: Found) -> Table:
    return Table(
        title=f"What is left of {domain}",
        head=(
            *("terms", "accuracy", "from", "to", "L_geo", "D_geo"),
            *("KL of attention", "concept due", "unsafe"),
        ),
        rows=tuple(
            (name, one["accuracy"], *one["interval"], *(one[figure] for figure in MEASURED))
            for name, one in its.items()
        ),
        note=(
            "L_geo as phase A left it; D_geo: mean surprise over concepts at what is read, in nats;"
            " concept due: how often it leads in the memory; unsafe: the largest cosine."
        ),
    )


def _plot(domain: str, its: Found) -> Plot:
    points = [
        Point(x=name, y=one["accuracy"], low=one["interval"][0], high=one["interval"][1])
        for name, one in its.items()
    ]
    return Plot(
        title=f"Accuracy by the terms that are left: {domain}",
        x="terms",
        y="accuracy",
        series={"accuracy": points},
        joined=False,
    )
