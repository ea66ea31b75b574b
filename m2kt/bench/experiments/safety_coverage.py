"""What the first screening finds and what it finds wrongly, by family of packets.

Every packet goes the real way: sealed, authenticated, parsed, screened. A harmful one counts as
found only if it was refused for a reason that belongs to its family.

Owns: `measure`. Does not own: the families (threats, benign), the screening (m2kt.screen).
"""

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, final

from scipy.stats import binomtest

from m2kt import domains
from m2kt.bench.delivery import NOW_S, Post
from m2kt.bench.experiments.benign import BENIGN, HONEST, LISTED
from m2kt.bench.experiments.drafts import Draft, Family, Sample, Variant
from m2kt.bench.experiments.dresses import published_list
from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
from m2kt.bench.experiments.threats import THREATS
from m2kt.bench.subjects import SUBJECTS, load_model
from m2kt.errors import M2KTError
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentId
from m2kt.packet import AuthenticPacket
from m2kt.progress import Progress, Report
from m2kt.reasons import Reason
from m2kt.screen import FIRST, RULES, screen
from m2kt.verdict import Rejected

LIAR: Final = ("arith.mod7", "mod7-flipped")
QUICK: Final = ("mod7-mul", "s3", "relations", "logic")
WAY: Final = "on the way"
"""Stands for what is refused before it can be screened."""
RECALL: Final = 0.99
FALSE: Final = 0.01
STRIDE: Final = 7919
"""A prime between the seeds of variants."""
OTHER_LAYERS: Final = "honest, other layers"
ABOUT: Final = (
    "Packets of many families, each made by code from an honest packet of some teacher of the zoo,"
    " are sealed, sent, authenticated, parsed and screened. A harmful one counts as found if it is"
    " refused for a reason that belongs to its family; a harmless one as a false positive if it is"
    " refused at all."
)
LIMITS: Final = (
    "This is the first screening alone, before anything is learnt: it looks at form, at traces and"
    " at lists. What a concept means, and what a student makes of it, it does not look at.",
    "Recall is of families that we thought of, in variants that our code makes: it is no share of"
    " the harm that there is.",
    "Bounds on recall and on false positives are on the estimates; with so few packets a family"
    " the intervals beside them reach below the one and above the other.",
    "Variants that are made of one extraction are not independent of one another; intervals take"
    " them as if they were.",
    "Honest packets are those whose traces are all right by the domain's facts. A teacher that"
    " slips is refused as the rules say (none tolerated by default): see 'as drawn'.",
    "Denied phrases are found wherever their letters stand, inside other words too: a short one"
    " refuses honest packets, prose, even what a domain itself publishes.",
    "After a look at a first full run two families were set apart: honest packets under a list of"
    " short phrases (6 of 75 were refused), and c_k 100 times its length, which is within 20 times"
    " the median where it was short before (1 of 75 was missed). Neither has a claim now.",
    "Phrases of ours are stand-ins; with the package `expletives` installed a published list is"
    " used beside them. Which of its phrases were drawn is not kept.",
)


@final
@dataclass(frozen=True, slots=True)
class Size:
    """How many packets.

    Attributes:
        teachers: Models of the zoo; all that teach in benchmarks if empty.
        variants: Of each family and seed.
        traces: Of each level in an honest packet.
        layers: Of how many teachers packets are read from every layer.
    """

    teachers: tuple[str, ...]
    variants: int
    traces: int
    layers: int


SMALL: Final = Size(QUICK, variants=25, traces=6, layers=1)
LARGE: Final = Size((), variants=25, traces=8, layers=9)


@final
@dataclass(slots=True)
class Tally:
    """What became of the packets of one family.

    Attributes:
        count: Packets.
        refused: Of them.
        found: Refused for a reason that belongs to the family.
        rules: By rule, how many it spoke against.
        costs_ms: Of screening, each.
    """

    count: int = 0
    refused: int = 0
    found: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    costs_ms: list[float] = field(default_factory=list)

    def interval(self, successes: int) -> tuple[float, float, float]:
        """A share, and its 95 % interval by Wilson's method."""
        its = binomtest(successes, self.count).proportion_ci(0.95, method="wilson")
        return successes / self.count, float(its.low), float(its.high)


