"""Asking a teacher: traces that it writes itself, and which questions it takes to get them.

Owns: `teacher_traces`, `ask`, `written`, `follows`.
Does not own: which facts traces may recall (extract).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from m2kt.domain import Grammar, Trace
from m2kt.errors import CompatibilityError, PacketError
from m2kt.language_model import LanguageModel

ROUNDS = 20
"""Times that a teacher is asked at most for traces of one kind."""


def teacher_traces(
    teacher: LanguageModel,
    grammar: Grammar,
    shown: Sequence[str],
    *,
    per_level: int,
    rng: random.Random,
) -> tuple[tuple[Trace, ...], int]:
    """Traces that the teacher generates, and how many questions it was asked for them.

    Only traces whose every step recalls one of the facts `shown` are kept. What the teacher
    says of a fact is kept as it is, right or wrong: nothing here knows the facts.

    Args:
        teacher: Who is asked.
        grammar: Poses the questions and reads the answers.
        shown: Ids of facts.
        per_level: Traces of each level above the first.
        rng: Draws questions.

    Raises:
        CompatibilityError: none of the answers is a trace of the grammar.
    """
    interview = _Interview(teacher, grammar, frozenset(shown), per_level, rng)
    kept = interview.facts(shown)
    for level in grammar.levels[1:]:
        kept += interview.problems(level)
    kept += interview.missing(kept)
    if not kept:
        raise CompatibilityError(
            f"expected traces of {grammar.name}, found none that its grammar can read among"
            f" {interview.asked} answers of {teacher.name}; is this the right teacher for the"
            " domain?"
        )
    return tuple(kept), interview.asked


class _NotShownError(Exception):
    """A question leads to a fact that is not to be shown."""


@dataclass(slots=True, eq=False)
class _Interview:
    """Questions to a teacher that recall none but the facts `shown`.

    Attributes:
        asked: How many there were.
        said: Results of the facts that the teacher was asked for alone.
    """

    teacher: LanguageModel
    grammar: Grammar
    shown: frozenset[str]
    per_level: int
    rng: random.Random
    asked: int = 0
    said: dict[str, str] = field(default_factory=dict)

    def facts(self, names: Sequence[str]) -> list[Trace]:
        """One for each fact, as far as there is a question that asks for it alone."""
        first = self.grammar.levels[0]
        single = [self.grammar.restrict(frozenset({one})) for one in names]
        found = self._ask([its.question(self.rng, first).text for its in single], first)
        steps = [step for trace in found for step in trace.steps]
        self.said = {self.grammar.recalled(step): step.result for step in steps}
        return found

    def problems(self, level: int) -> list[Trace]:
        """As many as are wanted of a level, if they can be had."""
        found: list[Trace] = []
        posed: set[str] = set()
        for _ in range(ROUNDS):
            questions = [question for question in self._pose(level) if question not in posed]
            posed.update(questions)
            found += self._ask(questions, level)
            if len(found) >= self.per_level:
                break
        return found[: self.per_level]

    def missing(self, kept: Sequence[Trace]) -> list[Trace]:
        """Such as recall what `kept` does not: what no question asks for alone.

        The easiest levels come first, and not the hardest, where a teacher slips most.
        """
        left, found = set(self.shown).difference(*map(self._recalled, kept)), list[Trace]()
        for level in self.grammar.levels[1:-1]:
            for _ in range(ROUNDS):
                for trace in self._ask(self._pose(level), level) if left else ():
                    if left & self._recalled(trace):
                        found.append(trace)
                        left -= self._recalled(trace)
        return found

    def _pose(self, level: int) -> list[str]:
        """Different questions, without those that lead to a fact which is not to be shown."""
        narrowed, count = self.grammar.restrict(self.shown), 2 * self.per_level
        drawn = [narrowed.question(self.rng, level).text for _ in range(count)]
        return [question for question in dict.fromkeys(drawn) if self._stays(question)]

    def _stays(self, question: str) -> bool:
        """Whether it recalls nothing but `shown`, as far as the teacher has said where it leads."""

        def recall(fact: str) -> str:
            if fact not in self.shown:
                raise _NotShownError
            return self.said[fact]

        try:
            self.grammar.work(question, recall)
        except _NotShownError:
            return False
        except KeyError:
            pass  # nobody knows: ask
        return True

    def _ask(self, questions: Sequence[str], level: int) -> list[Trace]:
        self.asked += len(questions)
        return ask(self.teacher, self.grammar, questions, level=level, shown=self.shown)

    def _recalled(self, trace: Trace) -> set[str]:
        return {self.grammar.recalled(step) for step in trace.steps}


def ask(
    teacher: LanguageModel,
    grammar: Grammar,
    questions: Sequence[str],
    *,
    level: int,
    shown: frozenset[str],
) -> list[Trace]:
    """Traces that the teacher writes under `questions`, if they recall none but `shown`."""
    traces = written(teacher, grammar, questions, level=level)
    return [
        trace for trace in traces if all(grammar.recalled(step) in shown for step in trace.steps)
    ]


def written(
    teacher: LanguageModel, grammar: Grammar, questions: Sequence[str], *, level: int
) -> list[Trace]:
    """Traces that the teacher writes under `questions`, which are of `level` or easier.

    A trace that does not follow from what it says itself of the facts is a slip, and left out.
    """
    if not questions:
        return []
    said = teacher.complete(
        [question + "\n" for question in questions],
        max_new_tokens=grammar.completion_characters(level),
    )
    traces = []
    for question, text in zip(questions, said, strict=True):
        body, mark, answer = text.partition("#")
        ending = answer.split("\n", 1)[0]
        try:
            trace = grammar.parse(f"{question}\n{body}{mark}{ending}\n")
        except PacketError:
            continue
        said_of = {grammar.recalled(step): step.result for step in trace.steps}
        if follows(grammar, trace, said_of):
            traces.append(trace)
    return traces


def follows(grammar: Grammar, trace: Trace, results: Mapping[str, str]) -> bool:
    """Whether its question, worked out with these results of facts, is that very trace."""
    try:
        return grammar.work(trace.question, results.__getitem__) == trace
    except (KeyError, PacketError):
        return False
