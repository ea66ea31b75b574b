"""One CAL of several, each learnt from a teacher by itself, without training.

    tau_i = theta_i - theta_0
    theta = theta_0 + lambda merge(tau_1, ..., tau_T)

    task_arithmetic   the sum                                                        [1]
    ties              of each tau_i the largest entries; of each entry the sign with the larger
                      total, and the mean of those that have it                      [2]
    dare_ties         entries are dropped at random, what is left is scaled to the same
                      expectation; then signs and means as in `ties`                 [3]

theta_0 is what a CAL of that shape and seed draws at the start. What belongs to a packet (its
c_k and its phi) or to a concept (its key) stands side by side in one memory; the rest of the
memory is merged. Adapters are merged as what they add to the frozen weights, SCALE B A, which is
zero at the start. Every tensor is merged by itself. Where a memory looks was set in closed form,
far from what was drawn: entries that are dropped cost most there.

[1] Ilharco et al., 2023, arXiv 2212.04089. [2] Yadav et al., 2023, arXiv 2306.01708.
[3] Yu et al., 2024, arXiv 2311.03099.

Owns: `MERGES`, `MergeRules`, `merged`. Does not own: combining packets before a lesson
(combine), what a CAL is (cal), whether a merged one is any good (verify).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.adapters import SCALE
from m2kt.address import Address
from m2kt.blend import Share
from m2kt.cal import ConceptAlignmentLayer
from m2kt.errors import CompatibilityError, RequestError
from m2kt.tensors import mean_by

APART: Final = ("phi.", "find.keys", "find.members")
"""How the names of those tensors of a memory begin that belong to a packet or to a concept."""

Slots = Int[Tensor, "_"]
"""Where the concepts of one CAL are in the merged memory."""

Vectors = Float[Tensor, "T *S"]
"""One tensor's part of T task vectors."""

Combine = Callable[[Vectors, float, torch.Generator], Float[Tensor, "*S"]]
"""From T task vectors, the density and a generator to one."""


@final
@dataclass(frozen=True, slots=True)
class Merge:
    """A rule.

    Attributes:
        combine: From task vectors to one.
        additive: Whether that is their sum: then adapters stand side by side, exactly.
    """

    combine: Combine
    additive: bool = False


def task_arithmetic(vectors: Vectors, density: float, generator: torch.Generator) -> Tensor:
    """The sum."""
    del density, generator
    return vectors.sum(dim=0)


def ties(vectors: Vectors, density: float, generator: torch.Generator) -> Tensor:
    """Trims, elects signs, and takes the mean of those that agree."""
    del generator
    return _agreed(torch.stack([_trimmed(its, density) for its in vectors]))


def dare_ties(vectors: Vectors, density: float, generator: torch.Generator) -> Tensor:
    """Drops entries at random, elects signs, and takes the mean of those that agree.

    There is no second trim: no more than about the density is left. A mean of those that are
    left is larger than the mean of all where several agree and one was dropped.
    """
    return _agreed(_thinned(vectors, density, generator))


def _trimmed(vector: Float[Tensor, "*S"], density: float) -> Float[Tensor, "*S"]:
    """The largest entries by magnitude, at least one of them; the others are zero."""
    flat = vector.flatten()
    kept = flat.abs().topk(max(1, round(density * len(flat)))).indices
    return torch.zeros_like(flat).index_copy(0, kept, flat[kept]).view_as(vector)


def _thinned(vectors: Vectors, density: float, generator: torch.Generator) -> Vectors:
    """Each entry with probability `density`, then divided by it.

    A tensor of one number stays: there are no others that could stand for it.
    """
    if vectors[0].numel() == 1:
        return vectors
    kept = torch.rand(vectors.shape, generator=generator) < density
    return vectors * kept.to(vectors.device) / density


def _agreed(vectors: Vectors) -> Tensor:
    """Of each entry the mean of those with the sign that has the larger total; zeros do not count.

    Where both totals are equal nothing is left.
    """
    elected = vectors.sum(dim=0).sign()
    agree = vectors.sign() == elected
    return (vectors * agree).sum(dim=0) / agree.sum(dim=0).clamp_min(1)


