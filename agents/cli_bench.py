"""`m2kt bench ingest|transfer|page`: how fast alignment is, and what transfer reaches and why.

Owns: these commands. Does not own: what is measured, and how (m2kt.bench); the page
(transfer_page).
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from m2kt.errors import RequestError

from . import bars, console

if TYPE_CHECKING:
    from m2kt.bench.comparison import TransferConfig

CELLS: Final = Path("bench/cells")
CURVES: Final = {"reveal": "share of the facts shown", "geometry": "the same of relations"}

Rate = Annotated[float, typer.Option("--text-rate", help="Peak learning rate of the others.")]
Domains = Annotated[list[str] | None, typer.Option(help="Not the usual ones; again for more.")]
Parts = Annotated[
    list[str] | None,
    typer.Option(help="table, controls, reveal, layers, geometry, ablations, baselines, ingest"),
]
Shares = Annotated[
    list[float] | None,
    typer.Option(help="Of the facts shown, in reveal and geometry; again for more."),
]

Curved = Annotated[str | None, typer.Option(help="Domain of reveal, layers and ablations.")]
Compared = Annotated[str | None, typer.Option(help="Domain of baselines.")]
Ablated = Annotated[list[str] | None, typer.Option(help="Of the ablations; again for more.")]
Examples = Annotated[
    list[int] | None, typer.Option(min=1, help="Of each baseline; again for more.")
]

app = typer.Typer(no_args_is_help=True, help="Benchmarks, each with its record as JSON.")


@app.command()
def ingest(
    out: Annotated[Path | None, typer.Option("--json", help="File for the whole record.")] = None,
    student: Annotated[
        str, typer.Option("--student", help="Model: symbols-student, smollm2-135m, ...")
    ] = "symbols-student",
    threads: Annotated[int, typer.Option("--threads", min=0, help="0 takes all processors.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of every draw but the probes'.")] = 0,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Of alignment's rehearsal.")] = 200,
    probes: Annotated[int, typer.Option("--probes", min=1, help="Held-out, each level.")] = 40,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Steps of the others for each of those.")
    ] = 3,
    most_times: Annotated[
        float, typer.Option("--most-times", min=1.0, help="Of alignment's time, then broken off.")
    ] = 6.0,
    text_rate: Rate = 4e-3,
) -> None:
    """Times alignment against peft + Trainer and against a bare loop, to the same accuracy."""
    from transformers.utils import logging

    from m2kt.align_config import AlignConfig  # loads torch: only when asked for
    from m2kt.bench.ingest import IngestConfig, measure_ingest

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    config = IngestConfig(
        student=student,
        threads=threads or os.cpu_count() or 1,
        align=AlignConfig(seed=seed, steps=steps),
        probes_per_level=probes,
        patience=patience,
        most_times=most_times,
        text_learning_rate=text_rate,
    )
    with bars.bar() as running:
        told = _told(measure_ingest(config, bars.Contenders(running).tell))
    _keep(out, told)
    show(told)


@app.command()
def transfer(
    out: Annotated[Path | None, typer.Option("--json", help="File for the whole record.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two domains, one seed.")] = False,
    student: Annotated[str, typer.Option(help="Model: smollm2-135m, ...")] = "symbols-student",
    domain: Domains = None,
    part: Parts = None,
    share: Shares = None,
    examples: Examples = None,
    curved: Curved = None,
    compared: Compared = None,
    ablation: Ablated = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Their number.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 1,
    cells: Annotated[Path, typer.Option(help="Results; a run goes on from there.")] = CELLS,
    html: Annotated[Path | None, typer.Option(help="Page; beside --json by default.")] = None,
) -> None:
    """Transfers every domain, and runs controls, curves and baselines beside it."""
    from m2kt.bench.comparison import QUICK, TransferConfig

    config = _chosen(
        QUICK if quick else TransferConfig(),
        student=student,
        workers=workers,
        threads=threads,
        parts=part,
        domains=domain,
        controlled=domain,
        curved=curved,
        compared=compared,
        reveal=share,
        geometry=share,
        examples=examples,
        ablations=ablation,
        seeds=range(seeds) if seeds else None,
    )
    _compare(config, cells, out, html if out is None else _page_file(out, html))


def _compare(config: "TransferConfig", cells: Path, out: Path | None, html: Path | None) -> None:
    """Runs what is not among `cells` yet; writes the record to `out`, and its page to `html`."""
    from m2kt.bench.transfer import measure_transfer

    _say_how_long(config, cells)
    with bars.bar() as running:
        told = _told(measure_transfer(config, cells, bars.Cells(running).tell))
    _keep(out, told)
    show_transfer(told)
    if html is not None:
        _draw(told, html)


def _chosen(usual: "TransferConfig", **chosen: Any) -> "TransferConfig":  # noqa: ANN401
    """The usual comparison, but for what was chosen."""
    given = {name: its for name, its in chosen.items() if its not in (None, [])}
    listed = {name: tuple(its) for name, its in given.items() if isinstance(its, list | range)}
    return replace(usual, **given | listed)


def _say_how_long(config: "TransferConfig", folder: Path) -> None:
    """How much there is to run, and how long that takes at most on this machine."""
    from m2kt.bench.forecast import forecast
    from m2kt.bench.matrix import missing
    from m2kt.bench.transfer import cells_of

    cells = cells_of(config)
    rest, count = missing(cells, folder), len(set(cells))
    console.say(f"{count} cells, of which {count - len(rest)} stand in {folder}")
    if rest:
        console.say("how long the rest takes: a lesson of each kind is begun")
        most_s = forecast(rest, workers=config.workers, threads=config.threads)
        console.say(f"at most {timedelta(seconds=round(most_s))}, writing examples left out")


@app.command()
def page(
    record: Annotated[Path, typer.Argument(help="What `bench transfer --json FILE` wrote.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="The page; by default RECORD with .html.")
    ] = None,
) -> None:
    """Makes the page of a comparison again, from its record."""
    _draw(_read(record), _page_file(record, html))


def _keep(out: Path | None, record: Mapping[str, Any]) -> None:
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    console.say(f"the record stands in {out}")


def _page_file(out: Path, html: Path | None) -> Path:
    """Where the page goes: beside the record `out`, if nobody says where.

    Raises:
        RequestError: it would take the record's place.
    """
    shown = html or out.with_suffix(".html")
    if shown.resolve() == out.resolve():
        raise RequestError(
            f"expected two files, found {out} for the record and for its page; name the page with"
            " --html, or the record NAME.json"
        )
    return shown


def _read(file: Path) -> Mapping[str, Any]:
    """The record in `file`; what its parts are like is not asked here.

    Raises:
        RequestError: it holds no record of a comparison.
    """
    from m2kt.bench.transfer import FORMAT

    remedy = "name the file that m2kt bench transfer --json FILE has written"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(
            f"expected a record as JSON in {file}, found {error}; {remedy}"
        ) from error
    if not isinstance(found, dict):
        raise RequestError(f"expected a record in {file}, found {found!r:.80}; {remedy}")
    if (stated := found.get("format")) != FORMAT:
        raise RequestError(f"expected format {FORMAT} in {file}, found {stated!r:.80}; {remedy}")
    return found


def _draw(record: Mapping[str, Any], file: Path) -> None:
    """Writes the page of `record`.

    Raises:
        RequestError: a part of the record is missing, or is not what it should be.
    """
    from .transfer_page import build_transfer_page  # loads torch and matplotlib

    try:
        text = build_transfer_page(record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RequestError(
            f"expected every part of a record, found {type(error).__name__} at {error};"
            " make the record anew with m2kt bench transfer"
        ) from error
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    console.say(f"the page stands in {file}")


def show_transfer(record: Mapping[str, Any]) -> None:
    """The main table, and what each control leaves of it."""
    if "domains" in record:
        columns = ("#teacher", "#before", "#after", "#95 %", "#retention")
        shown = console.table("", "domain", *columns)
        for name, its in record["domains"].items():
            low, high = its["interval"]
            shown.add_row(
                name,
                f"{its['teacher']:.3f}",
                f"{its['before']:.3f}",
                f"{its['after']:.3f}",
                f"{low:.3f} to {high:.3f}",
                "" if its["retention"] is None else f"{its['retention']:.3f}",
            )
        console.out.print(shown)
    if "controls" in record:
        shown = console.table("", "a fifth of the facts shown", "#accuracy")
        for name, its in record["controls"].items():
            shown.add_row(name, f"{its['accuracy']:.3f}")
        console.out.print(shown)
    for key, what in CURVES.items():
        if key in record:
            _show_curves(record[key], what)


def _show_curves(curves: Mapping[str, Any], what: str) -> None:
    """Right answers by share of the facts shown."""
    ways = list(next(iter(curves.values())))
    shown = console.table("", what, *(f"#{way}" for way in ways))
    for share, its in curves.items():
        shown.add_row(share, *(f"{its[way]['accuracy']:.3f}" for way in ways))
    console.out.print(shown)


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run that has just ended, and how it was made."""
    command = shlex.join(["m2kt", *sys.argv[1:]])
    how = {"command": command, "ended_at": datetime.now(UTC).isoformat()}
    told: dict[str, Any] = console.plain(how | dict(record))
    return told


def show(record: Mapping[str, Any]) -> None:
    """The record as a table."""
    target = record["target"]["accuracy"]
    shown = console.table(
        "", "", f"#s to {target:.3f}", "#against ours", "#tokens/s", "#mfu", "#peak MiB", "#weights"
    )
    for name, its in record["contenders"].items():
        reached = its["seconds_to_target"]
        needed = f"{reached:.1f}" if reached else f"not in {its['seconds']:.1f}"
        ratio = record["ingest"].get(f"vs_{name}")
        bound = "> " if f"vs_{name}" in record["ingest"]["lower_bounds"] else ""
        shown.add_row(
            name,
            needed,
            f"{bound}{ratio:.2f}" if ratio else "",
            f"{its['tokens_per_s']:.0f}",
            f"{its['mfu']:.1%}",
            f"{its['peak_rss_mib']:.0f}",
            f"{its['trainable']:,}",
        )
    console.out.print(shown)
