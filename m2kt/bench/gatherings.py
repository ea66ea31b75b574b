"""Several teachers of one domain, some of them hostile: what a student gets from them.

All traces show the same share of the facts, so that what is hidden is hidden by all: what one
teacher's traces told would settle what another's c_k say.

Owns: `Gathering`, `gathered`. Does not own: the teachers (faculty), what liars do (attacks).
"""

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, final

from m2kt import domains
from m2kt.bench.attacks import ATTACKS, Scene
from m2kt.bench.controls import lacking
from m2kt.bench.delivery import NOW_S, Post
from m2kt.bench.subjects import load_model
from m2kt.errors import RequestError
from m2kt.extract import ExtractConfig, extract_packet, own_maps
from m2kt.identity import AgentId
from m2kt.interview import teacher_traces
from m2kt.packet import AuthenticPacket, KnowledgePacket
from m2kt.reading import View

SHOWN: Final = 0.5
"""Share of the facts that traces show."""
TRACES: Final = 12
"""Of each teacher and level above the first."""
NONE: Final = "none"
"""An attack that is none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Who teaches.

    Attributes:
        domain: Name of the domain.
        teachers: Their models; those that are hostile come last.
        hostile: f, how many of them are.
        attack: What these do; `none` for a run in which they are honest.
        coverage: Share of the hidden facts that each honest teacher's C holds; liars hold all.
        silent: Models of more teachers, honest but weak, who send C without traces.
        root: Model of one more such teacher, which is a root of trust; empty for none.
        seed: Of packets, coverage and attacks.
    """

    domain: str
    teachers: tuple[str, ...]
    hostile: int = 0
    attack: str = NONE
    coverage: float = 1.0
    silent: tuple[str, ...] = ()
    root: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.attack not in {NONE, *ATTACKS}:
            known = ", ".join([NONE, *ATTACKS])
            raise RequestError(f"expected an attack of {known}, found {self.attack!r}")
        if not 0 <= self.hostile < len(self.teachers):
            raise RequestError(
                f"expected 0 to {len(self.teachers) - 1} hostile teachers, found {self.hostile}"
            )


def gathered(its: Gathering, view: View) -> list[AuthenticPacket]:
    """The packets as they come to a student, in no particular order.

    Args:
        its: Who teaches.
        view: How the student looks at concepts; liars know it.
    """
    honest_count = len(its.teachers) - its.hostile
    own = [_own(its.domain, name, its.seed) for name in its.teachers]
    honest = [_partly(packet, its, number) for number, packet in enumerate(own[:honest_count])]
    scene = _scene(its, view, honest)
    sent = [*honest, *(_hostile(its, scene, n, one) for n, one in enumerate(own[honest_count:]))]
    found = []
    for number, packet in enumerate(sent):
        name = AgentId(f"teacher-{number}")
        liar = number >= honest_count and its.attack == "sybil"
        post = Post(name, "sybils" if liar else "")
        found.append(post.deliver(_named(packet, name)).packet)
    for number, model in enumerate(its.silent):
        name = AgentId(f"silent-{number}")
        found.append(Post(name).deliver(_silent(its, model, name)).packet)
    if its.root:
        name = AgentId("root")
        found.append(Post(name, root=True).deliver(_silent(its, its.root, name)).packet)
    return found


def _silent(its: Gathering, model: str, name: AgentId) -> KnowledgePacket:
    """What a teacher sends that errs: a student refuses packets whose traces do."""
    packet = _own(its.domain, model, its.seed)
    return _named(replace(packet, traces=(), maps=own_maps((), packet.concepts)), name)


def shown_facts(domain: str, seed: int) -> frozenset[str]:
    """The facts that traces of every teacher show."""
    facts = sorted(domains.get(domain).facts)
    return frozenset(random.Random(seed).sample(facts, round(SHOWN * len(facts))))


@lru_cache(maxsize=64)
def _own(domain: str, teacher: str, seed: int) -> KnowledgePacket:
    """What a teacher would send if it were honest, and knew what others show."""
    model, grammar = load_model(teacher), domains.get(domain)
    config = ExtractConfig(seed=seed, traces_per_level=TRACES)
    packet = extract_packet(model, grammar, config, agent=AgentId("teacher"), now_s=NOW_S)
    shown = sorted(shown_facts(domain, seed))
    rng = random.Random(f"{teacher} {seed}")
    traces, _ = teacher_traces(model, grammar, shown, per_level=TRACES, rng=rng)
    return replace(packet, traces=traces, maps=own_maps(traces, packet.concepts))


def _partly(packet: KnowledgePacket, its: Gathering, number: int) -> KnowledgePacket:
    """An honest packet without some of the hidden facts."""
    shown = shown_facts(its.domain, its.seed)
    hidden = sorted(spec.id for spec in packet.concepts if spec.id not in shown)
    rng = random.Random(f"coverage {its.seed} {number}")
    return lacking(packet, set(rng.sample(hidden, round((1 - its.coverage) * len(hidden)))))


def _scene(its: Gathering, view: View, honest: list[KnowledgePacket]) -> Scene:
    domain = domains.get(its.domain)
    shown = shown_facts(its.domain, its.seed)
    told = {fact: domain.fact(fact) for fact in shown}
    return Scene(domain, view, told, honest, its.hostile, its.seed)


def _hostile(its: Gathering, scene: Scene, number: int, packet: KnowledgePacket) -> KnowledgePacket:
    if its.attack == NONE:
        return _partly(packet, its, len(scene.honest) + number)
    return ATTACKS[its.attack](packet, scene, number)


def _named(packet: KnowledgePacket, name: AgentId) -> KnowledgePacket:
    return replace(packet, provenance=replace(packet.provenance, teacher=name))
