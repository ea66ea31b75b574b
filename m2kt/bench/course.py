"""What the contenders of a benchmark learn: two teachers' packets, made into one lesson.

The packets go the way of every packet: signed, authenticated, parsed, screened, combined.
Their traces show every fact, so that a contender that cannot read concepts can learn all.

Owns: `Course`, its texts and its probes. Does not own: how it is learnt (contenders).
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, final

from m2kt import domains, zoo
from m2kt.align import AlignConfig
from m2kt.combine import CombineRules, combine
from m2kt.domain import Domain, Grammar, Trace
from m2kt.errors import CompatibilityError
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentId
from m2kt.language_model import LanguageModel, load_language_model
from m2kt.lessonplan import known_results
from m2kt.packet import Lesson, ScreenedPacket
from m2kt.probes import ProbeSet, draw_probes
from m2kt.screen import ScreenRules, screen
from m2kt.signing import Ed25519Signer
from m2kt.student import Student
from m2kt.trust import TrustStore
from m2kt.wire.admission import Expectations
from m2kt.wire.chunks import SealHeader, authenticate_whole, seal
from m2kt.wire.packets import encode_packet, parse_packet

DOMAIN: Final = "arith.mod7"
TEACHERS: Final[Mapping[str, str]] = {"mod7-addsub": "+-", "mod7-mul": "*"}
"""Models of the zoo and the operations that each teaches."""
STUDENT: Final = AgentId("bench-student")
NOW_S: Final = 1_800_000_000.0
"""The time at which packets are signed; any will do, as long as it is always the same."""
PROBE_SEED: Final = 20_260_101

Batch = tuple[Trace, ...]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Course:
    """One lesson, and all that is needed to learn it in different ways.

    Attributes:
        student: Name of the student's model.
        lesson: What alignment is given.
        batches: Texts for contenders that train on texts alone, one batch a step.
        probes: Held-out problems.
        align: How alignment learns it; the others take what they have in common from here.
        text_learning_rate: Peak for contenders that train on texts alone.
        examine_every: Steps of rehearsal between two exams.
        threads: Of torch.
    """

    student: str
    lesson: Lesson
    batches: tuple[Batch, ...]
    probes: ProbeSet
    align: AlignConfig
    text_learning_rate: float
    examine_every: int
    threads: int

    def brief(self, steps: int) -> "Course":
        """The same course, broken off after `steps` steps of each phase, without an exam."""
        fewer = min(steps, self.align.readout_steps), min(steps, self.align.steps)
        align = replace(self.align, readout_steps=fewer[0], steps=fewer[1])
        batches = self.batches[: fewer[1]]
        return replace(self, align=align, batches=batches, examine_every=steps + 1)


def load_model(name: str) -> LanguageModel:
    """A model of the zoo, or any other by its name."""
    return load_language_model(str(zoo.folder(name)) if name in zoo.names() else name)


def load_student(name: str) -> Student:
    """The student as it stands before every run."""
    return Student(STUDENT, load_model(name))


def draw_lesson(extract: ExtractConfig) -> Lesson:
    """Both teachers' packets as one lesson.

    Raises:
        CompatibilityError: screening refused a packet.
    """
    domain = domains.get(DOMAIN)
    return combine([_packet(domain, name, extract) for name in TEACHERS], CombineRules())


def _packet(domain: Domain, teacher: str, extract: ExtractConfig) -> ScreenedPacket:
    ids = [c.id for c in domain.concepts if any(sign in c.id for sign in TEACHERS[teacher])]
    grammar = domain.restrict(frozenset(ids))
    agent, signer = AgentId(teacher), Ed25519Signer.generate()
    packet = extract_packet(load_model(teacher), grammar, extract, agent=agent, now_s=NOW_S)
    encoded = encode_packet(packet)
    header = SealHeader(audience=STUDENT, nonce=b"", sequence=1, issued_at_s=NOW_S, ttl_s=60.0)
    payload = authenticate_whole(
        seal(encoded, signer, header).envelope,
        encoded.payload,
        TrustStore().enrol(signer.key_id, agent),
        Expectations(audience=STUDENT, now_s=NOW_S, domain=DOMAIN),
        seen=lambda _: False,
    )
    found = screen(parse_packet(payload), domain, ScreenRules())
    if not isinstance(found, ScreenedPacket):
        raise CompatibilityError(
            f"expected a packet of {teacher} that passes screening, found"
            f" {'; '.join(found.details)}; extract with other settings"
        )
    return found


def draw_probes_for(lesson: Lesson, *, per_level: int) -> ProbeSet:
    """Problems that no trace of `lesson` shows."""
    shown = [trace.question for trace in lesson.traces]
    return draw_probes(domains.get(DOMAIN), seed=PROBE_SEED, per_level=per_level, exclude=shown)


def draw_batches(
    lesson: Lesson, grammar: Grammar, *, seed: int, steps: int, batch: int
) -> tuple[Batch, ...]:
    """Batches drawn by the rules of `align`'s rehearsal: the same kinds of text, as many of each.

    Each holds `batch` of the teachers' traces, every one once before any comes again, and as
    many problems of the public grammar, worked out with the facts that traces show. The
    order is another than that of an alignment of the same seed.
    """
    rng, results = random.Random(seed), known_results(lesson)
    order: list[Trace] = []
    found = []
    for _ in range(steps):
        if len(order) < batch:
            order = rng.sample(lesson.traces, len(lesson.traces)) + order
        shown = [order.pop() for _ in range(min(batch, len(order)))]
        own = [_composed(grammar, rng, results.__getitem__) for _ in range(batch)]
        found.append((*shown, *own))
    return tuple(found)


def _composed(grammar: Grammar, rng: random.Random, recall: Callable[[str], str]) -> Trace:
    while True:
        question = grammar.question(rng, rng.choice(grammar.levels))
        try:
            return grammar.work(question.text, recall)
        except KeyError:
            continue  # no trace shows one of its facts: pose another
