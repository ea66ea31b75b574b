"""Attention heads of a teacher that were tested for being behind A, as a packet tells of them.

A head whose test fails has no weight; the weights of the others sum to 1. There are as many
lines as heads were tested, so a reader sees both.

Owns: `TestedHead`, `faults`. Does not own: the test (head_test), what a student refuses (screen).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

from m2kt.errors import PacketError

SIGNIFICANT: Final = 0.01
"""A head passes below this p-value."""
TOLERANCE: Final = 1e-3
"""How far the weights may be from summing to 1: what rounding can do to many."""


@final
@dataclass(frozen=True, slots=True)
class TestedHead:
    """An attention head that was tested.

    Attributes:
        layer: Decoder layer, from 0.
        head: Number in its layer, from 0.
        effect: Share of the step's logit difference that is gone if this head alone says what it
            says in another text.
        p: Of its test and of that of all of them together, the worse; adjusted for their number.
        weight: Its share among those that passed; 0 if it failed.
    """

    __test__ = False  # pytest takes the name for a test's

    layer: int
    head: int
    effect: float
    p: float
    weight: float

    def __post_init__(self) -> None:
        if self.layer < 0 or self.head < 0:
            raise PacketError(
                f"expected a layer and a head from 0 up, found {self.layer} and {self.head}"
            )


def faults(heads: Sequence[TestedHead]) -> Iterator[str]:
    """What cannot be true of them, one sentence a fault."""
    if len({(its.layer, its.head) for its in heads}) != len(heads):
        yield f"expected different tested heads, found one of {len(heads)} twice"
    for its in heads:
        where = f"head {its.head} of layer {its.layer}"
        if not all(map(math.isfinite, (its.effect, its.p, its.weight))):
            yield f"expected finite figures of {where}, found some that are not"
        elif not 0 <= its.p <= 1 or not 0 <= its.weight <= 1:
            yield f"expected p and weight from 0 to 1 of {where}, found {its.p} and {its.weight}"
        elif its.weight > 0 and its.p >= SIGNIFICANT:
            yield (
                f"expected no weight for {where}, whose p is {its.p} and not below {SIGNIFICANT},"
                f" found {its.weight}"
            )
    total = sum(its.weight for its in heads)
    if any(its.weight > 0 for its in heads) and not abs(total - 1) <= TOLERANCE:
        yield f"expected weights of tested heads that sum to 1, found {total}"
