"""`m2kt bench ingest|transfer`: how fast alignment is, and what transfer reaches and why.

Owns: these commands. Does not own: what is measured, and how (m2kt.bench).
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from m2kt import progress

from . import console

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
    text_rate: Annotated[
        float, typer.Option("--text-rate", help="Peak learning rate of the others.")
    ] = 4e-3,
) -> None:
    """Times alignment against peft + Trainer and against a bare loop, to the same accuracy."""
    from transformers.utils import logging

    from m2kt.align import AlignConfig  # loads torch: only when asked for
    from m2kt.bench.ingest import IngestConfig, measure_ingest

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    config = IngestConfig(
        student=student,
        threads=threads or os.cpu_count() or 1,
        align=AlignConfig(seed=seed, steps=steps),
        probes_per_level=probes,
        patience=patience,
        text_learning_rate=text_rate,
    )
    with _bar() as bar:
        record = measure_ingest(config, _News(bar).tell)
    told = console.plain(_when_and_how() | record)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
        console.say(f"the record stands in {out}")
    show(told)


@app.command()
def transfer(
    out: Annotated[Path | None, typer.Option("--json", help="File for the whole record.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two domains, one seed.")] = False,
    student: Annotated[
        str, typer.Option("--student", help="Model: symbols-student, smollm2-135m, ...")
    ] = "symbols-student",
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Instead of all; may come again.")
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Their number.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of each process.")] = 1,
    folder: Annotated[
        Path, typer.Option("--cells", help="Folder of results; a run goes on from there.")
    ] = Path("bench/cells"),
) -> None:
    """Transfers every domain, and runs controls, curves and baselines beside it."""
    from m2kt.bench.transfer import QUICK, TransferConfig, cells_of, measure_transfer

    config = replace(
        QUICK if quick else TransferConfig(), student=student, workers=workers, threads=threads
    )
    if domain:
        config = replace(config, domains=tuple(domain))
    if seeds:
        config = replace(config, seeds=tuple(range(seeds)))
    console.say(f"{len(set(cells_of(config)))} cells; what stands in {folder} is not run again")
    with _bar() as bar:
        record = measure_transfer(config, folder, _Cells(bar).tell)
    told = console.plain(_when_and_how() | record)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
        console.say(f"the record stands in {out}")
    show_transfer(told)


def show_transfer(record: Mapping[str, Any]) -> None:
    """The main table, and what each control leaves of it."""
    shown = console.table("", "domain", "#teacher", "#before", "#after", "#95 %", "#retention")
    for name, its in record["domains"].items():
        low, high = its["interval"]
        shown.add_row(
            name,
            f"{its['teacher']:.3f}",
            f"{its['before']:.3f}",
            f"{its['after']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{its['retention']:.3f}",
        )
    console.out.print(shown)
    shown = console.table("", "a fifth of the facts shown", "#accuracy")
    for name, its in record["controls"].items():
        shown.add_row(name, f"{its['accuracy']:.3f}")
    console.out.print(shown)


def _when_and_how() -> dict[str, str]:
    command = shlex.join(["m2kt", *sys.argv[1:]])
    return {"command": command, "ended_at": datetime.now(UTC).isoformat()}


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


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[news]}"),
        TimeElapsedColumn(),
        console=console.err,
    )


class _News:
    """Turns what the benchmark tells into one bar for each contender."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def tell(self, news: progress.Progress) -> None:
        """A step of a contender moves its bar; all else becomes a line."""
        figures = news.figures
        if "steps" not in figures:
            console.say(news.message)
            return
        if news.message not in self._tasks:
            task = self._bar.add_task(news.message, total=figures["of"], news="")
            self._tasks[news.message] = task
        accuracy = f"accuracy {figures['accuracy']:.3f}" if "accuracy" in figures else ""
        self._bar.update(self._tasks[news.message], completed=figures["steps"], news=accuracy)
        if not console.err.is_terminal:  # where a bar is drawn at its end only
            console.say(f"{news.message}: {figures['steps']:.0f} steps  {accuracy}".rstrip())


class _Cells:
    """Turns what the matrix tells into one bar, and a line for each cell."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("cells", total=None, news="")

    def tell(self, news: progress.Progress) -> None:
        """Of the state of things."""
        figures = news.figures
        done, total = figures["done"], figures["of"]
        self._bar.update(self._task, completed=done, total=total, news=news.message)
        if "mean" in figures:
            console.say(f"{done:.0f}/{total:.0f}  {news.message}  {figures['mean']:.3f}")
