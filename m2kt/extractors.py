"""Three ways to find concepts in a frozen model, from unlabelled prompts (Algorithm 1).

    clustering            places whose states point the same way are one concept
    gradient_attribution  places at which the same part of the state brings about what is said
    bottleneck_probing    places that a linear bottleneck, fitted to what the teacher itself says
                          next, cannot tell apart

Each measures every hidden state and position (sites), and reads where its own measure is
highest, of equals the last. How many concepts there are is measured too: the fewest whose
groups tell what the teacher says as well as any number of them does.

Owns: `EXTRACTORS`, `Found`, `find`. Does not own: texts and states (survey), packets (extract).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.clustering import agreement, cluster
from m2kt.errors import RequestError
from m2kt.linear_probe import Labelled, crossvalidated, fit, fit_ridge
from m2kt.survey import Site, Survey

WEAK: Final = 1e-2
"""Penalty of the probes that measure sites."""
CLOSE: Final = 0.01
"""Shares that differ by less are taken for equal."""

Measured = Mapping[Site, float]
Features = Float[Tensor, "N F"]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """Concepts that were found.

    Attributes:
        extractor: By which of `EXTRACTORS`.
        site: Where states were read.
        measured: What the extractor's measure was at every site.
        told: For each number of groups that was tried, how often a group tells what is said.
        groups: The concept of each place of the survey, Int [N].
        states: The teacher's state at each place, read at `site`, Float [N, D].
        members: For each concept, the facts that it is made of: each fact is in the concept of
            most of its places.
        purity: Share of places that are in the concept of their fact.
    """

    extractor: str
    site: Site
    measured: Measured
    told: Mapping[int, float]
    groups: Int[Tensor, "N"]
    states: Float[Tensor, "N D"]
    members: tuple[tuple[str, ...], ...]
    purity: float


def find(its: Survey, extractor: str, *, groups: int = 0, seed: int = 0) -> Found:
    """Finds concepts.

    Args:
        its: Places of the teacher's own texts.
        extractor: One of `EXTRACTORS`.
        groups: How many concepts; 0 to measure it.
        seed: Of every draw.

    Raises:
        RequestError: there is no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise RequestError(f"expected an extractor of {', '.join(EXTRACTORS)}, found {extractor!r}")
    locate, describe = EXTRACTORS[extractor]
    generator = torch.Generator().manual_seed(seed)
    measured = locate(its, generator)
    site = best(measured)
    every = torch.arange(len(its.places))
    features = describe(its, site)
    told, found = _grouped(its, features, groups, generator)
    members, numbers, purity = _members(its.facts, found)
    return Found(
        extractor=extractor,
        site=site,
        measured=measured,
        told=told,
        groups=numbers,
        states=its.states([site], every)[site],
        members=members,
        purity=purity,
    )


def best(measured: Measured) -> Site:
    """The last site, and the nearest to the place, whose measure is about the highest."""
    top = max(measured.values())
    close = [site for site, its in measured.items() if its >= top - CLOSE]
    return max(close, key=lambda site: (site.layer, -site.back))


def _grouped(
    its: Survey, features: Features, groups: int, generator: torch.Generator
) -> tuple[dict[int, float], Int[Tensor, "N"]]:
    """How often groups tell what is said, by their number; and the groups that were chosen."""
    asked = torch.randint(2, (len(features),), generator=generator)
    symbols, most = len(its.said.unique()), len(set(its.facts))
    tried = [groups] if groups else _numbers(symbols, most)
    found: dict[int, Tensor] = {}
    told: dict[int, float] = {}
    for count in tried:
        found[count] = cluster(features, count=count, generator=generator).nearest(features)
        told[count] = agreement(found[count], its.said, asked)
    top = max(told.values())
    return told, found[next(count for count in tried if told[count] >= top - CLOSE)]


def _numbers(symbols: int, most: int) -> list[int]:
    """Numbers of groups that are tried: from half the symbols on, each half as many again."""
    found = [max(2, symbols // 2)]
    while found[-1] < most:
        found.append(max(found[-1] + 1, found[-1] * 3 // 2))
    return sorted({*(min(count, most) for count in found), min(symbols, most)})


def _members(
    facts: tuple[str, ...], groups: Int[Tensor, "N"]
) -> tuple[tuple[tuple[str, ...], ...], Int[Tensor, "N"], float]:
    """The facts of each concept, the concept of each place, and how pure that is.

    A group that is the choice of no fact is no concept.
    """
    votes: dict[str, Counter[int]] = {}
    for fact, group in zip(facts, groups.tolist(), strict=True):
        votes.setdefault(fact, Counter())[group] += 1
    chosen = {fact: its.most_common(1)[0][0] for fact, its in votes.items()}
    rows = {group: row for row, group in enumerate(sorted(set(chosen.values())))}
    members: list[list[str]] = [[] for _ in rows]
    for fact in sorted(chosen):
        members[rows[chosen[fact]]].append(fact)
    pure = sum(its[chosen[fact]] for fact, its in votes.items())
    numbers = torch.tensor([rows.get(group, -1) for group in groups.tolist()])
    return tuple(map(tuple, members)), numbers, pure / len(facts)


def _where_clusters_tell(its: Survey, generator: torch.Generator) -> Measured:
    """How often the cluster of a state tells what is said; twice as many clusters as symbols."""
    chosen = its.some()
    said = its.said[chosen]
    count = 2 * len(said.unique())
    asked = torch.randint(2, (len(chosen),), generator=generator)
    return {
        site: agreement(
            cluster(states, count=count, generator=generator).nearest(states), said, asked
        )
        for site, states in its.states(its.sites, chosen).items()
    }


def _where_attribution_goes(its: Survey, _generator: torch.Generator) -> Measured:
    """What share of a layer's attribution a position has."""
    return its.attributions(its.sites, its.some())[1]


def _where_a_probe_reads(its: Survey, generator: torch.Generator) -> Measured:
    """How often a linear probe says what the teacher says, of facts that it has not seen."""
    chosen = its.some()
    said, facts = its.said[chosen], _numbered(its.facts)[chosen]
    found = {}
    for site, states in its.states(its.sites, chosen).items():
        asked = Labelled(states, said, facts)
        right = crossvalidated(asked, how=fit_ridge, decay=WEAK, generator=generator)
        found[site] = float(right.float().mean())
    return found


def _states(its: Survey, site: Site) -> Features:
    return its.states([site], torch.arange(len(its.places)))[site]


def _attributions(its: Survey, site: Site) -> Features:
    return its.attributions([site], torch.arange(len(its.places)))[0][site]


def _read(its: Survey, site: Site) -> Features:
    """Chances of what is said, as a probe reads them: as wide as there are symbols."""
    states = _states(its, site)
    probe = fit(states, its.said, count=int(its.said.max()) + 1)
    return probe.logits(states).softmax(dim=-1)


def _numbered(names: tuple[str, ...]) -> Int[Tensor, "N"]:
    rows = {name: row for row, name in enumerate(sorted(set(names)))}
    return torch.tensor([rows[name] for name in names])


Locate = Callable[[Survey, torch.Generator], Measured]
Describe = Callable[[Survey, Site], Features]

CLUSTERING: Final = "clustering"
EXTRACTORS: Final[Mapping[str, tuple[Locate, Describe]]] = {
    CLUSTERING: (_where_clusters_tell, _states),
    "gradient_attribution": (_where_attribution_goes, _attributions),
    "bottleneck_probing": (_where_a_probe_reads, _read),
}
"""By name: how sites are measured, and what is grouped at the one that was chosen."""
