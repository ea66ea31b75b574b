"""Takes out one defence at a time and sees that its tests fail.

    python -m tests.mutations [--only WORD] [--json FILE]

Works on a copy of the repository. A defence whose tests still pass without it is not tested;
a line that is not found any more has moved: both end with exit code 1.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import Queue

from tests import defences, defences_of_agents
from tests.defences import Mutation

ROOT = Path(__file__).parents[1]
COPIED = ("m2kt", "agents", "tests", "proto", "deploy", "pyproject.toml", "README.md")
FAILED = 1
"""Exit code of pytest when tests ran and some failed."""


def copies(count: int, folder: Path) -> Iterator[Path]:
    """Copies of the repository, each to be spoiled by one at a time."""
    for number in range(count):
        copy = folder / str(number)
        copy.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        (copy / "m2kt_agents").symlink_to(copy / "agents")
        yield copy


def noticed(mutation: Mutation, copy: Path) -> str:
    """Empty if a test of `mutation` fails without the defence; else what is wrong."""
    file = copy / mutation.file
    text = file.read_text("utf-8")
    if text.count(mutation.line) != 1:
        return f"the line stands {text.count(mutation.line)} times in {mutation.file}"
    file.write_text(text.replace(mutation.line, mutation.without), "utf-8")
    environ = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *mutation.tests], cwd=copy, env=environ, capture_output=True, text=True
        )
    finally:
        file.write_text(text, "utf-8")
    if done.returncode == FAILED:
        return ""
    return f"pytest ended with {done.returncode}: {done.stdout[-400:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Mutations whose name contains this.")
    parser.add_argument("--json", type=Path, help="File for the outcome.")
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args(arguments)
    chosen = [
        its
        for its in (*defences.MUTATIONS, *defences_of_agents.MUTATIONS)
        if told.only in its.defence
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(told.workers) as pool:
        free: Queue[Path] = Queue()
        for copy in copies(told.workers, Path(folder)):
            free.put(copy)

        def run(mutation: Mutation) -> tuple[Mutation, str, float]:
            copy, begun = free.get(), time.monotonic()
            try:
                return mutation, noticed(mutation, copy), time.monotonic() - begun
            finally:
                free.put(copy)

        found = []
        for mutation, wrong, took_s in pool.map(run, chosen):
            sys.stdout.write(f"{took_s:5.1f} s  {wrong or 'noticed'}  {mutation.defence}\n")
            sys.stdout.flush()
            found.append({**asdict(mutation), "noticed": not wrong, "wrong": wrong})
    if told.json:
        told.json.write_text(json.dumps({"mutations": found}, indent=2) + "\n")
    return int(any(not its["noticed"] for its in found))


if __name__ == "__main__":
    sys.exit(main())
