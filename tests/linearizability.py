"""Whether a history of overlapping calls could have come from one call after the other.

Wing and Gong's search (J. Parallel and Distributed Computing, 1993) with Lowe's memory of the
configurations that led nowhere (Concurrency and Computation, 2017). What a single object does
is told by a model: a function from a state and a call to the states that may follow, none if
the call cannot have returned what it did.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Model = Callable[[Any, "Call"], Iterable[Hashable]]


@dataclass(frozen=True)
class Call:
    """One call, as its caller saw it.

    Attributes:
        asked: What was called, and with what.
        told: What it returned; nothing if it has not.
        invoked_at: When it was called, on a clock that all callers share.
        returned_at: When it returned; infinite if nobody knows: then it may have taken effect
            at any time since, or not at all.
    """

    asked: Any
    told: Any
    invoked_at: float
    returned_at: float = math.inf


def linearization(
    history: Sequence[Call], model: Model, state: Hashable
) -> tuple[Call, ...] | None:
    """An order of `history` that the model allows and real time does not forbid, if there is one.

    Calls that never returned are left out where the order needs none of their effects.

    Args:
        history: Calls in any order.
        model: What the object does.
        state: Where it begins.
    """
    calls = sorted(history, key=lambda call: call.invoked_at)
    returned = frozenset(i for i, call in enumerate(calls) if call.returned_at < math.inf)
    seen: set[tuple[frozenset[int], Hashable]] = set()
    paths: list[tuple[tuple[int, ...], Hashable]] = [((), state)]
    while paths:
        path, now = paths.pop()
        done = frozenset(path)
        if returned <= done:
            return tuple(calls[i] for i in path)
        if (done, now) in seen:
            continue
        seen.add((done, now))
        for i in _next(calls, done):
            paths += [((*path, i), then) for then in model(now, calls[i])]
    return None


def _next(calls: Sequence[Call], done: frozenset[int]) -> list[int]:
    """Calls that may come next: none that is left returned before they were invoked."""
    left = [i for i in range(len(calls)) if i not in done]
    first = min(calls[i].returned_at for i in left)
    return [i for i in left if calls[i].invoked_at <= first]
