"""Concepts of several packets, each projected by a map of its own, in one memory.

Owns: `Share`, `shares_of`, `Blend`. Does not own: what the maps are for (cal, relation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from m2kt.packet import Lesson
from m2kt.tensors import ConceptMeans


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one packet gives to the concepts of a memory.

    Attributes:
        means: c_k of the concepts that it gives, Float [K', D].
        slots: Which concept of the memory each is, Int [K'].
        weights: Its share in that concept, Float [K'].
    """

    means: ConceptMeans
    slots: Int[Tensor, "K"]
    weights: Float[Tensor, "K"]


PARTS = ("means", "slots", "weights")


def shares_of(lesson: Lesson) -> list[Share]:
    """What each packet of a lesson gives, in the order of its packets."""
    found = []
    for number, packet in enumerate(lesson.packets):
        picked = [
            (source.row, slot, source.weight)
            for slot, concept in enumerate(lesson.concepts)
            for source in concept.sources
            if source.packet == number
        ]
        rows, slots, weights = zip(*picked, strict=True)
        means = packet.packet.means[torch.tensor(rows)]
        found.append(Share(means, torch.tensor(slots), torch.tensor(weights)))
    return found


@final
class Blend(nn.Module):
    """For each concept the sum over packets of share times projection of c_k.

    Attributes:
        maps: One projection for each packet.
    """

    def __init__(self, shares: Sequence[Share], project: Callable[[int], nn.Module]) -> None:
        """Makes the maps.

        Args:
            shares: What each packet gives.
            project: From the width of a packet's concepts to a map.
        """
        super().__init__()
        self.maps = nn.ModuleList(project(share.means.shape[1]) for share in shares)
        for number, share in enumerate(shares):
            self.register_buffer(f"means_{number}", share.means.float())
            self.register_buffer(f"slots_{number}", share.slots.long())
            self.register_buffer(f"weights_{number}", share.weights.float())
        self.count = 1 + max(int(share.slots.max()) for share in shares)

    def shares(self) -> list[Share]:
        """What each packet gives."""
        return [
            Share(*(self.get_buffer(f"{part}_{number}") for part in PARTS))
            for number in range(len(self.maps))
        ]

    def forward(self) -> Float[Tensor, "K W"]:
        """Every concept of the memory."""
        shares = self.shares()
        parts = [
            its(share.means) * share.weights[:, None]
            for its, share in zip(self.maps, shares, strict=True)
        ]
        slots = torch.cat([share.slots for share in shares])
        nothing: Tensor = parts[0].new_zeros(self.count, parts[0].shape[1])
        return nothing.index_add(0, slots, torch.cat(parts))
