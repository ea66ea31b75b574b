"""Runs many cells, side by side and each once: what was found before is read from disk.

A result is kept under the digest of its settings and of the code and models that made it, so a
run that was broken off goes on where it stopped, and no result outlives what made it.

Owns: `run_all`, `run_side_by_side`, the folder of results. Does not own: what a cell does (cells).
"""

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar

import torch
from transformers.utils import logging

import m2kt
from m2kt import zoo
from m2kt.digest import digest_of
from m2kt.errors import M2KTError
from m2kt.progress import Progress, Report

CODE: Final = ("*.py", "domains/*.py", "domains/*.toml", "bench/*.py")
"""What every result depends on, in the package's folder."""
UNRELATED: Final = (
    "bench/ablations.py",
    "bench/comparison.py",
    "bench/contenders.py",
    "bench/course.py",
    "bench/forecast.py",
    "bench/ingest.py",
    "bench/machine.py",
    "bench/matrix.py",
    "bench/runs.py",
    "bench/spread.py",
    "bench/transfer.py",
    "bench/watch.py",
    "bench/faculty.py",
)
"""Of those, what no result depends on: it chooses cells, or is about something else."""


Result = dict[str, Any]


class Task(Protocol):
    """A dataclass of settings that can be run in another process; `Cell` is one."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def title(self) -> str:
        """What is said of it when it is done."""

    @property
    def kind(self) -> str:
        """How the file of its result begins."""

    @property
    def models(self) -> Sequence[str]:
        """Models that its result depends on."""

    def run(self) -> Result:
        """Everything that came of it, as JSON has it; `mean` is shown.

        Raises:
            M2KTError: it could not be run.
        """


T = TypeVar("T", bound=Task)


def run_all(
    cells: Sequence[T], folder: Path, *, workers: int, threads: int, report: Report
) -> dict[T, Result]:
    """The result of every cell.

    Args:
        cells: What to run; equal ones run once.
        folder: Where results are kept.
        workers: Processes side by side.
        threads: Of torch, in each.
        report: Told of every cell that is done.

    Raises:
        M2KTError: a cell could not be run; all others were, and their results are kept.
    """
    wanted = list(dict.fromkeys(cells))
    rest = missing(wanted, folder)
    found = {cell: _kept(cell, folder) for cell in wanted if cell not in rest}
    total = float(len(wanted))
    report(Progress("cells", {"done": float(len(found)), "of": total}))
    for cell, result in run_side_by_side(rest, workers=workers, threads=threads):
        _keep(cell, result, folder)
        found[cell] = result
        done = {"done": float(len(found)), "of": total, "mean": result["mean"]}
        report(Progress(cell.title, done))
    return found


def missing(cells: Sequence[T], folder: Path) -> list[T]:
    """Those without a result in `folder`, each once."""
    return [cell for cell in dict.fromkeys(cells) if not place(cell, folder).exists()]


def run_side_by_side(
    cells: Sequence[T], *, workers: int, threads: int
) -> Iterator[tuple[T, Result]]:
    """Results as they come; none is kept.

    Raises:
        M2KTError: a cell could not be run, once all others have.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(threads,)
    ) as pool:
        running: dict[Future[Result], T] = {pool.submit(_run, cell): cell for cell in cells}
        failed: M2KTError | None = None
        try:
            for done in as_completed(running):
                try:
                    yield running[done], done.result()
                except M2KTError as error:
                    failed = failed or error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        if failed:
            raise failed


def _run(cell: Task) -> Result:
    return cell.run()


def _begin(threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on with its cell, for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def place(cell: Task, folder: Path) -> Path:
    """The file of a cell's result."""
    settings = json.dumps(asdict(cell), sort_keys=True, default=str)
    parts = [settings, code_digest(), *(_model_digest(name) for name in cell.models)]
    digest = digest_of("\n".join(parts).encode())
    return folder / f"{cell.kind}-{digest.removeprefix('b3:')[:24]}.json"


@cache
def code_digest() -> str:
    """Digest of the code that results depend on."""
    root = Path(m2kt.__file__).parent
    left_out = {root / name for name in UNRELATED}
    files = sorted({file for pattern in CODE for file in root.glob(pattern)} - left_out)
    parts = [part for file in files for part in (str(file.name).encode(), file.read_bytes())]
    return digest_of(*parts)


@cache
def _model_digest(name: str) -> str:
    """Digest of a model of the zoo; any other is known by its name."""
    if name not in zoo.names():
        return name
    return digest_of(*(file.read_bytes() for file in sorted(zoo.folder(name).iterdir())))


def _kept(cell: Task, folder: Path) -> Result:
    found: Result = json.loads(place(cell, folder).read_text())
    return found


def _keep(cell: Task, result: Result, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = place(cell, folder)
    half = path.with_suffix(".tmp")
    half.write_text(json.dumps(result))
    half.replace(path)  # a file is there whole or not at all
