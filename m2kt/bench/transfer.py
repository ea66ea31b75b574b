"""What transfer reaches, what carries it, and what else it would have cost: the whole comparison.

    domains     every domain: teachers, student before, after, retention
    controls    a packet with what it is said to carry taken out of it, a fifth of the facts shown
    reveal      the same by the share of the facts that traces show
    geometry    the same where concepts are no facts: what no trace shows has to be worked out
    ablations   a fifth of the facts shown, with a part of the learning left out
    baselines   other ways on the first domain, by the number of examples
    ingest      how much faster a lesson is learnt than by others to the same accuracy (ingest)
    reduction   1 - ours / theirs in examples, tokens and bytes, theirs being the least that
                matched our accuracy; if nothing did, the most that was tried, as a lower bound

A comparison may be of some of these parts only: `table`, `controls`, `reveal`,
`geometry`, `ablations`, `baselines`, `ingest`.

Every figure is a mean over levels, then over seeds. Intervals hold 95 % of a bootstrap that
draws seeds, and problems within each.

Owns: which cells there are, and the record. Does not own: running them (matrix).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final, final

from m2kt.align import AlignConfig
from m2kt.bench.ablations import ABLATIONS
from m2kt.bench.baselines import TextConfig
from m2kt.bench.cells import PROMPTED, TEACHER, Cell
from m2kt.bench.controls import CONTROLS
from m2kt.bench.ingest import IngestConfig, measure_ingest
from m2kt.bench.machine import describe
from m2kt.bench.matrix import run_all
from m2kt.bench.spread import summary
from m2kt.bench.subjects import SUBJECTS
from m2kt.errors import RequestError
from m2kt.language_model import SMOLLM2
from m2kt.progress import Report

FORMAT: Final = "m2kt.bench.transfer/1"
OURS: Final = "with_c"
CURVES: Final = ("with_c", "without_c", "shuffled_c", "random_c")
FEW: Final = 0.2
"""Share of the facts that traces show when it is asked what C carries."""
DISTILLED: Final = "distillation"
OTHERS: Final = (DISTILLED, "sequences", "packet_text")
PARTS: Final = ("table", "controls", "reveal", "geometry", "ablations", "baselines", "ingest")
RELATED: Final = "arith.mod97"
"""Domain whose concepts are numbers and operators, and no facts."""
FLOAT_BYTES: Final = 4

Results = Mapping[Cell, Mapping[str, Any]]


def _brief() -> IngestConfig:
    return IngestConfig(align=AlignConfig(steps=200))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """What is compared.

    Attributes:
        student: Name of its model.
        parts: Of `PARTS`, those that are compared.
        domains: Of the main table.
        curved: Domain of the curves.
        compared: Domain that baselines are run on; one teacher must know all of it, or what
            they are given would say less than what they are asked.
        controlled: Domains that controls are run on.
        seeds: Of alignments and packets.
        reveal: Shares of the facts that traces show.
        related: Who learns relations: its tokenizer has one token for each of 97 numbers.
        geometry: Shares of the facts that traces show there.
        examples: Numbers of examples that each baseline is given.
        per_level: Held-out problems of each level.
        traces_per_level: Of each packet.
        text: How baselines learn.
        workers: Processes side by side.
        threads: Of torch, in each.
        align: How lessons are learnt.
        relating: The same of relations.
        ingest: How fast; the student and all threads are those of the comparison.
    """

    student: str = "symbols-student"
    parts: tuple[str, ...] = PARTS
    domains: tuple[str, ...] = tuple(name for name in SUBJECTS if name != RELATED)
    curved: str = "arith.mod7"
    compared: str = "arith.mod10"
    controlled: tuple[str, ...] = ("arith.mod7", "relation.chain")
    seeds: tuple[int, ...] = (0, 1, 2)
    reveal: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    related: str = SMOLLM2
    geometry: tuple[float, ...] = (0.02, 0.05, 0.1)
    examples: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000, 50_000)
    per_level: int = 100
    traces_per_level: int = 60
    text: TextConfig = field(default_factory=TextConfig)
    workers: int = 2
    threads: int = 1
    align: AlignConfig = field(default_factory=AlignConfig)
    relating: AlignConfig = field(default_factory=AlignConfig)
    ingest: IngestConfig = field(default_factory=_brief)

    def __post_init__(self) -> None:
        if not self.domains or not self.seeds or set(self.domains) - set(SUBJECTS):
            raise RequestError(
                f"expected seeds, and domains of {', '.join(SUBJECTS)}, found"
                f" {len(self.seeds)} seeds and {', '.join(self.domains) or 'no domain'}"
            )
        if not self.parts or set(self.parts) - set(PARTS):
            found = ", ".join(self.parts) or "none"
            raise RequestError(f"expected parts of {', '.join(PARTS)}, found {found}")


QUICK: Final = TransferConfig(
    parts=tuple(part for part in PARTS if part != "ablations"),
    domains=("arith.mod7", "relation.chain"),
    compared="relation.chain",
    seeds=(0,),
    reveal=(0.2, 1.0),
    geometry=(0.05,),
    relating=AlignConfig(steps=200),
    examples=(300, 3_000),
    per_level=60,
)
"""One pair, two domains, all controls, one seed."""


def measure_transfer(config: TransferConfig, folder: Path, report: Report) -> dict[str, Any]:
    """Runs what is not there yet, and makes the record.

    Raises:
        M2KTError: a cell could not be run; the others are kept in `folder`.
    """
    results = run_all(
        cells_of(config), folder, workers=config.workers, threads=config.threads, report=report
    )
    record = record_of(config, results)
    if "ingest" in config.parts:
        threads = config.workers * config.threads
        how = replace(config.ingest, student=config.student, threads=threads)
        record["ingest"] = measure_ingest(how, report)["ingest"]
    return record


def cells_of(config: TransferConfig) -> list[Cell]:
    """All that have to be run, the main table's first."""
    cells: dict[str, list[Cell]] = {
        "table": [
            *_seeds(config, [_cell(config, name, OURS) for name in config.domains]),
            *(_cell(config, n, way) for n in config.domains for way in (TEACHER, *PROMPTED)),
        ],
        "controls": [
            *(_cell(config, name, way) for name in config.controlled for way in PROMPTED),
            *_seeds(
                config,
                [_cell(config, n, way, reveal=FEW) for n in config.controlled for way in CONTROLS],
            ),
        ],
        "reveal": _curve_cells(config, config.curved, config.reveal),
        "geometry": _curve_cells(_related(config), RELATED, config.geometry),
        "ablations": [cell for its in _ablated(config).values() for cell in its],
        "baselines": [
            *_seeds(config, [_cell(config, config.compared, OURS, reveal=FEW)]),
            *(
                _cell(config, config.compared, way, examples=count)
                for way in (DISTILLED, "sequences")
                for count in config.examples
            ),
            _cell(config, config.compared, "packet_text"),
        ],
    }
    return [cell for part in config.parts for cell in cells.get(part, ())]


