"""The student's model work: the worker behind a student's host.

Owns: the frozen model, describing, answering, examining, foretelling, and learning.
Does not own: the store and its HEAD, which it never touches, and the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, final

from torch import Tensor

from m2kt import domains
from m2kt.align_config import AlignConfig
from m2kt.cal import ConceptAlignmentLayer
from m2kt.combine_config import CombineRules
from m2kt.digest import Digest
from m2kt.domain import Domain
from m2kt.identity import KeyId, ModelCard, PacketId
from m2kt.meter import DataMeter
from m2kt.packet import AuthenticPayload
from m2kt.probes import Probe, ProbeSet, draw_probes
from m2kt.progress import Report
from m2kt.screen import ScreenRules
from m2kt.student import Student
from m2kt.transfer import Declined, TransferRules, run_transfer
from m2kt.transferability import recognition
from m2kt.verdict import Accepted, Exam
from m2kt.verify import VerifyRules, examine
from m2kt.wire.packets import parse_packet

from .models import load_model, use_threads
from .settings import Settings, add_domains

TRIED: Final = 20
"""Problems of each level by which a student learns how often it is right as it stands."""
TRIED_SEED: Final = 20_260_301


@dataclass(frozen=True, slots=True, eq=False)
class KeptCal:
    """A CAL as the store has it: its digest, its tensors, and what makes it again of them."""

    digest: Digest
    tensors: Mapping[str, Tensor] = field(repr=False)
    header: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assignment:
    """What is to be learnt.

    Attributes:
        domain: Name of the domain.
        payloads: Authentic packets, those of the present skill's lineage included.
        current: The CAL of the present skill, if there is one.
        lineage: Packets that the present skill was learnt from.
        strategy: How to combine; empty for the student's own rule.
        trust: How much each voter's word weighs, for a strategy that asks; none for all alike.
    """

    domain: str
    payloads: tuple[AuthenticPayload, ...]
    current: KeptCal | None
    lineage: frozenset[PacketId] = frozenset()
    strategy: str = ""
    trust: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Learnt:
    """A candidate that is worth keeping, in the form in which the store keeps it.

    Attributes:
        tensors: Of the CAL.
        header: What makes it again of the tensors.
        lineage: Packets that it was trained on.
        signers: Keys that signed them.
        verdict: With its evidence.
        meter: What training consumed.
        probe_items: Held-out items used to examine.
    """

    tensors: Mapping[str, Tensor] = field(repr=False)
    header: Mapping[str, str] = field(repr=False)
    lineage: tuple[PacketId, ...]
    signers: tuple[KeyId, ...]
    verdict: Accepted
    meter: DataMeter
    probe_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamPaper:
    """What a student is examined on.

    Attributes:
        domain: Name of the domain.
        per_level: Problems for each level.
        seed: That they are drawn from.
        examples: Texts put before every question.
        exclude: Questions that are not to be drawn.
    """

    domain: str
    per_level: int
    seed: int
    examples: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Aptitude:
    """How a student stands before a lesson: its half of an outlook; see `Outlook`."""

    before: float
    recognised: float
    relational: bool


@final
class Learner:
    """A frozen model and what is done with it. Blocking: it lives behind a host."""

    def __init__(self, settings: Settings) -> None:
        """Loads the model.

        Raises:
            CompatibilityError: there is no such model.
            RequestError: a table of rules holds a key that nobody knows.
        """
        add_domains(settings)
        use_threads(settings.model.threads)
        self._rules = rules_of(settings)
        self._student = Student(settings.name, load_model(settings.model))
        self._cal: tuple[Digest, ConceptAlignmentLayer] | None = None

    def card(self) -> ModelCard:
        """What others may know of the model."""
        return self._student.language_model.card

    def answer(self, domain: str, questions: Sequence[str], kept: KeptCal | None) -> list[str]:
        """What the student writes under each question."""
        grammar = domains.get(domain)
        hardest = grammar.levels[-1]
        for question in questions:
            grammar.work(question, lambda _: grammar.symbols[0])  # refuses what is no question
        asked = [(question, hardest) for question in questions]
        return self._student.completions(grammar, asked, self._layer(kept))

    def examine(self, paper: ExamPaper, kept: KeptCal | None) -> tuple[tuple[str, ...], Exam]:
        """The questions drawn, and how the student did."""
        domain = domains.get(paper.domain)
        probes = draw_probes(
            domain, seed=paper.seed, per_level=paper.per_level, exclude=paper.exclude
        )
        exam = examine(
            self._student, domain, probes, self._layer(kept), examples="".join(paper.examples)
        )
        return tuple(item.question for item in probes.items), exam

    def aptitude(self, domain: str, kept: KeptCal | None) -> Aptitude:
        """What an outlook needs of the student: two small measurements, no lesson."""
        grammar, rules, shape = domains.get(domain), self._rules.verify, self._rules.align.cal
        held = draw_probes(grammar, seed=rules.probe_seed, per_level=rules.probes_per_level)
        exam = examine(self._student, grammar, tried(grammar, held), self._layer(kept))
        return Aptitude(
            before=exam.mean,
            recognised=recognition(self._student.language_model, grammar, shape),
            relational=grammar.relational,
        )

    def learn(self, assignment: Assignment, report: Report) -> Learnt | Declined:
        """Parses, screens, combines, aligns, verifies; changes nothing."""
        packets = [parse_packet(payload) for payload in assignment.payloads]
        outcome = run_transfer(
            replace(self._student, cal=self._layer(assignment.current), lineage=assignment.lineage),
            packets,
            domains.get(assignment.domain),
            self._rules_for(assignment),
            report,
        )
        if isinstance(outcome, Declined):
            return outcome
        candidate = outcome.candidate
        learnt_from = [p for p in assignment.payloads if p.packet_id in candidate.lineage]
        return Learnt(
            tensors={name: tensor.cpu() for name, tensor in candidate.cal.tensors().items()},
            header=candidate.cal.header(),
            lineage=candidate.lineage,
            signers=tuple(dict.fromkeys(key for p in learnt_from for key in p.signers)),
            verdict=outcome.verdict,
            meter=candidate.meter,
            probe_items=outcome.probe_items,
        )

    def _rules_for(self, assignment: Assignment) -> TransferRules:
        combine, strategy = self._rules.combine, assignment.strategy
        if strategy:
            combine = replace(combine, strategy=strategy)
        return replace(self._rules, combine=combine, trust=assignment.trust or None)

    def _layer(self, kept: KeptCal | None) -> ConceptAlignmentLayer | None:
        """The layer of `kept`; the last one used stays at hand."""
        if kept is None:
            return None
        if self._cal is None or self._cal[0] != kept.digest:
            layer = ConceptAlignmentLayer.from_tensors(kept.tensors, kept.header)
            self._cal = (kept.digest, layer.to(self._student.language_model.device))
        return self._cal[1]


def rules_of(settings: Settings) -> TransferRules:
    """The rules of a student: the tables `screen`, `combine`, `align` and `verify`.

    Raises:
        RequestError: a table holds a key that nobody knows, or a value of another type.
    """
    return TransferRules(
        screen=settings.rules_for("screen", ScreenRules),
        combine=settings.rules_for("combine", CombineRules),
        align=settings.rules_for("align", AlignConfig),
        verify=settings.rules_for("verify", VerifyRules),
    )


def tried(domain: Domain, held: ProbeSet) -> ProbeSet:
    """Problems to try before a lesson: none of `held`, unless a level has no others."""
    most = max(len(held.at(level)) for level in domain.levels)
    drawn = draw_probes(domain, seed=TRIED_SEED, per_level=most + TRIED)
    kept, items = {item.question for item in held.items}, list[Probe]()
    for level in domain.levels:
        others = [item for item in drawn.at(level) if item.question not in kept]
        items += (others or drawn.at(level))[:TRIED]
    return ProbeSet(domain.name, tuple(items))
