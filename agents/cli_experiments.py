"""`m2kt bench NAME` for every experiment and check: one command each, all alike.

Owns: `register`. Does not own: what is measured (m2kt.bench.experiments), the page
(experiment_page), files (bench_files).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from m2kt.bench.experiments import EXPERIMENTS, load

from . import bars, bench_files, console

if TYPE_CHECKING:
    from m2kt.bench.experiments.experiment import Measure

Run = Callable[..., None]
OURS: Final = {
    "wire": "How fast the wire is beside gRPC itself, plain protobuf and Flower.",
    "faults": "What students make of ten thousand injected faults, and how soon they go on.",
}
"""Measured over gRPC, of which m2kt.bench knows nothing."""
WIDEST: Final = 8
"""Columns of a table that is shown; wider ones stand on the page."""


def register(app: typer.Typer) -> None:
    """Adds a command for each experiment."""
    for name, about in {**EXPERIMENTS, **OURS}.items():
        app.command(name=name, help=about)(_command(name))


def _command(name: str) -> Run:
    def run(
        out: Annotated[Path | None, typer.Option("--json", help="File for the record.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Minutes, not hours.")] = False,
        student: Annotated[str, typer.Option(help="Model; the usual one if left out.")] = "",
        seeds: Annotated[int, typer.Option(min=0, help="Their number; 0: as usual.")] = 0,
        workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
        threads: Annotated[int, typer.Option(min=1, help="Of each process.")] = 1,
        cells: Annotated[Path, typer.Option(help="Results that runs share.")] = Path("bench/cells"),
        html: Annotated[Path | None, typer.Option(help="Page; by default beside --json.")] = None,
    ) -> None:
        from m2kt.bench.experiments.experiment import Scope

        scope = Scope(
            quick=quick,
            student=student,
            seeds=tuple(range(seeds)),
            workers=workers,
            threads=threads,
            cells=cells,
        )
        shown = html if out is None else bench_files.page_file(out, html)
        _measure(name, scope, out, shown)

    return run


def _measure(name: str, scope: Any, out: Path | None, html: Path | None) -> None:  # noqa: ANN401
    """Runs the experiment; writes its record to `out`, and its page to `html`."""
    import torch
    from transformers.utils import logging

    from m2kt.bench.experiments.experiment import record_of

    torch.set_num_threads(scope.threads * scope.workers)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with bars.bar() as running:
        found = _loaded(name)(scope, bars.Cells(running).tell)
    told = bench_files.told(record_of(name, scope, found))
    bench_files.keep(out, told)
    show(told)
    if html is not None:
        bench_files.draw(told, html)


def _loaded(name: str) -> "Measure":
    if name not in OURS:
        return load(name)
    from .faultbench.measure import measure as of_faults
    from .wirebench.measure import measure as of_wire

    return {"wire": of_wire, "faults": of_faults}[name]


def show(record: Mapping[str, Any]) -> None:
    """The verdict, what it rests on, and the tables that a terminal has room for."""
    shown = console.table("", record["experiment"], "#found", "#wanted", "")
    for its in record["claims"]:
        wanted = f"{'>=' if its['at_least'] else '<='} {its['bound']:.4g}"
        mark = "holds" if its["holds"] else "falls short"
        shown.add_row(its["what"], f"{its['found']:.4g}", wanted, mark)
    console.out.print(shown)
    for its in (one for one in record["tables"] if len(one["head"]) <= WIDEST):
        body = console.table(
            its["title"], its["head"][0], *(f"#{name}" for name in its["head"][1:])
        )
        for row in its["rows"]:
            body.add_row(*map(console.cell, row))
        console.out.print(body)
    console.out.print(f"verdict: {record['verdict']}")
