"""What a benchmark says of its machine."""

import math
import subprocess
import sys

import accelerate
import peft
import pytest
import torch
import transformers

from m2kt.bench.machine import describe, matmul_peak, peak_rss_mib

PROGRAM = """
from m2kt.bench.machine import peak_rss_mib
before = peak_rss_mib()
held = b"x" * (96 << 20)
print(before, peak_rss_mib())
"""


@pytest.mark.parametrize("module", [accelerate, peft, torch, transformers])
def test_the_versions_are_those_that_run(module):
    assert describe()["versions"][module.__name__] == module.__version__


def test_the_processor_has_a_name():
    assert describe()["processor"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_peak_is_found_even_in_no_time(dtype):
    found = matmul_peak(dtype, seconds=0.0)
    assert math.isfinite(found)
    assert found > 0


@pytest.mark.slow
def test_a_peak_of_memory_is_that_of_the_process_itself_not_of_the_one_that_started_it():
    held = b"x" * (1024 << 20)
    ours = peak_rss_mib()
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    before, after = map(float, done.stdout.split())
    assert len(held) / (1 << 20) < ours
    assert after < ours - 256
    assert after - before > 90
