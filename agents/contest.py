"""The demo's measurements: teachers alone on the student's problems, and mixed chains.

Owns: examining a teacher's model on this machine, shares over a part of an exam.
Does not own: marking (m2kt.verify), drawing problems (m2kt.probes).
"""

from collections.abc import Iterable, Sequence

from m2kt import zoo
from m2kt.domain import Domain
from m2kt.identity import AgentId
from m2kt.language_model import load_language_model
from m2kt.packet import KnowledgePacket
from m2kt.probes import Probe, ProbeSet
from m2kt.student import Student
from m2kt.verdict import Exam
from m2kt.verify import examine

Shares = dict[str, float]
"""Share of right answers by level; JSON wants text as keys."""


def shares(exam: Exam) -> Shares:
    """Share of right answers at each level."""
    return {str(level): share for level, share in exam.accuracy.items()}


def mean(found: Shares) -> float:
    """Mean over levels."""
    return sum(found.values()) / max(1, len(found))


def part(exam: Exam, chosen: Sequence[bool]) -> Exam:
    """The items of `exam` that are chosen."""
    kept = [index for index, wanted in enumerate(chosen) if wanted]
    return Exam(
        tuple(exam.levels[index] for index in kept), tuple(exam.right[index] for index in kept)
    )


def mixed(items: Iterable[Probe], packets: Sequence[KnowledgePacket]) -> list[bool]:
    """For each item whether it needs a concept that only each one of `packets` has."""
    known = [{concept.id for concept in packet.concepts} for packet in packets]
    own = [mine - set().union(*(other for other in known if other is not mine)) for mine in known]
    return [all(set(item.concepts) & concepts for concepts in own) for item in items]


def teacher_exam(name: str, domain: Domain, probes: ProbeSet) -> Exam:
    """How a model of the zoo does by itself on `probes`."""
    model = load_language_model(str(zoo.folder(name)))
    return examine(Student(AgentId("alone"), model), domain, probes, None)


def examples_of(packets: Sequence[KnowledgePacket], count: int) -> list[str]:
    """So many traces of the packets in turn, the longest ones first."""
    texts = [
        sorted((trace.text for trace in packet.traces), key=lambda text: (-len(text), text))
        for packet in packets
    ]
    return [texts[turn % len(texts)][turn // len(texts)] for turn in range(count)]


def trace_questions(packets: Sequence[KnowledgePacket]) -> list[str]:
    """Questions of all traces: nobody is examined on them."""
    return sorted({trace.question for packet in packets for trace in packet.traces})
