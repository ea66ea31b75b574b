"""The machine that a benchmark ran on: what it is, how fast it multiplies, what a process held.

Owns: `describe`, `matmul_peak`, `peak_rss_mib`. Does not own: what is compared (ingest).
"""

import importlib.metadata
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil
import torch

_MIB: Final = 1 << 20
SOFTWARE: Final = ("m2kt", "torch", "transformers", "peft", "accelerate")
SIDES: Final = (512, 1024, 2048)
"""Sides of the square matrices that are multiplied."""


def describe() -> dict[str, Any]:
    """Processor, memory and system, and the versions of what computes."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // _MIB,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in SOFTWARE},
    }


def _processor() -> str:
    """The name that Linux gives it, else what Python knows."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def matmul_peak(dtype: torch.dtype, *, seconds: float) -> float:
    """The most floating-point operations a second that a product of two matrices reached here.

    Products of N x N matrices, 2 N^3 operations each, with as many threads as torch is set
    to; the fastest single product of any of `SIDES` counts.

    Args:
        dtype: Type of both matrices.
        seconds: How long to try, in all.
    """
    best = 0.0
    for side in SIDES:
        left, right = (torch.ones(side, side, dtype=dtype) for _ in range(2))
        out = torch.empty(side, side, dtype=dtype)
        end = time.perf_counter() + seconds / len(SIDES)
        while True:
            began = time.perf_counter()
            torch.mm(left, right, out=out)
            now = time.perf_counter()
            best = max(best, 2 * side**3 / (now - began))
            if now >= end:
                break
    return best


def peak_rss_mib() -> float:
    """The most resident memory that this process has held so far, in MiB.

    On Linux from /proc: there `ru_maxrss` of a new process begins at what the process that
    started it held, because the figure outlives `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (_MIB if sys.platform == "darwin" else 1024)
