"""What a process has used: processor time, and memory that is its own.

Owns: `Spent`, `Watch`.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, final

_STATUS: Final = Path("/proc/self/status")
_PERIOD_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process used while it was watched.

    Attributes:
        cpu_s: Seconds of processor time.
        before_mib: Anonymous memory when it began: pages of files are not counted.
        peak_mib: The most that it held.
    """

    cpu_s: float
    before_mib: float
    peak_mib: float

    @property
    def grown_mib(self) -> float:
        """By how much it grew at most."""
        return self.peak_mib - self.before_mib


def anonymous_mib() -> float:
    """RssAnon of this process, MiB."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


@final
class Watch:
    """Looks at this process while inside a `with`."""

    def __init__(self) -> None:
        self._before_mib = self._peak_mib = anonymous_mib()
        self._begun_s = self._cpu_s = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun_s = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._cpu_s = time.process_time() - self._begun_s
        self._ends.set()
        self._thread.join()

    @property
    def spent(self) -> Spent:
        """What was used until it ended."""
        return Spent(self._cpu_s, self._before_mib, self._peak_mib)

    def _watch(self) -> None:
        while not self._ends.wait(_PERIOD_S):
            self._peak_mib = max(self._peak_mib, anonymous_mib())
