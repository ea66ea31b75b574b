"""How packets of several teachers are combined.

Owns: `CombineRules`. Does not own: who may vote (electorate), what is decided (settling).
"""

from dataclasses import dataclass

from m2kt.errors import RequestError
from m2kt.premix import PREMIXES
from m2kt.spaces import SPACES
from m2kt.strategies import strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class CombineRules:
    """How several teachers are made one.

    Attributes:
        strategy: The rule for voters who do not differ; see `strategies`.
        before: What is done to their points before, in this order; see `premix`.
        space: How a teacher's space is aligned with the student's; see `spaces`.
        guarded: Whether voters are kept out, and concepts left out, where they differ; without it
            the rule alone decides.
        hostile: f, voters that may be hostile. Below 0: a quarter of those that there are,
            (n - 1) / 4 rounded down. From 1 on a concept needs as many votes as the rule asks for,
            2 f + 1 by default, or a root of trust.
        alpha: Level of the test whether voters differ, over all concepts together.
        akin: Mean cosine from which on two voters agree over all concepts.
        max_unsettled: Share of concepts that may be left out for want of agreement or of votes;
            with more, the whole lesson is declined.
    """

    strategy: str = "geometric_median"
    before: tuple[str, ...] = ("norm_clip", "nnm")
    space: str = "anchor_ridge"
    guarded: bool = True
    hostile: int = -1
    alpha: float = 0.05
    akin: float = 0.5
    max_unsettled: float = 0.04

    def __post_init__(self) -> None:
        strategy(self.strategy)
        unknown = [name for name in self.before if name not in PREMIXES]
        if unknown or self.space not in SPACES:
            raise RequestError(
                f"expected before of {', '.join(PREMIXES)} and a space of {', '.join(SPACES)},"
                f" found {', '.join(self.before)} and {self.space!r}"
            )
        if not all(0 <= its <= 1 for its in (self.alpha, self.akin, self.max_unsettled)):
            raise RequestError(
                "expected alpha, akin and max_unsettled from 0 to 1, found"
                f" {self.alpha}, {self.akin}, {self.max_unsettled}"
            )

    def bound(self, voters: int) -> int:
        """F of so many voters."""
        return self.hostile if self.hostile >= 0 else max(0, voters - 1) // 4

    def fewest(self) -> int:
        """Votes without which a concept is not learnt."""
        return strategy(self.strategy).fewest(self.hostile) if self.hostile > 0 else 1
