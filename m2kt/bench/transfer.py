"""What transfer reaches, what carries it, and what else it would have cost: the whole comparison.

    domains     every domain: teachers, student before, after, retention
    controls    a packet with what it is said to carry taken out of it, a fifth of the facts shown
    reveal      the same by the share of the facts that traces show
    geometry    the same where concepts are no facts: what no trace shows has to be worked out
    layers      a fifth of the facts shown, concepts read from inside the teachers
    ablations   a fifth of the facts shown, with a part of the learning left out or changed
    baselines   other ways on the first domain, by the number of examples
    ingest      how much faster a lesson is learnt than by others to the same accuracy (ingest)
    reduction   1 - ours / theirs in examples, tokens and bytes, theirs being the least that
                matched our accuracy; if nothing did, the most that was tried, as a lower bound

A comparison may be of some of these parts only: `table`, `controls`, `reveal`,
`layers`, `geometry`, `ablations`, `baselines`, `ingest`.

Every figure is a mean over levels, then over seeds. Intervals hold 95 % of a bootstrap that
draws seeds, and problems within each.

Owns: which cells there are, and the record. Does not own: what may be chosen (comparison),
running cells (matrix).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from m2kt.bench.ablations import ABLATIONS
from m2kt.bench.cells import PROMPTED, RIDGE, TEACHER, Cell
from m2kt.bench.comparison import (
    CURVES,
    DISTILLED,
    FEW,
    OTHERS,
    OURS,
    PACKET_TEXT,
    RELATED,
    TransferConfig,
)
from m2kt.bench.controls import CONTROLS
from m2kt.bench.ingest import measure_ingest
from m2kt.bench.machine import describe
from m2kt.bench.matrix import run_all
from m2kt.bench.spread import summary
from m2kt.progress import Report

FORMAT: Final = "m2kt.bench.transfer/1"
FLOAT_BYTES: Final = 4

Results = Mapping[Cell, Mapping[str, Any]]


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
        "layers": [cell for its in _read_from(config).values() for cell in its],
        "geometry": _curve_cells(_related(config), RELATED, config.geometry),
        "ablations": [cell for its in _ablated(config).values() for cell in its],
        "baselines": [
            *_seeds(config, [_cell(config, config.compared, OURS, reveal=FEW)]),
            *(cell for way in OTHERS for cell in _compared(config, way).values()),
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


def _read_from(config: TransferConfig) -> dict[str, list[Cell]]:
    """By number of a hidden state, a cell for each seed."""
    return {
        str(layer): _seeds(config, [_cell(config, config.curved, OURS, reveal=FEW, layer=layer)])
        for layer in config.layers
    }


def _compared(config: TransferConfig, way: str) -> dict[int, Cell]:
    """By the number of examples, the cells of a baseline; 0 for what a packet holds."""
    if way == RIDGE:
        return {0: _cell(config, config.compared, way, reveal=FEW)}
    counts = (0,) if way == PACKET_TEXT else config.examples
    return {count: _cell(config, config.compared, way, examples=count) for count in counts}


def _ablated(config: TransferConfig) -> dict[str, list[Cell]]:
    """By name of an ablation, a cell for each seed."""
    usual = _cell(config, config.curved, OURS, reveal=FEW)
    return {name: _seeds(config, [ABLATIONS[name](usual)]) for name in config.ablations}


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
        "layers": lambda: {
            "curved": config.curved,
            "layers": _summaries(_read_from(config), results),
        },
        "ablations": lambda: {
            "curved": config.curved,
            "ablations": _summaries(_ablated(config), results),
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


def _summaries(cells: Mapping[str, Sequence[Cell]], results: Results) -> dict[str, Any]:
    """Of each name what came of its cells, and the loss of phase A that was left."""
    made = {}
    for name, its in cells.items():
        found = [results[cell] for cell in its]
        left = fmean(one["figures"]["loss_geometry"] for one in found)
        made[name] = summary(found) | {"loss_geometry": left}
    return made


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
    tried = [results[cell] for cell in _compared(config, way).values()]
    used = {its["meter"]["examples"]: its for its in tried}
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
    meter = results[_compared(config, DISTILLED)[count]]["meter"]
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
