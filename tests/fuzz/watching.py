"""Holds one case against the limits: success or a reason, soon, and in little memory.

Owns: `fault`. Does not own: which cases there are (targets).
"""

import os
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from m2kt.errors import M2KTError

LIMIT_S: Final = 0.1
LIMIT_BYTES: Final = 64 << 20
TRIES: Final = 3
"""A case is too slow, or too large, if it is each time."""

Read = Callable[[bytes], object]


def fault(read: Read, raw: bytes) -> str:
    """What is wrong with the way in which `read` takes `raw`; empty if nothing is."""
    found = ""
    for _ in range(TRIES):
        found = _once(read, raw)
        if not found:
            break
    return found


def _once(read: Read, raw: bytes) -> str:
    before = _peak_bytes(forget=True)
    begun, kept = time.perf_counter() - _waited_s(), None
    try:
        kept = read(raw)
    except M2KTError as error:
        if not str(error):
            return f"{type(error).__name__} without a reason"
    except Exception as error:  # that is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]} at {_place(error)}"
    took_s, grew = time.perf_counter() - _waited_s() - begun, _peak_bytes() - before
    del kept
    over = [f"took {took_s * 1000:.0f} ms, more than {LIMIT_S * 1000:.0f}"] * (took_s > LIMIT_S)
    if grew > LIMIT_BYTES:
        over.append(f"took {grew >> 20} MiB of memory, more than {LIMIT_BYTES >> 20}")
    return "; ".join(over)


def _place(error: Exception) -> str:
    """Where it was raised: the innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "m2kt" in f.filename and "tests" not in Path(f.filename).parts]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"


@cache
def _file(name: str, flags: int = os.O_RDONLY) -> int | None:
    """A file in which Linux tells of this process; None elsewhere."""
    with suppress(OSError):
        return os.open(f"/proc/{name}", flags)
    return None


def _waited_s() -> float:
    """For how long this thread was ready and others had the core: no parser's fault."""
    file = _file("thread-self/schedstat")
    return 0.0 if file is None else int(os.pread(file, 100, 0).split()[1]) / 1e9


def _peak_bytes(*, forget: bool = False) -> int:
    """The most memory that this process has held since the peak was forgotten."""
    status, clear = _file("self/status"), _file("self/clear_refs", os.O_WRONLY)
    if status is None or clear is None:
        return 0
    if forget:
        os.pwrite(clear, b"5", 0)
    _, _, found = os.pread(status, 4096, 0).partition(b"VmHWM:")
    return int(found.split(maxsplit=1)[0]) << 10
