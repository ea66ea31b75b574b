"""Teachers that are made up, for tests of what a student does with several of them.

Each knows multiplication modulo 7 in a space of its own: a random orthogonal map of directions
that all of them share, and noise. What it believes of a fact may be wrong; its traces are right.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from m2kt import domains
from m2kt.combine_config import CombineRules
from m2kt.extract import own_maps
from m2kt.identity import AgentId
from m2kt.packet import KnowledgePacket, Lesson, ScreenedPacket
from m2kt.reading import View
from tests.packets import provenance
from tests.screening import authentic

DOMAIN = domains.get("arith.mod7")
FACTS = tuple(spec.id for spec in DOMAIN.concepts if "*" in spec.id)
# Every other fact of each symbol, so that every symbol is told of more than once.
TOLD = tuple(
    fact
    for symbol in DOMAIN.symbols
    for fact in [its for its in FACTS if DOMAIN.fact(its) == symbol][::2]
)
HIDDEN = tuple(fact for fact in FACTS if fact not in TOLD)
WIDTH = 16
RULES = CombineRules()

Believes = Callable[[str], str]


def directions() -> torch.Tensor:
    drawn = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(7))
    return torch.nn.functional.normalize(drawn - drawn.mean(dim=0), dim=1)


VIEW = View(DOMAIN, directions())


def truth(fact: str) -> str:
    return DOMAIN.fact(fact)


def shifted(by: int = 1, *, only: Iterable[str] = FACTS) -> Believes:
    """Believes that the result of `only` is so much larger."""
    wrong = frozenset(only)
    return lambda fact: str((int(truth(fact)) + by * (fact in wrong)) % 7)


def packet_by(
    name: str,
    believes: Believes = truth,
    *,
    facts: Iterable[str] = FACTS,
    told: Iterable[str] = TOLD,
    width: int = 20,
    noise: float = 0.05,
) -> KnowledgePacket:
    """What a teacher sends: of told facts the truth, of others what it believes."""
    generator = torch.Generator().manual_seed(sum(name.encode()))
    turn = torch.linalg.qr(torch.randn(width, width, generator=generator))[0][:, :WIDTH]
    held = sorted(facts)
    specs = tuple(spec for spec in DOMAIN.concepts if spec.id in held)
    shown = [spec for spec in specs if spec.id in set(told)]
    says = [truth(s.id) if s in shown else believes(s.id) for s in specs]
    centres = directions()[[int(symbol) for symbol in says]] @ turn.T
    spread = torch.randn(len(specs), 16, width, generator=generator)
    exemplars = centres[:, None] + noise * spread
    traces = tuple(DOMAIN.solve(spec.prompt.rstrip("=")) for spec in shown)
    return KnowledgePacket(
        concepts=specs,
        means=exemplars.mean(dim=1),
        exemplars=exemplars,
        maps=own_maps(traces, specs),
        traces=traces,
        symbols=DOMAIN.symbols,
        provenance=provenance(teacher=AgentId(name), domain=DOMAIN.name, concepts=len(specs)),
    )


def teacher(
    name: str, believes: Believes = truth, *, organisation: str = "", root: bool = False, **content
) -> ScreenedPacket:
    """Its packet, past screening."""
    packet = packet_by(name, believes, **content)
    its = authentic(packet, name, AgentId(name), organisation)
    return ScreenedPacket(replace(its, root=root), ())


def honest(count: int, **content) -> list[ScreenedPacket]:
    return [teacher(f"honest-{number}", **content) for number in range(count)]


def liars(count: int, **content) -> list[ScreenedPacket]:
    return [teacher(f"liar-{number}", shifted(), **content) for number in range(count)]


def believed(lesson: Lesson) -> dict[str, str]:
    """Of every hidden concept of a lesson what those say who have most of it."""
    found = {}
    for opinion in lesson.consensus.opinions:
        votes: dict[str, float] = {}
        for voice in opinion.voices:
            votes[voice.says] = votes.get(voice.says, 0.0) + voice.share
        if opinion.concept in HIDDEN and sum(votes.values()) > 0:
            found[opinion.concept] = max(votes, key=votes.__getitem__)
    return found
