"""A transfer on the student's side, on one page: read this first.

    AuthenticPackets --screen--> ScreenedPackets --combine--> Lesson
        --align--> Candidate --verify--> Verdict --settle--> HEAD moves, or it does not

What comes before, authenticate and parse, is in `wire`; who calls this, in `agents`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.consensus import Consensus, Decision, Fate, Standing
from m2kt.domain import Domain
from m2kt.errors import AlignmentError, CompatibilityError
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPacket, Lesson, ScreenedPacket, voter_of
from m2kt.probes import ProbeSet, draw_probes
from m2kt.progress import Progress, Report, TransferState
from m2kt.reading import View
from m2kt.reasons import Reason
from m2kt.screen import ScreenRules, screen
from m2kt.student import Candidate, Student
from m2kt.verdict import Accepted, Rejected
from m2kt.verify import Sitting, VerifyRules, verify

_NOTHING: Final = "expected packets that are not learnt from yet, found none; send others"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRules:
    """Everything that a student decides for itself.

    Attributes:
        screen: What it refuses to learn from.
        combine: How several teachers are made one.
        align: How it learns.
        verify: How it examines itself.
        trust: Of voters, from their record; None for all alike.
    """

    screen: ScreenRules = field(default_factory=ScreenRules)
    combine: CombineRules = field(default_factory=CombineRules)
    align: AlignConfig = field(default_factory=AlignConfig)
    verify: VerifyRules = field(default_factory=VerifyRules)
    trust: Mapping[str, float] | None = None


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
    """Nothing is to change. `meter` counts what was consumed before it was clear."""

    verdict: Rejected
    meter: DataMeter
    probe_items: int = 0


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
    screened, refused = _screened(packets, domain, rules.screen)
    consensus = _with_refused(_unasked(rules.combine), refused)
    if all(its.authentic.packet_id in student.lineage for its in screened):
        return Declined(_merged(refused, consensus), _received(packets))
    report(Progress(f"{len(screened)} packets screened", {}, TransferState.SCREENED))
    for packet, no in refused:
        report(Progress(f"refused {packet.teacher}: {'; '.join(no.details)}"))
    try:
        view = View(domain, student.language_model.symbol_directions(domain.symbols))
        lesson = combine(screened, rules.combine, view, rules.trust)
        consensus = _with_refused(lesson.consensus, refused)
        if consensus.unsettled > rules.combine.max_unsettled:
            return Declined(_torn(consensus, rules.combine), _received(packets))
        candidate = align(student, lesson, domain, rules.align, report)
    except (AlignmentError, CompatibilityError) as error:
        no = Rejected((error.reason,), (str(error),), consensus=consensus)
        return Declined(no, _received(packets))
    probes = _probes(domain, lesson, rules.verify)
    verdict = verify(Sitting(student, domain, probes, lesson), candidate, rules.verify, report)
    items = verdict.evidence.items if verdict.evidence else 0
    if isinstance(verdict, Accepted):
        return Taught(candidate, replace(verdict, consensus=consensus), items)
    return Declined(replace(verdict, consensus=consensus), candidate.meter, items)


Refused = Sequence[tuple[AuthenticPacket, Rejected]]


def _screened(
    packets: Sequence[AuthenticPacket], domain: Domain, rules: ScreenRules
) -> tuple[list[ScreenedPacket], Refused]:
    """The packets that pass, and the others with what was found in them."""
    results = [(packet, screen(packet, domain, rules)) for packet in packets]
    passed = [result for _, result in results if isinstance(result, ScreenedPacket)]
    return passed, [(its, result) for its, result in results if isinstance(result, Rejected)]


def _probes(domain: Domain, lesson: Lesson, rules: VerifyRules) -> ProbeSet:
    """What the candidate is examined on: nothing that its lesson showed."""
    return draw_probes(
        domain,
        seed=rules.probe_seed,
        per_level=rules.probes_per_level,
        exclude=[trace.question for trace in lesson.traces],
    )


def _merged(refused: Refused, consensus: Consensus) -> Rejected:
    """One rejection with all reasons, each once."""
    reasons = dict.fromkeys(reason for _, one in refused for reason in one.reasons)
    details = tuple(detail for _, one in refused for detail in one.details)
    return Rejected(
        tuple(reasons) or (Reason.NOT_FOUND,), details or (_NOTHING,), consensus=consensus
    )


def _unasked(rules: CombineRules) -> Consensus:
    """The consensus of those who were asked, before anybody was."""
    return Consensus(rules.strategy, 0, (), dict.fromkeys(Decision, 0), ())


def _with_refused(consensus: Consensus, refused: Refused) -> Consensus:
    """The consensus, with those who did not get so far as to have a say."""
    more = tuple(
        Standing(
            voter=voter_of(packet),
            teachers=(packet.teacher,),
            root=packet.root,
            concepts=len(packet.packet.concepts),
            fate=Fate.REFUSED,
            reasons=rejected.reasons,
            why="; ".join(rejected.details),
        )
        for packet, rejected in refused
    )
    return replace(consensus, standings=(*consensus.standings, *more))


def _torn(consensus: Consensus, rules: CombineRules) -> Rejected:
    """Teachers contradict one another on too much, or too few speak."""
    lost = consensus.unsettled
    detail = (
        f"expected teachers to leave at most {rules.max_unsettled:.3f} of the concepts unsettled,"
        f" found {lost:.3f} of {sum(consensus.decisions.values())}; ask more teachers, make one a"
        " root of trust (m2kt keys trust --root), or leave some out"
    )
    return Rejected((Reason.CONFLICT,), (detail,), consensus=consensus)


def _received(packets: Sequence[AuthenticPacket]) -> DataMeter:
    return DataMeter(
        concepts=sum(len(p.packet.concepts) for p in packets),
        traces=sum(len(p.packet.traces) for p in packets),
        bytes=sum(p.bytes_on_wire for p in packets),
    )
