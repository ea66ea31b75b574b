"""What can be taught in a benchmark, by whom: a domain's teachers, and their lesson.

The packets go the way of every packet: signed, authenticated, parsed, screened, combined.
Controls change a packet's content before it is signed, and nothing after that.

Owns: `SUBJECTS`, `draw_lesson`. Does not own: what controls change (controls).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, final

from m2kt import domains, zoo
from m2kt.bench.delivery import NOW_S, Post
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.domain import Domain, Grammar
from m2kt.errors import CompatibilityError, RequestError
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentId
from m2kt.language_model import LanguageModel, load_language_model
from m2kt.packet import KnowledgePacket, Lesson, ScreenedPacket
from m2kt.screen import ScreenRules, screen

RECENT: Final = 2
"""Packets that are kept with the models that made them."""

Change = Callable[[KnowledgePacket, LanguageModel, Grammar], KnowledgePacket]
"""What a control does to a packet, given the teacher and what it teaches."""


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """A domain and who teaches it.

    Attributes:
        domain: Its name.
        teachers: Models of the zoo, and the signs of the operations that each teaches; an
            empty text for all.
    """

    domain: str
    teachers: Mapping[str, str]

    def taught(self, teacher: str) -> Grammar:
        """The part of the domain that `teacher` teaches."""
        domain, signs = domains.get(self.domain), self.teachers[teacher]
        if not signs:
            return domain
        ids = [c.id for c in domain.concepts if any(sign in c.prompt for sign in signs)]
        return domain.restrict(frozenset(ids))


SUBJECTS: Final[Mapping[str, Subject]] = MappingProxyType(
    {
        subject.domain: subject
        for subject in (
            Subject("arith.mod7", {"mod7-addsub": "+-", "mod7-mul": "*"}),
            Subject("arith.mod10", {"mod10": ""}),
            Subject("group.s3", {"s3": ""}),
            Subject("relation.chain", {"relations": ""}),
            Subject("arith.digits", {"digits": ""}),
            Subject("list.ops", {"lists": ""}),
            Subject("logic.prop", {"logic": ""}),
            Subject("arith.mod97", {"mod97": ""}),
        )
    }
)


def subject(domain: str, teacher: str = "") -> Subject:
    """Who teaches `domain` in benchmarks: `teacher` alone, if one is named.

    Raises:
        RequestError: nobody.
    """
    if teacher:
        return Subject(domain, {teacher: ""})
    if domain not in SUBJECTS:
        raise RequestError(f"expected one of the domains {', '.join(SUBJECTS)}, found {domain!r}")
    return SUBJECTS[domain]


def load_model(name: str) -> LanguageModel:
    """A model of the zoo, or any other by its name."""
    return load_language_model(zoo.located(name))


def draw_lesson(
    its: Subject,
    extract: ExtractConfig,
    *,
    change: Change | None = None,
    rules: ScreenRules | None = None,
) -> Lesson:
    """The packets of a subject's teachers as one lesson.

    Args:
        its: The subject.
        extract: How packets are made.
        change: What a control does to each, before it is signed.
        rules: Of screening; those of a student by default.

    Raises:
        CompatibilityError: screening refused a packet.
    """
    packets = []
    for teacher, signs in its.teachers.items():
        made = _extracted(its.domain, teacher, signs, extract)
        packets.append(made[0] if change is None else change(*made))
    domain = domains.get(its.domain)
    screened = [_admitted(packet, domain, rules or ScreenRules()) for packet in packets]
    return combine(screened, CombineRules())


@lru_cache(maxsize=RECENT)
def _extracted(
    domain: str, teacher: str, signs: str, extract: ExtractConfig
) -> tuple[KnowledgePacket, LanguageModel, Grammar]:
    """A packet, who made it, and what it is about. Cells that share a packet come in a row."""
    model, grammar = load_model(teacher), Subject(domain, {teacher: signs}).taught(teacher)
    packet = extract_packet(model, grammar, extract, agent=AgentId(teacher), now_s=NOW_S)
    return packet, model, grammar


def _admitted(packet: KnowledgePacket, domain: Domain, rules: ScreenRules) -> ScreenedPacket:
    """Sealed by its teacher, then all that a student does before it learns."""
    agent = packet.provenance.teacher
    found = screen(Post(agent).deliver(packet).packet, domain, rules)
    if not isinstance(found, ScreenedPacket):
        raise CompatibilityError(
            f"expected a packet of {agent} that passes screening, found"
            f" {'; '.join(found.details)}; extract with other settings"
        )
    return found
