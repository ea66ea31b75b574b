"""`m2kt bench ingest|transfer|page`: how fast alignment is, and what transfer reaches and why.

Owns: these commands. Does not own: what is measured, and how (m2kt.bench); the other
experiments (cli_experiments); records and pages (bench_files).
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import bars, bench_files, cli_experiments, console

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
cli_experiments.register(app)


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
        told = bench_files.told(measure_ingest(config, bars.Contenders(running).tell))
    bench_files.keep(out, told)
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
    _compare(config, cells, out, html if out is None else bench_files.page_file(out, html))


def _compare(config: "TransferConfig", cells: Path, out: Path | None, html: Path | None) -> None:
    """Runs what is not among `cells` yet; writes the record to `out`, and its page to `html`."""
    from m2kt.bench.transfer import measure_transfer

    _say_how_long(config, cells)
    with bars.bar() as running:
        told = bench_files.told(measure_transfer(config, cells, bars.Cells(running).tell))
    bench_files.keep(out, told)
    show_transfer(told)
    if html is not None:
        bench_files.draw(told, html)


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
    record: Annotated[Path, typer.Argument(help="What `bench NAME --json FILE` wrote.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="The page; by default RECORD with .html.")
    ] = None,
) -> None:
    """Makes the page of a record again."""
    bench_files.draw(bench_files.read(record), bench_files.page_file(record, html))


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