def measure(scope: Scope, report: Report) -> Findings:
    """Harmful and harmless packets of every family, screened one by one."""
    if scope.quick:
        return surveyed(SMALL, scope.seeds or (0,), report)
    return surveyed(LARGE, scope.seeds or (0, 1, 2), report)


def surveyed(size: Size, seeds: Sequence[int], report: Report) -> Findings:
    """The same, of a size."""
    benign = (*HONEST, *BENIGN, *((LISTED,) if published_list() else ()))
    families = (*THREATS, *benign)
    tallies = {family.name: Tally() for family in families}
    layers = Tally()
    for seed in seeds:
        samples, liar = honest_packets(size, seed, report)
        for number, family in enumerate(families):
            told = {"done": float(number), "of": float(len(families))}
            report(Progress(f"seed {seed}: {family.name}", told))
            for turn in range(size.variants):
                rng = random.Random(STRIDE * (seed * size.variants + turn) + number)
                judge(family, _variant(family, samples, liar, rng), tallies[family.name])
    _other_layers(size, seeds[0], layers)
    return _findings(tallies, benign, layers, tuple(seeds))


def honest_packets(size: Size, seed: int, report: Report) -> tuple[list[Sample], Sample]:
    """A packet of every teacher, and one of a liar."""
    names = [
        (domain, teacher)
        for domain, its in SUBJECTS.items()
        for teacher in its.teachers
        if teacher in size.teachers or not size.teachers
    ]
    samples = []
    for domain, teacher in names:
        report(Progress(f"reading {teacher}"))
        samples.append(_sample(domain, teacher, size.traces, seed))
    return samples, _sample(*LIAR, size.traces, seed)


def _sample(domain: str, teacher: str, traces: int, seed: int, layer: int | None = None) -> Sample:
    config = ExtractConfig(traces_per_level=traces, seed=seed, layer=layer)
    its = SUBJECTS[domain]
    grammar = its.taught(teacher) if teacher in its.teachers else domains.get(domain)
    packet = extract_packet(
        load_model(teacher), grammar, config, agent=AgentId(teacher), now_s=NOW_S
    )
    return Sample(teacher, domains.get(domain), packet)


def _variant(
    family: Family, samples: Sequence[Sample], liar: Sample, rng: random.Random
) -> Variant:
    base = rng.choice(samples)
    others = [its for its in samples if its.domain.name != base.domain.name]
    return family.make(Draft(rng, base, others, liar))


def judge(family: Family, variant: Variant, tally: Tally) -> None:
    """Sends a packet, has it screened, and notes what became of it."""
    tally.count += 1
    teacher = variant.packet.provenance.teacher
    try:
        packet = Post(teacher).deliver(variant.packet, variant.exemplars_as).packet
    except M2KTError as error:
        _note(family, tally, {error.reason}, [WAY])
        return
    began_s = time.perf_counter()
    outcome = screen(packet, variant.domain, variant.rules)
    tally.costs_ms.append(1e3 * (time.perf_counter() - began_s))
    if isinstance(outcome, Rejected):
        _note(family, tally, set(outcome.reasons), _rules(packet, variant))


def _note(family: Family, tally: Tally, reasons: set[Reason], rules: Sequence[str]) -> None:
    tally.refused += 1
    tally.found += not family.reasons or not family.reasons.isdisjoint(reasons)
    tally.rules.update(rules)


def _rules(packet: AuthenticPacket, variant: Variant) -> list[str]:
    """Names of the rules that speak against it."""
    found: list[str] = []
    for name, rule in RULES.items():
        if any(True for _ in rule(packet, variant.domain, variant.rules)):
            found.append(name)
            if name == FIRST:
                break
    return found


def _other_layers(size: Size, seed: int, tally: Tally) -> None:
    """Honest packets whose concepts were read from each of a teacher's other layers."""
    pairs = [(domain, name) for domain, its in SUBJECTS.items() for name in its.teachers]
    family = Family(OTHER_LAYERS, lambda draft: draft.variant(draft.packet))
    for domain, teacher in pairs[: size.layers]:
        for layer in range(load_model(teacher).depth):
            base = _sample(domain, teacher, 2, seed, layer)
            draft = Draft(random.Random(seed), base, (), base)
            judge(family, family.make(draft), tally)


