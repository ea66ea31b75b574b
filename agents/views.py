"""What a student shows of itself to whoever asks: transfers, states, answers, exams, outlooks.

Owns: these frozen values and their messages, both directions. Free of torch.
Does not own: cards, verdicts, receipts and events (m2kt.wire.cards).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from m2kt.digest import Digest
from m2kt.history import Skill, StudentState
from m2kt.identity import AgentId, KeyId, PacketId, TransferId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.reputation import Reputation, TrackRecord
from m2kt.signing import Envelope
from m2kt.verdict import Exam, Verdict
from m2kt.wire import cards, numbers, verdicts
from m2kt.wire.v1 import state_pb2, student_service_pb2, transfer_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferView:
    """A transfer as its student knows it.

    Attributes:
        transfer: Its id.
        state: Where it stands.
        domain: What it is about.
        teachers: Whose packets it is about, as far as they are known.
        last_event: Number of the newest event.
        verdict: The outcome, once there is one.
        receipt: An envelope around the receipt, signed by the student, once there is one.
    """

    transfer: TransferId
    state: TransferState
    domain: str
    teachers: tuple[AgentId, ...]
    last_event: int
    verdict: Verdict | None = None
    receipt: Envelope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateView:
    """One state in a student's history; attributes as in `m2kt.history.StudentState`."""

    digest: Digest
    parent: Digest | None
    transfer: TransferId | None
    at_s: float
    note: str
    skills: Mapping[str, Skill]


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer: the question, all that the student wrote, and the answer in it, if any."""

    question: str
    completion: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class ExamView:
    """How a student did on problems drawn from a seed.

    Attributes:
        questions: In the order in which they were drawn.
        exam: Level of each, and whether it was right.
        head: Digest of the state that was examined.
    """

    questions: tuple[str, ...]
    exam: Exam
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookView:
    """What is foretold; attributes as in `m2kt.transferability.Outlook`."""

    before: float
    recognised: float
    depth: float
    steadiness: float
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What a student expects of one teacher.

    Attributes:
        teacher: Its address, as it was named.
        agent: Its name in the student's trust store; empty if it did not get so far.
        outlook: None if it gave no sample that can be used.
        reason: Why the student would not learn from it, or cannot tell; None if it would.
        detail: The same in a sentence.
    """

    teacher: str
    agent: str
    outlook: OutlookView | None
    reason: Reason | None
    detail: str


