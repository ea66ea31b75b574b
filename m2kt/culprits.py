"""Who must be hostile, if no more than f voters are.

A dispute is explained by a set of voters without whom the others agree. If every set of at most f
voters that explains all disputes has somebody in it, that one is hostile for certain, though
no single dispute tells.

Owns: `implicated`. Free of torch. Does not own: what a dispute is (settling).
"""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations
from typing import Final

MOST_SETS: Final = 20_000
"""Sets of voters that are tried; with more nobody is implicated."""

Dispute = Sequence[AbstractSet[int]]
"""The camps of one concept: voters who say the same."""


def implicated(disputes: Sequence[Dispute], most: int) -> frozenset[int]:
    """Voters that are in every explanation of all disputes by at most `most` voters.

    Nobody if there is no explanation: more than so many are wrong.
    """
    involved = sorted({voter for camps in disputes for camp in camps for voter in camp})
    if sum(math.comb(len(involved), size) for size in range(1, most + 1)) > MOST_SETS:
        return frozenset()
    found: frozenset[int] | None = None
    for size in range(1, most + 1):
        for drawn in combinations(involved, size):
            chosen = frozenset(drawn)
            if all(_explained(camps, chosen) for camps in disputes):
                found = chosen if found is None else found & chosen
    return found or frozenset()


def _explained(camps: Dispute, chosen: AbstractSet[int]) -> bool:
    """Whether those who are left agree."""
    return sum(not camp <= chosen for camp in camps) <= 1
