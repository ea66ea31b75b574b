"""One student meets several teachers: what it decides, and how it answers afterwards.

Owns: `Meeting`. Does not own: who teaches what (gatherings), the transfer (m2kt.transfer).
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final, final

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.bench.delivery import STUDENT
from m2kt.bench.gatherings import Gathering, gathered, shown_facts
from m2kt.bench.subjects import load_model
from m2kt.combine import combine
from m2kt.combine_config import CombineRules
from m2kt.consensus import Consensus
from m2kt.domain import Domain
from m2kt.packet import AuthenticPacket, ScreenedPacket
from m2kt.probes import draw_probes
from m2kt.progress import silent
from m2kt.reading import View
from m2kt.screen import ScreenRules, screen
from m2kt.student import Student
from m2kt.transfer import Taught, TransferRules, run_transfer
from m2kt.verify import VerifyRules, examine

PROBE_SEED: Final = 20_261_127
"""Of the problems on which a student is examined once it has decided."""
ACCEPTED: Final = "accepted"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What is run.

    Attributes:
        gathering: Who teaches.
        rules: How the student combines them.
        student: Name of its model.
        learns: Whether it learns; otherwise it is only seen what it would combine.
        per_level: Held-out problems of each level.
        align: How it learns.
    """

    gathering: Gathering
    rules: CombineRules = field(default_factory=CombineRules)
    student: str = "symbols-student"
    learns: bool = True
    per_level: int = 100
    align: AlignConfig = field(default_factory=AlignConfig)

    @property
    def title(self) -> str:
        """What is said of it when it is done."""
        its = self.gathering
        who = f"{len(its.teachers)} teachers, {its.hostile} hostile, {its.attack}"
        return f"{who}, coverage {its.coverage}, {self.rules.strategy}"

    @property
    def kind(self) -> str:
        """How the file of its result begins."""
        return f"meeting-{self.gathering.attack}"

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it depends on."""
        its = self.gathering
        return (self.student, *its.teachers, *its.silent, *([its.root] if its.root else []))

    def run(self) -> dict[str, Any]:
        """Everything that came of it, as JSON has it."""
        started = time.perf_counter()
        domain, model = domains.get(self.gathering.domain), load_model(self.student)
        view = View(domain, model.symbol_directions(domain.symbols))
        packets = gathered(self.gathering, view)
        met = time.perf_counter()
        read, consensus = _read(packets, self, view)
        found: dict[str, Any] = {"read": read, "figures": {"gathered_s": met - started}}
        combined = time.perf_counter()
        found["figures"]["combined_s"] = combined - met
        if self.learns:
            student = Student(STUDENT, model)
            found |= _learnt(self, student, packets, domain)
            found["figures"]["learnt_s"] = time.perf_counter() - combined
        return found | _summary(consensus) | {"mean": found.get("accuracy", read["right"])}


def _read(
    packets: list[AuthenticPacket], meeting: Meeting, view: View
) -> tuple[dict[str, float], Consensus]:
    """Of the hidden facts the shares that the lesson's points say right, wrong, and not at all."""
    domain = domains.get(meeting.gathering.domain)
    screened = [screen(packet, domain, ScreenRules()) for packet in packets]
    passed = [its for its in screened if isinstance(its, ScreenedPacket)]
    lesson = combine(passed, meeting.rules, view)
    hidden = set(domain.facts) - shown_facts(domain.name, meeting.gathering.seed)
    counts = {"right": 0, "wrong": 0}
    for opinion in lesson.consensus.opinions:
        shares: dict[str, float] = {}
        for voice in opinion.voices:
            shares[voice.says] = shares.get(voice.says, 0.0) + voice.share
        said = max(shares, key=lambda symbol: (shares[symbol], symbol))
        if opinion.concept in hidden and shares[said] > 0 and said:
            counts["right" if said == domain.fact(opinion.concept) else "wrong"] += 1
    return {name: count / len(hidden) for name, count in counts.items()}, lesson.consensus


def _learnt(
    meeting: Meeting, student: Student, packets: list[AuthenticPacket], domain: Domain
) -> dict[str, Any]:
    """The verdict, and how the student does on other problems with what it has then."""
    rules = TransferRules(
        combine=meeting.rules,
        align=meeting.align,
        verify=VerifyRules(probes_per_level=meeting.per_level),
    )
    outcome = run_transfer(student, packets, domain, rules, silent)
    taught = isinstance(outcome, Taught)
    cal = outcome.candidate.cal if isinstance(outcome, Taught) else None
    seen = {trace.question for packet in packets for trace in packet.packet.traces}
    probes = draw_probes(domain, seed=PROBE_SEED, per_level=meeting.per_level, exclude=seen)
    exam = examine(student, domain, probes, cal)
    return {
        "decision": ACCEPTED if taught else "rejected",
        "reasons": [] if isinstance(outcome, Taught) else list(outcome.verdict.reasons),
        "accuracy": exam.mean,
        "by_level": {str(level): share for level, share in exam.accuracy.items()},
    }


def _summary(consensus: Consensus) -> dict[str, Any]:
    return {
        "unsettled": consensus.unsettled,
        "decisions": {its.value: count for its, count in consensus.decisions.items() if count},
        "fates": {its.voter: its.fate.value for its in consensus.standings},
        "used": {its.voter: its.used for its in consensus.standings},
        "outvoted": {its.voter: its.outvoted for its in consensus.standings},
    }
