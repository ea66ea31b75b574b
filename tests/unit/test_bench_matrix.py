"""Cells run once; what is kept is read, and nothing half is kept."""

import inspect
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from m2kt.bench import matrix
from m2kt.bench.burden import Burden
from m2kt.bench.cells import Cell
from m2kt.bench.matrix import UNRELATED, place, run_all
from m2kt.bench.meetings import Meeting
from m2kt.bench.skills import Skills
from m2kt.errors import M2KTError
from m2kt.progress import silent
from tests.courses import ALIGN, PUPIL

CELL = Cell(
    student=PUPIL,
    domain="group.s3",
    way="zero_shot",
    per_level=3,
    traces_per_level=2,
    align=ALIGN,
)


def run(cells, folder, told=None):
    return run_all(
        cells, folder, workers=1, threads=1, report=silent if told is None else told.append
    )


def test_a_cell_is_run_once_and_read_afterwards(tmp_path, monkeypatch):
    first = run([CELL, CELL], tmp_path)
    assert list(first) == [CELL]
    monkeypatch.setattr(matrix, "_run", None)
    told = []
    assert run([CELL], tmp_path, told) == first
    assert told[0].figures == {"done": 1.0, "of": 1.0}
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_other_settings_or_other_code_have_another_place(tmp_path, monkeypatch):
    places = {place(CELL, tmp_path), place(replace(CELL, seed=1), tmp_path)}
    places.add(place(replace(CELL, align=replace(ALIGN, steps=5)), tmp_path))
    places.add(place(replace(CELL, student="mod7-mul"), tmp_path))
    places.add(place(replace(CELL, teacher="s3-neox"), tmp_path))
    monkeypatch.setattr(matrix, "code_digest", lambda: "other")
    places.add(place(CELL, tmp_path))
    assert len(places) == 6


def test_what_results_are_said_not_to_depend_on_no_cell_loads():
    code = "import sys, m2kt.bench.cells; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    unrelated = {f"m2kt.{name.removesuffix('.py').replace('/', '.')}" for name in UNRELATED}
    assert unrelated.isdisjoint(loaded)
    files = {f"m2kt.bench.{file.stem}" for file in Path(matrix.__file__).parent.glob("*.py")}
    assert unrelated == {name for name in files - {"m2kt.bench.__init__"} if name not in loaded}


def test_a_task_says_which_of_the_other_files_its_result_depends_on():
    folder = Path(matrix.__file__).parent.parent
    for task in (Meeting, Skills, Burden):
        own = task.code.fget(None)
        assert set(own) <= set(UNRELATED)
        assert f"bench/{Path(inspect.getfile(task)).name}" in own
        assert all((folder / name).exists() for name in own)
    assert CELL.code == ()


def test_a_cell_that_fails_takes_no_other_with_it(tmp_path):
    broken = replace(CELL, reveal=0.0)
    with pytest.raises(M2KTError, match="reveal"):
        run([broken, CELL], tmp_path)
    assert place(CELL, tmp_path).exists()
    assert not place(broken, tmp_path).exists()


ENDLESS = """
from dataclasses import replace
from m2kt.bench.matrix import run_side_by_side
from tests.unit.test_bench_matrix import CELL

if __name__ == "__main__":
    longer = replace(CELL, way="with_c", align=replace(CELL.align, steps=10**6, settled=2.0))
    list(run_side_by_side([longer], workers=1, threads=1))
"""


def test_workers_of_a_comparison_that_was_killed_end_with_it(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    parent = subprocess.Popen([sys.executable, str(script)], env={"PYTHONPATH": "."})
    workers: list[psutil.Process] = []
    end = time.monotonic() + 60
    while not any(its.cpu_times().user > 1 for its in workers) and time.monotonic() < end:
        assert parent.poll() is None
        time.sleep(0.1)
        found = psutil.Process(parent.pid).children()
        workers = [its for its in found if "spawn_main" in " ".join(its.cmdline())]
    assert workers
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    for its in alive:
        its.kill()
    assert not alive
