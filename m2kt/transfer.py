"""A transfer on the student's side, on one page: read this first.

    AuthenticPackets --screen--> ScreenedPackets --combine--> Lesson
        --align--> Candidate --verify--> Verdict --settle--> HEAD moves, or it does not

What comes before, authenticate and parse, is in `wire`; who calls this, in `agents`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.combine import CombineRules, combine
from m2kt.domain import Domain
from m2kt.errors import AlignmentError, CompatibilityError
from m2kt.identity import PacketId
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPacket, ScreenedPacket
from m2kt.probes import draw_probes
from m2kt.progress import Progress, Report, TransferState
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules, screen
from m2kt.student import Candidate, Student
from m2kt.verdict import Accepted, Rejected
from m2kt.verify import Sitting, VerifyRules, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRules:
    """Everything that a student decides for itself."""

    screen: ScreenRules = field(default_factory=ScreenRules)
    combine: CombineRules = field(default_factory=CombineRules)
    align: AlignConfig = field(default_factory=AlignConfig)
    verify: VerifyRules = field(default_factory=VerifyRules)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The candidate is worth keeping."""

    candidate: Candidate
    verdict: Accepted
    probe_items: int


@final
@dataclass(frozen=True, slots=True, eq=False)
class Declined:
    """Nothing is to change. `meter` counts what was consumed before it was clear.

    `refused` has the packets that screening refused; it is empty if the lesson as a whole failed.
    """

    verdict: Rejected
    meter: DataMeter
    probe_items: int = 0
    refused: Mapping[PacketId, tuple[Reason, ...]] = field(default_factory=dict)


Outcome = Taught | Declined


def run_transfer(
    student: Student,
    packets: Sequence[AuthenticPacket],
    domain: Domain,
    rules: TransferRules,
    report: Report,
) -> Outcome:
    """Teaches `student` from packets whose signers are known, or says why not.

    Args:
        student: The learner, with the CAL that it carries for this domain today; never modified.
        packets: At least one, of one domain.
        domain: For screening and for the exam; alignment sees its grammar only.
        rules: What the student decides for itself.
        report: Hears of every step.
    """
    results = [(packet.packet_id, screen(packet, domain, rules.screen)) for packet in packets]
    screened = [result for _, result in results if isinstance(result, ScreenedPacket)]
    refused = {packet: result for packet, result in results if isinstance(result, Rejected)}
    if refused:
        reasons = {packet: result.reasons for packet, result in refused.items()}
        return Declined(_merged(tuple(refused.values())), _received(packets), refused=reasons)
    report(Progress(f"{len(screened)} packets screened", {}, TransferState.SCREENED))
    lesson = combine(screened, rules.combine)
    try:
        candidate = align(student, lesson, domain, rules.align, report)
    except (AlignmentError, CompatibilityError) as error:
        return Declined(Rejected((error.reason,), (str(error),)), _received(packets))
    probes = draw_probes(
        domain,
        seed=rules.verify.probe_seed,
        per_level=rules.verify.probes_per_level,
        exclude=[trace.question for trace in lesson.traces],
    )
    verdict = verify(Sitting(student, domain, probes, lesson), candidate, rules.verify, report)
    items = verdict.evidence.items if verdict.evidence else 0
    if isinstance(verdict, Accepted):
        return Taught(candidate, verdict, items)
    return Declined(verdict, candidate.meter, items)


def _merged(refused: Sequence[Rejected]) -> Rejected:
    """One rejection with all reasons, each once."""
    reasons = dict.fromkeys(reason for one in refused for reason in one.reasons)
    details = tuple(detail for one in refused for detail in one.details)
    return Rejected(tuple(reasons), details)


def _received(packets: Sequence[AuthenticPacket]) -> DataMeter:
    return DataMeter(
        concepts=sum(len(p.packet.concepts) for p in packets),
        traces=sum(len(p.packet.traces) for p in packets),
        bytes=sum(p.bytes_on_wire for p in packets),
    )
