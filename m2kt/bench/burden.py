"""What combining costs by the number of teachers and of concepts.

Packets are made up, in a domain with as many facts as are wanted; all teachers have all of them
and traces tell half: the most work there can be. Each size is measured in a process of its own.

Owns: `Burden`, `exponent`. Does not own: combining (m2kt.combine).
"""

import math
import os
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import torch
import torch.nn.functional as F  # noqa: N812

from m2kt.bench.delivery import NOW_S, Post
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.digest import digest_of
from m2kt.domain import Domain
from m2kt.domains.tables import modular
from m2kt.extract import own_maps
from m2kt.identity import AgentId
from m2kt.meter import DataMeter
from m2kt.packet import KnowledgePacket, Provenance, ScreenedPacket
from m2kt.reading import View
from m2kt.screen import ScreenRules, screen

OPERATIONS: Final = 3
EXEMPLARS: Final = 4
NOISE: Final = 0.05
SAMPLED_S: Final = 0.002
"""How often memory is looked at, in seconds."""
MIB: Final = 1 << 20


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Burden:
    """One size.

    Attributes:
        teachers: How many.
        concepts: Of each.
        width: Of teachers and student.
        rules: How packets are combined.
        seed: Of what is made up.
    """

    teachers: int
    concepts: int
    width: int = 64
    rules: CombineRules = field(default_factory=CombineRules)
    seed: int = 0

    @property
    def title(self) -> str:
        """What is said of it when it is done."""
        return f"{self.teachers} teachers, {self.concepts} concepts"

    @property
    def kind(self) -> str:
        """How the file of its result begins."""
        return "burden"

    @property
    def models(self) -> tuple[str, ...]:
        """None."""
        return ()

    def run(self) -> dict[str, Any]:
        """Seconds, and the most memory beyond that of the packets."""
        domain = modular(math.ceil(math.sqrt(self.concepts / OPERATIONS)))
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(len(domain.symbols), self.width, generator=generator)
        view = View(domain, F.normalize(drawn - drawn.mean(dim=0), dim=1))
        packets = _packets(self, domain, view)
        combine(packets[:1], self.rules, view)  # what is loaded when it is first used
        with _Watch() as watch:
            started = time.perf_counter()
            lesson = combine(packets, self.rules, view)
            seconds = time.perf_counter() - started
        packet_mib = sum(its.nbytes for its in _tensors(packets[0].packet)) / MIB
        return {
            "seconds": seconds,
            "mib": watch.peak_mib,
            "packet_mib": packet_mib,
            "learnt": len(lesson.concepts),
            "mean": seconds,
        }


def _tensors(packet: KnowledgePacket) -> Sequence[torch.Tensor]:
    return packet.means, packet.exemplars, packet.maps.indices, packet.maps.weights


def _packets(burden: Burden, domain: Domain, view: View) -> list[ScreenedPacket]:
    """Every teacher in a random orthogonal image of the student's space, with noise."""
    facts = sorted(domain.facts)
    rng = random.Random(burden.seed)
    held = set(rng.sample(facts, burden.concepts))
    specs = tuple(spec for spec in domain.concepts if spec.id in held)
    told = tuple(domain.solve(spec.prompt.rstrip("=")) for spec in specs[::2])
    results = torch.tensor([domain.symbols.index(domain.fact(spec.id)) for spec in specs])
    found = []
    for number in range(burden.teachers):
        generator = torch.Generator().manual_seed(1000 * burden.seed + number)
        square = torch.randn(burden.width, burden.width, generator=generator)
        centres = view.directions[results] @ torch.linalg.qr(square)[0]
        shape = (len(specs), EXEMPLARS, burden.width)
        exemplars = centres[:, None] + NOISE * torch.randn(shape, generator=generator)
        name = AgentId(f"teacher-{number}")
        packet = KnowledgePacket(
            concepts=specs,
            means=exemplars.mean(dim=1),
            exemplars=exemplars,
            maps=own_maps(told, specs),
            traces=told,
            symbols=domain.symbols,
            provenance=_about(name, domain),
        )
        found.append(_screened(packet, domain))
    return found


def _about(name: AgentId, domain: Domain) -> Provenance:
    return Provenance(
        teacher=name,
        domain=domain.name,
        family="made-up",
        weights_digest=digest_of(name.encode()),
        genre="symbolic",
        licence="Apache-2.0",
        extractor="none",
        layer=0,
        seed=0,
        created_at_s=NOW_S,
        meter=DataMeter(),
        software="m2kt",
    )


def _screened(packet: KnowledgePacket, domain: Domain) -> ScreenedPacket:
    sent = Post(packet.provenance.teacher).deliver(packet).packet
    found = screen(sent, domain, ScreenRules(min_exemplars=EXEMPLARS))
    assert isinstance(found, ScreenedPacket)  # noqa: S101  # nothing is wrong with it
    return found


@final
class _Watch:
    """Looks at this process's memory all the while."""

    def __enter__(self) -> "_Watch":
        self._first = self._most = _resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak_mib(self) -> float:
        """The most beyond what there was at first."""
        return (self._most - self._first) / MIB

    def _look(self) -> None:
        while not self._done.wait(SAMPLED_S):
            self._most = max(self._most, _resident())


def _resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """B of cost = a size^b, by least squares on logarithms."""
    xs, ys = [math.log(its) for its in sizes], [math.log(its) for its in costs]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - middle_x) ** 2 for x in xs)