@dataclass(frozen=True, slots=True)
class Foretelling:
    """What a student expects of several teachers, and the gain below which it fetches nothing."""

    foretold: tuple[Foretold, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Realignment:
    """The transfer in which what remains of a domain's packets is aligned anew."""

    domain: str
    transfer: TransferId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlearntView:
    """What un-learning has done.

    Attributes:
        head: The state after it.
        moved: Whether HEAD had to be moved.
        realigning: Transfers that align anew what remains; none if HEAD has all of it.
        unlearnt: Packets and keys that count as un-learnt.
    """

    head: StateView
    moved: bool
    realigning: tuple[Realignment, ...] = ()
    unlearnt: tuple[PacketId | KeyId, ...] = ()


def transfer_to_wire(view: TransferView) -> transfer_pb2.Transfer:
    """As a message; inverse of `transfer_from_wire`."""
    return transfer_pb2.Transfer(
        transfer_id=view.transfer,
        state=verdicts.state_to_wire(view.state),
        domain=view.domain,
        teachers=view.teachers,
        last_event=view.last_event,
        verdict=None if view.verdict is None else verdicts.verdict_to_wire(view.verdict),
        receipt=None if view.receipt is None else cards.envelope_to_wire(view.receipt),
    )


def transfer_from_wire(message: transfer_pb2.Transfer) -> TransferView:
    """From a message; inverse of `transfer_to_wire`."""
    return TransferView(
        transfer=TransferId(message.transfer_id),
        state=verdicts.state_from_wire(message.state),
        domain=message.domain,
        teachers=tuple(AgentId(teacher) for teacher in message.teachers),
        last_event=message.last_event,
        verdict=verdicts.verdict_from_wire(message.verdict)
        if message.HasField("verdict")
        else None,
        receipt=cards.envelope_from_wire(message.receipt) if message.HasField("receipt") else None,
    )


def state_view(state: StudentState) -> StateView:
    """What others see of a state."""
    return StateView(
        digest=state.digest,
        parent=state.parent,
        transfer=state.transfer,
        at_s=state.at_s,
        note=state.note,
        skills=state.skills,
    )


def student_state_to_wire(view: StateView) -> state_pb2.StudentState:
    """As a message; inverse of `student_state_from_wire`."""
    return state_pb2.StudentState(
        digest=view.digest,
        parent=view.parent or "",
        transfer_id=view.transfer or "",
        at_s=view.at_s,
        note=view.note,
        skills=[
            state_pb2.Skill(
                domain=domain, cal=skill.cal, lineage=skill.lineage, signers=skill.signers
            )
            for domain, skill in sorted(view.skills.items())
        ],
    )


def student_state_from_wire(message: state_pb2.StudentState) -> StateView:
    """From a message; inverse of `student_state_to_wire`."""
    skills = {
        skill.domain: Skill(
            Digest(skill.cal),
            tuple(PacketId(packet) for packet in skill.lineage),
            tuple(KeyId(key) for key in skill.signers),
        )
        for skill in message.skills
    }
    return StateView(
        digest=Digest(message.digest),
        parent=Digest(message.parent) if message.parent else None,
        transfer=TransferId(message.transfer_id) if message.transfer_id else None,
        at_s=message.at_s,
        note=message.note,
        skills=skills,
    )


def unlearnt_to_wire(view: UnlearntView) -> student_service_pb2.UnlearnResponse:
    """As a message; inverse of `unlearnt_from_wire`."""
    return student_service_pb2.UnlearnResponse(
        head=student_state_to_wire(view.head),
        moved=view.moved,
        realignments=[
            student_service_pb2.Realignment(domain=its.domain, transfer_id=its.transfer)
            for its in view.realigning
        ],
        unlearnt=view.unlearnt,
    )


def unlearnt_from_wire(message: student_service_pb2.UnlearnResponse) -> UnlearntView:
    """From a message; inverse of `unlearnt_to_wire`."""
    return UnlearntView(
        head=student_state_from_wire(message.head),
        moved=message.moved,
        realigning=tuple(
            Realignment(its.domain, TransferId(its.transfer_id)) for its in message.realignments
        ),
        unlearnt=tuple(PacketId(name) for name in message.unlearnt),
    )


def reputation_to_wire(its: Reputation) -> student_service_pb2.TeacherRecord:
    """As a message; inverse of `reputation_from_wire`."""
    return student_service_pb2.TeacherRecord(
        teacher=its.teacher, score=its.score, **asdict(its.total)
    )


def reputation_from_wire(message: student_service_pb2.TeacherRecord) -> Reputation:
    """From a message; inverse of `reputation_to_wire`."""
    names = (its.name for its in fields(TrackRecord))
    total = TrackRecord(**{name: getattr(message, name) for name in names})
    return Reputation(teacher=AgentId(message.teacher), score=message.score, total=total)


def exam_to_wire(view: ExamView) -> student_service_pb2.ExamineResponse:
    """As a message; inverse of `exam_from_wire`."""
    marks = zip(view.questions, view.exam.levels, view.exam.right, strict=True)
    return student_service_pb2.ExamineResponse(
        accuracy=verdicts.accuracy_to_wire(view.exam.accuracy),
        marks=[
            student_service_pb2.Mark(question=question, level=level, right=right)
            for question, level, right in marks
        ],
        head=view.head,
    )


def exam_from_wire(message: student_service_pb2.ExamineResponse) -> ExamView:
    """From a message; inverse of `exam_to_wire`."""
    marks = message.marks
    exam = Exam(tuple(mark.level for mark in marks), tuple(mark.right for mark in marks))
    return ExamView(tuple(mark.question for mark in marks), exam, message.head)


def foretelling_to_wire(view: Foretelling) -> student_service_pb2.ForetellResponse:
    """As a message; inverse of `foretelling_from_wire`."""
    return student_service_pb2.ForetellResponse(
        foretold=[
            student_service_pb2.Foretold(
                teacher=its.teacher,
                agent=its.agent,
                outlook=None
                if its.outlook is None
                else student_service_pb2.Outlook(**asdict(its.outlook)),
                reason=None if its.reason is None else numbers.reason_to_wire(its.reason),
                detail=its.detail,
            )
            for its in view.foretold
        ],
        threshold=view.threshold,
    )


def foretelling_from_wire(message: student_service_pb2.ForetellResponse) -> Foretelling:
    """From a message; inverse of `foretelling_to_wire`."""
    return Foretelling(tuple(map(_foretold_from_wire, message.foretold)), message.threshold)


def _foretold_from_wire(message: student_service_pb2.Foretold) -> Foretold:
    its = message.outlook
    return Foretold(
        teacher=message.teacher,
        agent=message.agent,
        outlook=OutlookView(
            before=its.before,
            recognised=its.recognised,
            depth=its.depth,
            steadiness=its.steadiness,
            gain=its.gain,
        )
        if message.HasField("outlook")
        else None,
        reason=numbers.reason_from_wire(message.reason) if message.HasField("reason") else None,
        detail=message.detail,
    )
