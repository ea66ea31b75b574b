"""Strategies: every rule by its standard name, and what it asks of a ballot.

To add one, write a function from a `Ballot` to coefficients and name it: `add("mine", mine)`.

Owns: `Strategy`, `STRATEGIES`, rules that look at more than points. Does not own: the others
(robust), which concepts a rule is asked about (settling).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch.nn.functional as F  # noqa: N812

from m2kt import robust
from m2kt.errors import RequestError
from m2kt.robust import TINY, Ballot, Weights

SHARPNESS: Final = 5.0
"""Of `adaptive_weighted`: factor on cosines before the softmax."""

Weigh = Callable[[Ballot], Weights]


@final
@dataclass(frozen=True, slots=True)
class Strategy:
    """A rule.

    Attributes:
        weigh: From a ballot to coefficients; all 0 where the rule abstains.
        fewest: From f to the voters that its guarantee needs.
        by_record: Whether it weighs voters by their record, which mixtures of them do not have.
    """

    weigh: Weigh
    fewest: Callable[[int], int]
    by_record: bool = False


def fltrust(ballot: Ballot) -> Weights:
    """Points as long as the root's, by their cosine with it, negative ones not at all.

    Without a root it abstains. Cao et al., 2021.
    """
    if ballot.root is None:
        return ballot.points.new_zeros(*ballot.points.shape[:2], 1)
    trust = F.cosine_similarity(ballot.points, ballot.root[:, None], dim=2).clamp_min(0)
    lengths = ballot.points.norm(dim=2).clamp_min(TINY)
    scale = ballot.root.norm(dim=1, keepdim=True) / lengths
    total = trust.sum(dim=1, keepdim=True).clamp_min(TINY)
    weights: Weights = (trust * scale / total)[:, :, None]
    return weights


def confidence_weighted(ballot: Ballot) -> Weights:
    r"""The surer, the more.

    .. math:: w_n = \frac{1}{N - 1} \Bigl(1 - \frac{\exp L_n}{\sum_j \exp L_j}\Bigr)

    as in CA-MKD (Zhang et al., 2022), where L_n is the loss against a label. We have none: it is
    the surprise at what the voter's own point says.
    """
    if ballot.doubt is None or ballot.voters == 1:
        return robust.mean(ballot)
    weights = (1 - ballot.doubt.softmax(dim=1)) / (ballot.voters - 1)
    return weights[:, :, None].to(ballot.points.dtype)


def adaptive_weighted(ballot: Ballot) -> Weights:
    """By agreement with the others on this very concept: a softmax of mean cosines.

    AMTML-KD (Liu et al., 2020) learns weights for each instance; that takes labels.
    """
    if ballot.voters == 1:
        return robust.mean(ballot)
    unit = F.normalize(ballot.points, dim=2)
    cosines = unit @ unit.mT
    others = (cosines.sum(dim=2) - cosines.diagonal(dim1=1, dim2=2)) / (ballot.voters - 1)
    return (SHARPNESS * others).softmax(dim=1)[:, :, None]


def reputation_weighted(ballot: Ballot) -> Weights:
    """By each voter's record."""
    if ballot.trust is None:
        return robust.mean(ballot)
    shares = (ballot.trust / ballot.trust.sum()).to(ballot.points.dtype)
    return shares[None, :, None].expand(len(ballot.points), -1, 1)


def best_teacher_per_concept(ballot: Ballot) -> Weights:
    """The one voter nearest to the root; without a root the surest."""
    if ballot.root is not None:
        best = F.cosine_similarity(ballot.points, ballot.root[:, None], dim=2).argmax(dim=1)
    elif ballot.doubt is not None:
        best = ballot.doubt.argmin(dim=1)
    else:
        best = ballot.points.norm(dim=2).argmax(dim=1)
    weights = ballot.points.new_zeros(ballot.points.shape[:2])
    return weights.scatter(1, best[:, None], 1.0)[:, :, None]


def abstain(ballot: Ballot) -> Weights:
    """The mean where all say the same, nothing where they do not."""
    if ballot.says is None:
        return robust.mean(ballot)
    same = (ballot.says == ballot.says[:, :1]).all(dim=1)
    return robust.mean(ballot) * same[:, None, None]


def _majority(hostile: int) -> int:
    return 2 * hostile + 1


def _anybody(_: int) -> int:
    return 1


STRATEGIES: Final[dict[str, Strategy]] = {
    "mean": Strategy(robust.mean, _anybody),
    "coordinate_median": Strategy(robust.coordinate_median, _majority),
    "trimmed_mean": Strategy(robust.trimmed_mean, _majority),
    "geometric_median": Strategy(robust.geometric_median, _majority),
    "krum": Strategy(robust.krum, _majority),
    "multi_krum": Strategy(robust.multi_krum, _majority),
    "bulyan": Strategy(robust.bulyan, lambda f: 4 * f + 3 if f else 1),
    "fltrust": Strategy(fltrust, _anybody),
    "confidence_weighted": Strategy(confidence_weighted, _anybody),
    "adaptive_weighted": Strategy(adaptive_weighted, _majority),
    "reputation_weighted": Strategy(reputation_weighted, _anybody, by_record=True),
    "best_teacher_per_concept": Strategy(best_teacher_per_concept, _anybody),
    "abstain": Strategy(abstain, _anybody),
}
"""Every strategy by its name."""


def add(name: str, weigh: Weigh, fewest: Callable[[int], int] = _anybody) -> None:
    """Makes a rule of yours known by a name.

    Args:
        name: How it is asked for.
        weigh: From a ballot to coefficients.
        fewest: From f to the voters that its guarantee needs.

    Raises:
        RequestError: there is one of that name.
    """
    if name in STRATEGIES:
        raise RequestError(f"expected a new name, found the strategy {name!r}; choose another")
    STRATEGIES[name] = Strategy(weigh, fewest)


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        RequestError: there is none.
    """
    if name not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise RequestError(f"expected a strategy of {known}, found {name!r}")
    return STRATEGIES[name]