def _cell(config: TransferConfig, domain: str, way: str, **others: Any) -> Cell:  # noqa: ANN401
    return Cell(
        student=config.student,
        domain=domain,
        way=way,
        seed=config.seeds[0],
        per_level=config.per_level,
        traces_per_level=config.traces_per_level,
        text=config.text,
        align=config.align,
        **others,
    )


def _curve_cells(config: TransferConfig, domain: str, shares: Sequence[float]) -> list[Cell]:
    cells = [_cell(config, domain, way, reveal=share) for share in shares for way in CURVES]
    return _seeds(config, cells)


def _ablated(config: TransferConfig) -> dict[str, list[Cell]]:
    """By name of an ablation, a cell for each seed."""
    return {
        name: _seeds(config, [_cell(changed, config.curved, OURS, reveal=FEW)])
        for name, change in ABLATIONS.items()
        for changed in [replace(config, align=change(config.align))]
    }


def _related(config: TransferConfig) -> TransferConfig:
    """The same of those who learn relations."""
    return replace(config, student=config.related, align=config.relating)


def _seeds(config: TransferConfig, cells: Iterable[Cell]) -> list[Cell]:
    return [replace(cell, seed=seed) for cell in cells for seed in config.seeds]


def record_of(config: TransferConfig, results: Results) -> dict[str, Any]:
    """The record, as JSON has it."""
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "table": lambda: {
            "domains": {name: _domain(config, name, results) for name in config.domains}
        },
        "controls": lambda: {
            "controls": {way: _controlled(config, way, results) for way in (*PROMPTED, *CONTROLS)}
        },
        "reveal": lambda: {
            "curved": config.curved,
            "reveal": _curves(config, config.curved, config.reveal, results),
        },
        "geometry": lambda: {
            "related": {"domain": RELATED, "student": config.related},
            "geometry": _curves(_related(config), RELATED, config.geometry, results),
        },
        "ablations": lambda: {
            "curved": config.curved,
            "ablations": {
                name: summary([results[cell] for cell in its])
                for name, its in _ablated(config).items()
            },
        },
        "baselines": lambda: {
            "compared": config.compared,
            "baselines": {way: _baseline(config, way, results) for way in OTHERS},
            "reduction": _reduction(config, results),
        },
    }
    record = {
        "format": FORMAT,
        "student": config.student,
        "seeds": list(config.seeds),
        "machine": describe(),
    }
    for part in (its for its in made if its in config.parts):
        record |= made[part]()
    return record


