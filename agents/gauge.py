"""How long the phases of a program take, and how much memory all its processes hold.

Owns: `Gauge`. Does not own: what is measured.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self, final

import psutil

SAMPLE_S: Final = 0.5
_MIB: Final = 1 << 20


def resident_mib(root: psutil.Process) -> float:
    """Resident memory of a process and all its descendants, in MiB.

    Pages that several processes share are counted once for each: an upper bound.
    """
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it has ended since it was listed
            continue
    return total / _MIB


@final
class Gauge:
    """Seconds of each phase and the peak of memory. Use it in a `with`.

    Attributes:
        seconds: Of each phase, in the order in which they began.
        peak_mib: Largest sample of `resident_mib` so far.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="gauge", daemon=True)
        self.seconds: dict[str, float] = {}
        self.peak_mib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def total_s(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._began_s

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what happens inside; a name used twice adds up."""
        began_s = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - began_s

    def _sample(self) -> None:
        root = psutil.Process()
        while True:
            self.peak_mib = max(self.peak_mib, resident_mib(root))
            if self._stop.wait(SAMPLE_S):
                return
