"""What hostile teachers do to the packets that they send.

Traces stay right: a student works them out again and would refuse wrong ones. What is changed are
the c_k of facts that no trace shows, which nobody can check by itself. Liars know one another, the
student's directions and what the honest ones send; they agree on what they say.

    sign_flip    every c_k points the other way                                     [1]
    label_flip   every c_k is that of a concept with the next symbol                [2]
    gaussian     every c_k is noise of its length                                   [1]
    scaling      label_flip, as long as screening lets through                      [1]
    alie         so far from the honest mean that it goes for one of them           [3]
    ipm          against the honest mean, half as long                              [4]
    sybil        label_flip, one organisation under as many names as there are liars
    mimic        what one honest teacher sends, so that it counts more often        [5]
    subtle       label_flip, of one concept in twenty

[1] Blanchard et al., 2017. [2] Tolpegin et al., 2020. [3] Baruch et al., 2019, A Little Is Enough.
[4] Xie et al., 2020, inner product manipulation. [5] Karimireddy et al., 2022.

Owns: `ATTACKS`, `Scene`. Does not own: who is hostile, and how often (gatherings).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from types import MappingProxyType
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.domain import Domain
from m2kt.extract import own_maps
from m2kt.packet import KnowledgePacket
from m2kt.reading import View, read
from m2kt.spaces import SPACES
from m2kt.tensors import Exemplars

LONGEST: Final = 15.0
"""Times as long: screening refuses twenty times the median."""
LIED: Final = 0.05
"""Share of concepts that `subtle` lies about."""
OPPOSED: Final = 0.5
"""Length of what `ipm` sends, of the honest mean."""
JITTER: Final = 1e-3
"""Of copies that are not to look like copies, of the vectors' deviation."""
EXEMPLARS: Final = 16
SPREAD: Final = 0.02
"""Deviation of made-up exemplars."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What liars know.

    Attributes:
        domain: What is taught.
        view: How the student looks at concepts.
        told: What traces tell.
        honest: The packets of the others.
        liars: How many there are.
        seed: Of every draw.
    """

    domain: Domain
    view: View
    told: Mapping[str, str]
    honest: Sequence[KnowledgePacket]
    liars: int
    seed: int

    def generator(self, number: int) -> torch.Generator:
        """For the draws of one liar; liars who agree use number 0."""
        return torch.Generator().manual_seed(1000 * self.seed + number)

    def hidden(self, packet: KnowledgePacket) -> Int[Tensor, "N"]:
        """Rows of the facts that no trace shows."""
        rows = [row for row, spec in enumerate(packet.concepts) if spec.id not in self.told]
        return torch.tensor(rows, dtype=torch.long)


Attack = Callable[[KnowledgePacket, Scene, int], KnowledgePacket]
"""From a liar's own honest packet, what it knows and its number among liars to what it sends."""


def _sent(packet: KnowledgePacket, exemplars: Exemplars) -> KnowledgePacket:
    return replace(packet, exemplars=exemplars, means=exemplars.mean(dim=1))


def _put(packet: KnowledgePacket, rows: Int[Tensor, "N"], exemplars: Exemplars) -> KnowledgePacket:
    changed = packet.exemplars.clone()
    changed[rows] = exemplars.to(changed.dtype)
    return _sent(packet, changed)