MERGES: Final[Mapping[str, Merge]] = MappingProxyType(
    {
        "task_arithmetic": Merge(task_arithmetic, additive=True),
        "ties": Merge(ties),
        "dare_ties": Merge(dare_ties),
    }
)
"""Every rule by its name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRules:
    """How CALs are merged.

    Attributes:
        how: Name of a rule.
        scale: lambda; if none is given, what makes it a mean: 1/T for a sum, else 1.
        density: Share of a task vector's entries that `ties` and `dare_ties` keep.
        seed: Of what `dare_ties` drops.
    """

    how: str
    scale: float | None = None
    density: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in MERGES:
            raise RequestError(f"expected a merge of {', '.join(MERGES)}, found {self.how!r}")
        if not 0 < self.density <= 1:
            raise RequestError(f"expected a density above 0, at most 1, found {self.density}")
        if self.scale is not None and not math.isfinite(self.scale):
            raise RequestError(f"expected a finite scale, found {self.scale}")


@final
class _Merging:
    """A rule at work on T task vectors, one tensor after the other."""

    def __init__(self, rules: MergeRules, count: int) -> None:
        self.merge, self.density = MERGES[rules.how], rules.density
        usual = 1 / count if self.merge.additive else 1.0
        self.scale = usual if rules.scale is None else rules.scale
        self.generator = torch.Generator().manual_seed(rules.seed)

    def __call__(self, vectors: Vectors) -> Tensor:
        """Lambda times the merged vector."""
        return self.scale * self.merge.combine(vectors, self.density, self.generator)


@torch.no_grad()
def merged(
    cals: Sequence[ConceptAlignmentLayer],
    rules: MergeRules,
    concepts: Sequence[Sequence[str]] | None = None,
) -> ConceptAlignmentLayer:
    """One CAL of several, whose concepts follow one another in one memory.

    A CAL does not know what its concepts are called. Unless it is told by `concepts`, one that
    two CALs hold has two places, which share its attention and leave less to the null slot.

    Args:
        cals: Two or more of one student, of one shape and one seed.
        rules: How.
        concepts: Ids of the concepts of each, in their order. A concept that several hold then
            has one place: its key is the mean of theirs, its value too.

    Raises:
        RequestError: there are fewer than two, or `concepts` does not fit them.
        CompatibilityError: they are of different shape, seed or student, or relational.
    """
    _require_alike(cals)
    slots = _slots(cals, concepts)
    merging, first = _Merging(rules, len(cals)), cals[0]
    found = ConceptAlignmentLayer(
        replace(first.config, adapter_rank=first.config.adapter_rank * len(cals)),
        mean_by(torch.cat(slots), torch.cat([_find(cal).keys for cal in cals]), _count(slots)),
        _shares(cals, slots),
        seed=first.seed,
    ).to(first.gate.device)
    for its, learnt in zip(found.phi.maps, (m for cal in cals for m in cal.phi.maps), strict=True):
        its.load_state_dict(learnt.state_dict())
    found.load_state_dict(found.state_dict() | _memory(cals, merging))
    found.adapters = _adapters(cals, merging, found.config.adapter_rank)
    return found


def _find(cal: ConceptAlignmentLayer) -> Address:
    """Where it looks; that of a relational one is not merged."""
    if isinstance(cal.find, Address):
        return cal.find
    raise CompatibilityError(
        "expected CALs whose concepts are facts, found a relational one; learn one lesson from"
        " all packets instead"
    )


def _require_alike(cals: Sequence[ConceptAlignmentLayer]) -> None:
    """All are of one shape, seed and student."""
    if len(cals) < 2:
        raise RequestError(f"expected two CALs or more to merge, found {len(cals)}; name another")
    for what, value in (
        ("shape", lambda cal: cal.config),
        ("seed", lambda cal: cal.seed),
        ("width of the student", lambda cal: _find(cal).keys.shape[1]),
        ("adapters", lambda cal: {name: its.shape for name, its in cal.adapters.items()}),
    ):
        wanted, *others = map(value, cals)
        strange = [its for its in others if its != wanted]
        if strange:
            raise CompatibilityError(
                f"expected CALs of one {what}, found {str(wanted)[:200]} and"
                f" {str(strange[0])[:200]}; learn them again as one student, by the same settings"
            )


def _slots(
    cals: Sequence[ConceptAlignmentLayer], concepts: Sequence[Sequence[str]] | None
) -> list[Slots]:
    """Where each concept of each CAL is in the merged memory."""
    counts = [len(_find(cal).keys) for cal in cals]
    named = concepts or [[f"{n} {k}" for k in range(count)] for n, count in enumerate(counts)]
    if [len(set(ids)) for ids in named] != counts or [len(ids) for ids in named] != counts:
        raise RequestError(
            f"expected {counts} different ids of concepts, one list for each CAL, found"
            f" {[len(set(ids)) for ids in named]}; name every concept of every CAL once"
        )
    every = {name: slot for slot, name in enumerate(dict.fromkeys(i for ids in named for i in ids))}
    device = cals[0].gate.device
    return [torch.tensor([every[name] for name in ids], device=device) for ids in named]


def _count(slots: Sequence[Slots]) -> int:
    return 1 + max(int(its.max()) for its in slots)


def _shares(cals: Sequence[ConceptAlignmentLayer], slots: Sequence[Slots]) -> list[Share]:
    """What each packet of each CAL gives; what several CALs hold is divided among them."""
    holders = torch.bincount(torch.cat(list(slots)))
    return [
        Share(share.means, its[share.slots], share.weights / holders[its[share.slots]])
        for cal, its in zip(cals, slots, strict=True)
        for share in cal.phi.shares()
    ]


def _memory(cals: Sequence[ConceptAlignmentLayer], merging: _Merging) -> dict[str, Tensor]:
    """What all memories have in common, merged.

    Packets of different width leave different draws to the rest: theta_0 is then their mean.
    """
    learnt = [cal.state_dict() for cal in cals]
    begun = [
        ConceptAlignmentLayer(cal.config, _find(cal).keys, cal.phi.shares(), seed=cal.seed)
        .to(cal.gate.device)
        .state_dict()
        for cal in cals
    ]
    found = {}
    for name in (name for name in learnt[0] if not name.startswith(APART)):
        start, end = (torch.stack([its[name] for its in states]) for states in (begun, learnt))
        found[name] = start.mean(dim=0) + merging(end - start)
    return found


def _adapters(
    cals: Sequence[ConceptAlignmentLayer], merging: _Merging, rank: int
) -> dict[str, Tensor]:
    """What adapters add, merged; sums by putting their factors side by side, all else by an SVD."""
    found: dict[str, Tensor] = {}
    for name in (name.removesuffix("lora_A") for name in cals[0].adapters if "lora_A" in name):
        downs = [cal.adapters[f"{name}lora_A"] for cal in cals]
        ups = [cal.adapters[f"{name}lora_B"] for cal in cals]
        if merging.merge.additive:
            down, up = torch.cat(downs), merging.scale * torch.cat(ups, dim=1)
        else:
            pairs = zip(ups, downs, strict=True)
            down, up = _factors(merging(torch.stack([SCALE * b @ a for b, a in pairs])), rank)
        found |= {f"{name}lora_A": down, f"{name}lora_B": up}
    return found


def _factors(
    delta: Float[Tensor, "O I"], rank: int
) -> tuple[Float[Tensor, "R I"], Float[Tensor, "O R"]]:
    """A and B with SCALE B A as near to `delta` as their rank allows."""
    left, strengths, right = torch.linalg.svd(delta, full_matrices=False)
    roots = (strengths[:rank] / SCALE).sqrt()
    down, up = delta.new_zeros(rank, delta.shape[1]), delta.new_zeros(delta.shape[0], rank)
    down[: len(roots)] = roots[:, None] * right[:rank]
    up[:, : len(roots)] = left[:, :rank] * roots
    return down, up