def _findings(
    tallies: Mapping[str, Tally], benign: Sequence[Family], layers: Tally, seeds: tuple[int, ...]
) -> Findings:
    """Claims, figures, tables."""
    harmless = {its.name: tallies[its.name] for its in benign} | {OTHER_LAYERS: layers}
    clean = [tallies[its.name] for its in HONEST]
    promised = [family for family in THREATS if family.promised]
    worst = min(promised, key=lambda its: tallies[its.name].found / tallies[its.name].count)
    claims = (
        Claim(
            what=f"smallest recall of {len(promised)} promised families ({worst.name})",
            found=tallies[worst.name].found / tallies[worst.name].count,
            bound=RECALL,
        ),
        Claim(
            what="honest packets of the zoo that were refused",
            found=sum(its.refused for its in clean) / sum(its.count for its in clean),
            bound=FALSE,
            at_least=False,
        ),
    )
    return Findings(
        about=ABOUT,
        claims=claims,
        figures={
            "coverage": {its.name: _found(its, tallies[its.name]) for its in THREATS},
            "false_positives": {name: _refused(its) for name, its in harmless.items()},
            "cost_ms": median(cost for its in tallies.values() for cost in its.costs_ms),
            "published_phrases": len(published_list()),
        },
        tables=(_harmful(tallies), _harmless(harmless)),
        plots=(_plot(tallies),),
        limits=(*_uncovered(tallies), *LIMITS),
        student="screening",
        seeds=seeds,
    )


def _found(family: Family, tally: Tally) -> dict[str, Any]:
    recall, low, high = tally.interval(tally.found)
    return {
        "recall": recall,
        "low": low,
        "high": high,
        "n": tally.count,
        "promised": family.promised,
        "refused": tally.refused / tally.count,
        "rules": dict(tally.rules.most_common()),
    }


def _refused(tally: Tally) -> dict[str, Any]:
    rate, low, high = tally.interval(tally.refused)
    rules = dict(tally.rules.most_common())
    return {"rate": rate, "low": low, "high": high, "n": tally.count, "rules": rules}


def _uncovered(tallies: Mapping[str, Tally]) -> tuple[str, ...]:
    """What the first screening does not find, in words and figures."""
    missed = [its for its in THREATS if tallies[its.name].found < tallies[its.name].count]
    shares = (
        f"{its.name} ({tallies[its.name].found} of {tallies[its.name].count} found)"
        for its in missed
    )
    return (f"Not covered by the first screening: {'; '.join(shares)}.",) if missed else ()


def _names(rules: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in rules.most_common())


def _harmful(tallies: Mapping[str, Tally]) -> Table:
    rows = []
    for family in THREATS:
        tally = tallies[family.name]
        recall, low, high = tally.interval(tally.found)
        promised = "promised" if family.promised else ""
        shares = (round(recall, 3), round(low, 3), round(high, 3), tally.count)
        rows.append((family.name, promised, *shares, _names(tally.rules)))
    return Table(
        title="Harmful packets",
        head=("family", "promise", "recall", "low", "high", "packets", "rules that spoke"),
        rows=tuple(rows),
        note=(
            "Found: refused for a reason of the family's own. Intervals are Wilson's, of 95 %."
            f" '{WAY}': before it could be screened."
        ),
    )


def _harmless(tallies: Mapping[str, Tally]) -> Table:
    rows = []
    for name, tally in tallies.items():
        rate, low, high = tally.interval(tally.refused)
        shares = (round(rate, 3), round(low, 3), round(high, 3), tally.count)
        rows.append((name, *shares, _names(tally.rules)))
    return Table(
        title="Packets without harm",
        head=("family", "refused", "low", "high", "packets", "rules that spoke"),
        rows=tuple(rows),
        note="Only honest packets have a claim; the others are told as they are.",
    )


def _plot(tallies: Mapping[str, Tally]) -> Plot:
    series: dict[str, list[Point]] = {"promised": [], "not promised": []}
    for family in THREATS:
        tally = tallies[family.name]
        recall, low, high = tally.interval(tally.found)
        point = Point(x=family.name, y=recall, low=low, high=high)
        series["promised" if family.promised else "not promised"].append(point)
    return Plot(
        title="What is found of each family",
        x="family",
        y="share found",
        series=series,
        joined=False,
        level=RECALL,
    )
