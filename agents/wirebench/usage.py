"""What a process has used: processor time, and memory that is its own.

Owns: `Usage`, `now`, `PeakWatch`.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_STATUS: Final = Path("/proc/self/status")
_PERIOD_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time, and mebibytes of anonymous memory: pages of files not counted."""

    cpu_s: float
    anonymous_mib: float


def now() -> Usage:
    """Of this process, until now."""
    return Usage(time.process_time(), anonymous_mib())


def anonymous_mib() -> float:
    """RssAnon of this process, MiB."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


class PeakWatch:
    """The most anonymous memory that this process held while inside a `with`."""

    def __init__(self) -> None:
        self.before_mib = self.peak_mib = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.before_mib = self.peak_mib = anonymous_mib()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    @property
    def grown_mib(self) -> float:
        """By how much it grew at most."""
        return self.peak_mib - self.before_mib

    def _watch(self) -> None:
        while not self._ends.wait(_PERIOD_S):
            self.peak_mib = max(self.peak_mib, anonymous_mib())