def sign_flip(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """Every c_k points the other way."""
    del number
    rows = scene.hidden(packet)
    return _put(packet, rows, -packet.exemplars[rows])


def label_flip(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """Every c_k is that of a concept whose result is the next symbol."""
    del number
    return _flipped(packet, scene, scene.hidden(packet))


def _flipped(packet: KnowledgePacket, scene: Scene, rows: Int[Tensor, "N"]) -> KnowledgePacket:
    symbols = scene.domain.symbols
    results = [symbols.index(scene.domain.fact(spec.id)) for spec in packet.concepts]
    donors = []
    for row in rows.tolist():
        wanted = (results[row] + 1) % len(symbols)
        while wanted not in results:
            wanted = (wanted + 1) % len(symbols)
        donors.append(results.index(wanted))
    return _put(packet, rows, packet.exemplars[torch.tensor(donors, dtype=torch.long)])


def gaussian(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """Every c_k is noise as long as it was."""
    rows = scene.hidden(packet)
    lengths = packet.means[rows].float().norm(dim=1)
    noise = torch.randn(len(rows), packet.width, generator=scene.generator(number))
    noise = noise * (lengths / noise.norm(dim=1))[:, None]
    spread = packet.exemplars[rows].float() - packet.means[rows].float()[:, None]
    return _put(packet, rows, noise[:, None] + spread)


def scaling(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """`label_flip`, as long as screening lets through."""
    changed, rows = label_flip(packet, scene, number), scene.hidden(packet)
    return _put(changed, rows, LONGEST * changed.exemplars[rows])


def sybil(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """`label_flip`, a little different for each name."""
    return _jittered(label_flip(packet, scene, 0), scene, number)


def mimic(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """What the first honest teacher sends, a little different, under the liar's name."""
    copied = replace(scene.honest[0], provenance=packet.provenance)
    return _jittered(copied, scene, number)


def _jittered(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    deviation = float(packet.exemplars.float().std())
    noise = torch.randn(packet.exemplars.shape, generator=scene.generator(number))
    return _sent(packet, packet.exemplars + JITTER * deviation * noise)


def subtle(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """`label_flip` of one concept in twenty, the same for all liars."""
    del number
    names = sorted(spec.id for spec in scene.domain.concepts if spec.id not in scene.told)
    count = max(1, round(LIED * len(scene.domain.concepts)))
    drawn = torch.randperm(len(names), generator=scene.generator(0))[:count]
    lied = {names[at] for at in drawn.tolist()}
    rows = [row for row, spec in enumerate(packet.concepts) if spec.id in lied]
    return _flipped(packet, scene, torch.tensor(rows, dtype=torch.long))


def alie(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """The honest mean less z deviations, z such that enough honest ones are further away."""
    honest = len(scene.honest)
    supporters = (honest + scene.liars) // 2 + 1 - scene.liars
    z = NormalDist().inv_cdf(max(0.5, min(0.99, (honest - supporters) / honest)))
    return _made_up(packet, scene, number, lambda mean, deviation: mean - z * deviation)


def ipm(packet: KnowledgePacket, scene: Scene, number: int) -> KnowledgePacket:
    """Against the honest mean."""
    return _made_up(packet, scene, number, lambda mean, _: -OPPOSED * mean)


Stand = Callable[[Float[Tensor, "H"], Float[Tensor, "H"]], Float[Tensor, "H"]]
"""From the mean and the deviation of honest points to a liar's."""


def _made_up(packet: KnowledgePacket, scene: Scene, number: int, stand: Stand) -> KnowledgePacket:
    """A packet in the student's own space: what is told lies where it should."""
    points: dict[str, list[Tensor]] = {}
    for other in scene.honest:
        reading = read(other, scene.told, scene.view, SPACES["anchor_ridge"])
        if reading.aligned is not None:
            placed = reading.points(torch.arange(len(other.concepts)))
            for spec, point in zip(other.concepts, placed, strict=True):
                points.setdefault(spec.id, []).append(point)
    symbols = scene.view.grammar.symbols
    held = [its for its in packet.concepts if its.id in scene.told or its.id in points]
    centres = torch.stack(
        [
            scene.view.directions[symbols.index(scene.told[spec.id])]
            if spec.id in scene.told
            else _stand(torch.stack(points[spec.id]), stand)
            for spec in held
        ]
    )
    shape = (len(held), EXEMPLARS, centres.shape[1])
    noise = SPREAD * torch.randn(shape, generator=scene.generator(number))
    exemplars = centres[:, None] + noise
    return replace(
        packet,
        concepts=tuple(held),
        exemplars=exemplars,
        means=exemplars.mean(dim=1),
        maps=own_maps(packet.traces, tuple(held)),
    )


def _stand(points: Float[Tensor, "n H"], stand: Stand) -> Float[Tensor, "H"]:
    return stand(points.mean(dim=0), points.std(dim=0, correction=0))


ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        its.__name__: its
        for its in (
            sign_flip, label_flip, gaussian, scaling, alie, ipm, sybil, mimic, subtle,
        )
    }
)  # fmt: skip
"""Every attack by its name."""
