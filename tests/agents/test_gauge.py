"""Seconds of phases and memory of all processes."""

import subprocess
import sys

import psutil

from m2kt_agents.gauge import Gauge, resident_mib


def test_a_phase_that_comes_twice_adds_up():
    ticks = iter([0.0, 1.0, 3.0, 10.0, 11.5, 20.0])
    gauge = Gauge(lambda: next(ticks))
    with gauge.phase("read"):
        pass
    with gauge.phase("read"):
        pass
    assert gauge.seconds == {"read": 3.5}
    assert gauge.total_s == 20.0


def test_memory_of_a_child_process_counts():
    code = "import sys; held = bytearray(64 << 20); print('held', flush=True); sys.stdin.read()"
    before = resident_mib(psutil.Process())
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert resident_mib(psutil.Process()) > before + 60
        child.communicate()


def test_a_gauge_that_was_closed_has_seen_memory():
    with Gauge() as gauge:
        pass
    assert gauge.peak_mib > 1
