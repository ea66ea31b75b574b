"""The student: a frozen language model and the CAL that it may carry.

Owns: `Student`, `Candidate` (a CAL nobody has accepted yet), answering questions.
Does not own: training (align), examining (verify), keeping (store).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import final

from m2kt.cal import ConceptAlignmentLayer, attached
from m2kt.domain import Grammar
from m2kt.identity import AgentId, PacketId
from m2kt.language_model import LanguageModel
from m2kt.meter import DataMeter
from m2kt.tensors import ConceptValues


@final
@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A frozen model under an agent's name. Nothing here is ever modified.

    Attributes:
        agent: Its name.
        language_model: The model.
        cal: The CAL that it carries today for the domain in question, if any.
        lineage: The packets that it has that from.
    """

    agent: AgentId
    language_model: LanguageModel
    cal: ConceptAlignmentLayer | None = None
    lineage: frozenset[PacketId] = frozenset()

    def completions(
        self,
        grammar: Grammar,
        questions: Sequence[tuple[str, int]],
        cal: ConceptAlignmentLayer | None,
        *,
        examples: str = "",
    ) -> list[str]:
        """What the student writes under each question.

        Args:
            grammar: How long a completion may be.
            questions: Texts and their levels.
            cal: The CAL to carry, if any.
            examples: Text put before every question: traces, for few-shot prompting.
        """
        found = [""] * len(questions)
        with attached(self.language_model, cal) if cal is not None else nullcontext():
            for level in sorted({level for _, level in questions}):
                chosen = [i for i, (_, its) in enumerate(questions) if its == level]
                texts = self.language_model.complete(
                    [f"{examples}{questions[i][0]}\n" for i in chosen],
                    max_new_tokens=grammar.completion_characters(level),
                )
                for index, text in zip(chosen, texts, strict=True):
                    found[index] = text
        return found


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidate:
    """A CAL that nobody has accepted yet. Only `align` makes it.

    Attributes:
        cal: What was trained.
        domain: Name of the domain.
        lineage: Ids of the packets that it was trained on.
        meter: What training consumed.
        history: For each reported step, figures by name.
        figures: Measurements of the training as a whole, by name.
        read: phi(c_k) as phase A left it: before L_safety could move it, Float [K, H].
    """

    cal: ConceptAlignmentLayer
    domain: str
    lineage: tuple[PacketId, ...]
    meter: DataMeter
    history: tuple[Mapping[str, float], ...]
    figures: Mapping[str, float]
    read: ConceptValues
