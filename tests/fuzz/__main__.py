"""`python -m tests.fuzz`: tries parsers on bytes that nobody wrote, guided by coverage.

    python -m tests.fuzz --seconds 120 --target packet     one target (all by default)
    python -m tests.fuzz --target packet --replay FILE     one case, as a bug's report says

Each target runs in a process of its own. A bug is anything but success or an M2KTError with a
reason within 100 ms and 64 MiB. With bugs the exit code is 1. Needs atheris (Linux, x86-64).
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.fuzz.corpus import FOLDER, SCRATCH, scratch

_PULSE: Final = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)")
_DONE: Final = re.compile(r"Done (\d+) runs")
_WHY: Final = re.compile(r"SUMMARY|Error|ERROR")


@dataclass(frozen=True)
class Bug:
    """What is wrong, the case that shows it, and the command that shows it again."""

    what: str
    file: str
    command: str


@dataclass
class Run:
    """How the run of one target went."""

    target: str
    seconds: float = 0.0
    executions: int = 0
    coverage_first: int = 0
    coverage: int = 0
    features: int = 0
    bugs: list[Bug] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Takes up what one line of the process says."""
        if line.startswith("BUG "):
            told = json.loads(line.removeprefix("BUG "))
            self.add(told["what"], Path(told["file"]))
        elif found := _PULSE.match(line):
            self.executions, self.coverage, self.features = map(int, found.groups())
            self.coverage_first = self.coverage_first or self.coverage
        elif found := _DONE.match(line):
            self.executions = int(found[1])

    def add(self, what: str, file: Path) -> None:
        """Notes a bug."""
        words = ["python", "-m", "tests.fuzz", "--target", self.target, "--replay", str(file)]
        self.bugs.append(Bug(what, str(file), shlex.join(words)))


def hunt(run: Run, seconds: int, folder: Path, progress: Progress) -> None:
    """Runs one target for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    task = progress.add_task(run.target, total=seconds, cases=0, coverage=0, bugs=0)
    begun, before = time.monotonic(), set(folder.glob("died-*"))
    command = [sys.executable, "-m", "tests.fuzz.one", run.target, str(seconds), str(folder)]
    with (
        scratch() as files,
        subprocess.Popen(
            command,
            env={**os.environ, SCRATCH: files},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        last = ""
        for line in process.stdout or ():
            run.read(line)
            if _WHY.search(line) or not _WHY.search(last):
                last = line.strip() or last
            show(progress, task, run, time.monotonic() - begun)
    for file in sorted(set(folder.glob("died-*")) - before):
        run.add(f"the process ended: {last[:200]}", file)
    if process.returncode and not run.bugs:
        raise SystemExit(f"expected {shlex.join(command)} to end well, found: {last}")
    run.seconds = round(time.monotonic() - begun, 1)
    show(progress, task, run, seconds)


def show(progress: Progress, task: TaskID, run: Run, at_s: float) -> None:
    progress.update(
        task, completed=at_s, cases=run.executions, coverage=run.coverage, bugs=len(run.bugs)
    )


def report(runs: Sequence[Run], console: Console) -> None:
    table = Table("target", "cases", "coverage", "features", "seconds", "bugs")
    for run in runs:
        coverage = f"{run.coverage_first} to {run.coverage}"
        figures = (run.executions, coverage, run.features, run.seconds, len(run.bugs))
        table.add_row(run.target, *map(str, figures))
    console.print(table)
    for bug in (bug for run in runs for bug in run.bugs):
        console.print(f"{bug.what}\n    {bug.command}", markup=False, soft_wrap=True)


def replay(target: str, file: Path) -> int:
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.watching import fault

    found = fault(TARGETS[target].read, file.read_bytes())
    sys.stdout.write(
        f"{found or 'success, or an error with a reason, soon and in little memory'}\n"
    )
    return int(bool(found))


def names() -> list[str]:
    """Targets by the cases that are kept for them: nothing has to be imported for that."""
    return sorted(path.name for path in FOLDER.iterdir())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="For each target.")
    parser.add_argument("--target", choices=["all", *names()], default="all")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="Runs one case.")
    parser.add_argument("--into", type=Path, default=Path("build/fuzz"), help="For finds and bugs.")
    parser.add_argument("--json", action="store_true", help="One JSON document on stdout.")
    told = parser.parse_args(arguments)
    if told.replay:
        return replay(told.target, told.replay)
    if find_spec("atheris") is None:
        parser.error("expected atheris, found none; pip install atheris==3.0.0")
    console = Console(stderr=told.json)
    runs = [Run(name) for name in (names() if told.target == "all" else [told.target])]
    columns = [TextColumn("{task.description:12}"), BarColumn(), TimeRemainingColumn()]
    figures = ("{task.fields[cases]:>8} cases", "cov {task.fields[coverage]}")
    columns += [TextColumn(text) for text in (*figures, "{task.fields[bugs]} bugs")]
    with Progress(*columns, console=console) as progress:
        for run in runs:
            hunt(run, told.seconds, told.into / run.target, progress)
    report(runs, console)
    if told.json:
        sys.stdout.write(json.dumps({"runs": [asdict(run) for run in runs]}, indent=2) + "\n")
    return int(any(run.bugs for run in runs))


if __name__ == "__main__":
    sys.exit(main())
