"""A real disk that is full while a packet comes: `tests/small_disk.py`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACE = ("unshare", "-Urm")


def may_mount(folder: Path) -> bool:
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False).returncode == 0


@pytest.mark.slow
def test_a_student_on_a_full_disk_refuses_a_packet_and_takes_it_once_there_is_room(tmp_path: Path):
    if not may_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a tmpfs in a namespace of its own")
    command = [*NAMESPACE, sys.executable, "-m", "tests.small_disk", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