def _curves(
    config: TransferConfig, domain: str, shares: Sequence[float], results: Results
) -> dict[str, Any]:
    """A point of each curve for each share."""
    return {
        f"{share:g}": {
            way: summary(_of(config, domain, way, results, reveal=share)) for way in CURVES
        }
        for share in shares
    }


def _of(
    config: TransferConfig, domain: str, way: str, results: Results, *, reveal: float = 1.0
) -> list[Mapping[str, Any]]:
    """Results of all seeds."""
    cells = _seeds(config, [_cell(config, domain, way, reveal=reveal)])
    return [results[cell] for cell in cells if cell in results]


def _domain(config: TransferConfig, name: str, results: Results) -> dict[str, Any]:
    """A line of the main table."""
    teacher = results[_cell(config, name, TEACHER)]["mean"]
    before = {way: results[_cell(config, name, way)]["mean"] for way in PROMPTED}
    found = _of(config, name, OURS, results)
    after = summary(found)
    return {
        "teacher": teacher,
        "before": max(before.values()),
        "before_by_way": before,
        "after": after["accuracy"],
        "interval": after["interval"],
        "by_seed": after["by_seed"],
        "by_level": {
            level: fmean(its["accuracy"][level] for its in found) for level in found[0]["accuracy"]
        },
        "retention": after["accuracy"] / teacher if teacher else None,
        "learning_s": fmean(its["figures"]["learning_s"] for its in found),
        "meter": found[0]["meter"],
    }


def _controlled(config: TransferConfig, way: str, results: Results) -> dict[str, Any]:
    """A control on every domain that controls are run on."""
    reveal = 1.0 if way in PROMPTED else FEW
    seeds = replace(config, seeds=config.seeds[:1]) if way in PROMPTED else config
    by_domain = {
        name: summary(_of(seeds, name, way, results, reveal=reveal)) for name in config.controlled
    }
    return {"accuracy": fmean(its["accuracy"] for its in by_domain.values()), "domains": by_domain}


def _baseline(config: TransferConfig, way: str, results: Results) -> dict[str, Any]:
    """Accuracy by the number of examples, and the fewest that matched ours."""
    first = config.compared
    ours = summary(_of(config, first, OURS, results, reveal=FEW))["accuracy"]
    counts = (0,) if way == "packet_text" else config.examples
    tried = {count: results[_cell(config, first, way, examples=count)] for count in counts}
    used = {its["meter"]["examples"]: its for its in tried.values()}
    matched = [count for count, its in sorted(used.items()) if its["mean"] >= ours]
    return {
        "examples_to_match": matched[0] if matched else None,
        "accuracy_at": {str(count): its["mean"] for count, its in sorted(used.items())},
        "tokens_at": {str(c): its["meter"]["trace_tokens"] for c, its in sorted(used.items())},
        "to_match": ours,
    }


def _reduction(config: TransferConfig, results: Results) -> dict[str, Any]:
    """Against standard distillation: 1 - ours / theirs."""
    first = config.compared
    ours = _of(config, first, OURS, results, reveal=FEW)[0]["meter"]
    theirs = _baseline(config, DISTILLED, results)
    count = theirs["examples_to_match"] or max(config.examples)
    meter = results[_cell(config, first, DISTILLED, examples=count)]["meter"]
    spent = meter["logits"] * FLOAT_BYTES + meter["trace_tokens"]
    return {
        "against": DISTILLED,
        "reached": theirs["examples_to_match"] is not None,
        "ours": {name: ours[name] for name in ("traces", "trace_tokens", "bytes", "concepts")},
        "theirs": {"examples": meter["examples"], "tokens": meter["trace_tokens"], "bytes": spent},
        "examples": 1 - ours["traces"] / meter["examples"],
        "tokens": 1 - ours["trace_tokens"] / meter["trace_tokens"],
        "bytes": 1 - ours["bytes"] / spent,
    }
