"""How often, and how many at a time, one caller may call: none of them crowds out the others.

A token bucket for each: it fills with `calls_per_s`, holds `calls_burst`, and each call takes
one. A caller is a name on a certificate, or without TLS an address.

Owns: `Throttle`. Free of torch and of grpc.
Does not own: who the caller is (server), how many calls all together (settings).
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

from m2kt.errors import BusyError

from .settings import Limits

MOST_CALLERS: Final = 4096
"""Callers that are remembered; whoever has been quiet longest is forgotten first."""


@dataclass(slots=True)
class _Caller:
    tokens: float
    at_s: float
    calls: int = 0


@final
class Throttle:
    """One server's callers. Lives on one event loop."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Lets a call of `name` run inside.

        Raises:
            BusyError: it calls too often, or has too many calls running.
        """
        caller, limits = self._caller(name), self._limits
        if caller.calls >= limits.calls_per_caller:
            raise BusyError(
                f"expected at most {limits.calls_per_caller} calls of one caller at a time, found"
                " one more; wait until one has ended"
            )
        if caller.tokens < 1:
            wait_s = (1 - caller.tokens) / limits.calls_per_s
            raise BusyError(
                f"expected at most {limits.calls_per_s:g} calls a second of one caller, found more;"
                f" call again in {wait_s:.2f} s"
            )
        caller.tokens -= 1
        caller.calls += 1
        try:
            yield
        finally:
            caller.calls -= 1

    def _caller(self, name: str) -> _Caller:
        """What is known of a caller, with the tokens that it has by now."""
        now_s, burst = self._clock(), float(self._limits.calls_burst)
        caller = self._callers.setdefault(name, _Caller(burst, now_s))
        self._callers.move_to_end(name)
        gained = (now_s - caller.at_s) * self._limits.calls_per_s
        caller.tokens, caller.at_s = min(burst, caller.tokens + gained), now_s
        if len(self._callers) > MOST_CALLERS:
            quiet = (its for its, found in self._callers.items() if found.calls == 0)
            del self._callers[next(quiet, name)]
        return caller
