"""Real small models and lessons for every test that trains: two shipped teachers.

The pupil of these tests is the teacher of + and -: a model that can follow a chain and
does not know what * is. The teacher is the one that knows *.
"""

from functools import cache

from m2kt import domains, zoo
from m2kt.align_config import AlignConfig
from m2kt.cal import CALConfig
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.digest import Digest
from m2kt.domain import Domain
from m2kt.extract import ExtractConfig, extract_packet
from m2kt.identity import AgentId, PacketId
from m2kt.language_model import LanguageModel, load_language_model
from m2kt.packet import AuthenticPacket, KnowledgePacket, Lesson, ScreenedPacket
from m2kt.screen import ScreenRules, screen
from m2kt.student import Student
from m2kt.transfer import TransferRules
from m2kt.verify import VerifyRules

TEACHER, PUPIL = AgentId("teacher-mul"), AgentId("pupil")

SMALL_CAL = CALConfig(memory_depth=0.5, prefix_depth=0.25, projection_width=64, key_rank=32)
FAST = AlignConfig(
    cal=SMALL_CAL, readout_steps=30, readout_batch=16, steps=60, traces=8, own=8, learning_rate=6e-3
)
RULES = TransferRules(align=FAST, verify=VerifyRules(probes_per_level=12))
EXTRACT = ExtractConfig(traces_per_level=12, reveal=0.8)


@cache
def model(name: str) -> LanguageModel:
    return load_language_model(str(zoo.folder(name)))


def pupil() -> Student:
    return Student(PUPIL, model("mod7-addsub"))


@cache
def multiplication() -> Domain:
    domain = domains.get("arith.mod7")
    restricted = domain.restrict(domain.concepts_of("*"))
    assert isinstance(restricted, Domain)
    return restricted


@cache
def taught_packet() -> KnowledgePacket:
    return extract_packet(
        model("mod7-mul"), multiplication(), EXTRACT, agent=TEACHER, now_s=1_800_000_000.0
    )


def authentic(packet: KnowledgePacket, name: str = "p") -> AuthenticPacket:
    """As if it had come over the wire: for tests of what comes after that."""
    return AuthenticPacket(
        packet_id=PacketId(name),
        content_digest=Digest(name),
        teacher=packet.provenance.teacher,
        signers=(),
        bytes_on_wire=1000,
        packet=packet,
    )


def screened(packet: KnowledgePacket, name: str = "p") -> ScreenedPacket:
    found = screen(authentic(packet, name), multiplication(), ScreenRules())
    assert isinstance(found, ScreenedPacket), found
    return found


def lesson() -> Lesson:
    return combine([screened(taught_packet())], CombineRules())
