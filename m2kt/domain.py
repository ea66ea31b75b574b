"""What a domain is: a public vocabulary of concepts and the way to pose problems in it.

A domain has two halves, and the types keep them apart. The *grammar* is public:
which concepts there are, how a question reads, and the procedure by which a
question falls into steps, each of which recalls one concept. The *facts*, what a
concept's result is, are the knowledge. `Grammar` has no method that tells a
fact, and `align` takes a `Grammar`: alignment cannot look up an answer.

Owns: `Grammar`, `Domain`, `Question`, `Step`, `Trace`, `ConceptSpec`.
Does not own: any particular domain (domains).
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from m2kt.errors import PacketError

Recall = Callable[[str], str]
"""From the id of a fact to the state symbol that comes out."""


@dataclass(frozen=True, slots=True)
class ConceptSpec:
    """A concept as the public knows it.

    Attributes:
        id: `domain/name`.
        gloss: What it is, in a few words.
        prompt: Text that elicits it in any model: it ends where its result is due.
        members: Of a concept that a teacher found, the ids of the facts that it is made of.
    """

    id: str
    gloss: str
    prompt: str
    members: tuple[str, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of the facts that it is made of: one that is named is its own."""
        return self.members or (self.id,)


@dataclass(frozen=True, slots=True)
class Question:
    """A problem as it is posed: no answer in it.

    Attributes:
        text: One line, without a line break.
        level: Its difficulty, one of the grammar's levels.
    """

    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trace: `text` is `stem + result`.

    Attributes:
        rule: Name of the rule applied, such as `+`.
        operands: What it was applied to.
        result: The state symbol that comes out.
        stem: The text of the step up to where its result is due.
        concept: Id of the concept that the step recalls.
    """

    rule: str
    operands: tuple[str, ...]
    result: str
    stem: str
    concept: str

    @property
    def text(self) -> str:
        """The whole line of the step."""
        return self.stem + self.result


@dataclass(frozen=True, slots=True)
class Trace:
    """A question, the steps that were taken, and the answer.

    As text: the question, one line a step, then `#` and the answer.
    """

    question: str
    steps: tuple[Step, ...]
    answer: str

    def __post_init__(self) -> None:
        if not self.steps:
            raise PacketError(f"expected a trace with steps, found none for {self.question[:80]!r}")

    @property
    def prompt(self) -> str:
        """What a model reads before it begins to answer."""
        return self.question + "\n"

    @property
    def completion(self) -> str:
        """What a model writes."""
        return "".join(step.text + "\n" for step in self.steps) + f"#{self.answer}\n"

    @property
    def text(self) -> str:
        """Prompt and completion."""
        return self.prompt + self.completion

    def due(self) -> tuple[int, ...]:
        """For each step the offset in `text`, in characters, at which its result begins."""
        offsets, at = [], len(self.prompt)
        for step in self.steps:
            offsets.append(at + len(step.stem))
            at += len(step.text) + 1
        return tuple(offsets)


@dataclass(frozen=True, slots=True)
class Parts:
    """The concepts that a fact relates, by id: `left operator right` gives some element."""

    left: str
    operator: str
    right: str


class Grammar(ABC):
    """The public half of a domain: everything but the facts.

    In most domains each fact is a concept of its own. In a *relational* one concepts are the
    elements and operators that facts relate, and a step recalls the element that comes out.

    Attributes:
        name: Name of the domain, such as `arith.mod7`.
        levels: Difficulties, easiest first.
        symbols: The state vocabulary: every result is one of these.
        concepts: Every concept, in a fixed order.
        relational: Whether facts relate concepts, instead of being some.
    """

    name: str
    levels: tuple[int, ...]
    symbols: tuple[str, ...]
    concepts: tuple[ConceptSpec, ...]
    relational: bool = False

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of all facts that questions may need."""
        return tuple(spec.id for spec in self.concepts)

    def recalled(self, step: Step) -> str:
        """Id of the fact that `step` recalls."""
        return step.concept

    def names(self, step: Step) -> frozenset[str]:
        """Ids of the concepts that `step` is about."""
        if not self.relational:
            return frozenset({step.concept})
        its = self.parts(self.recalled(step))
        return frozenset({step.concept, its.left, its.operator, its.right})

    def parts(self, fact: str) -> Parts:
        """What `fact` relates, in a relational grammar.

        Raises:
            PacketError: `fact` is no relation of this grammar's.
        """
        raise PacketError(f"expected a fact that relates concepts, found {fact[:80]!r}")

    def element(self, symbol: str) -> str:
        """Id of the concept that `symbol` names, in a relational grammar.

        Raises:
            PacketError: in this grammar symbols name none.
        """
        raise PacketError(f"expected a symbol that names a concept, found {symbol[:80]!r}")

    @abstractmethod
    def question(self, rng: random.Random, level: int) -> Question:
        """Draws a question of the given level."""

    @abstractmethod
    def work(self, question: str, recall: Recall) -> Trace:
        """Works `question` out by the public procedure, asking `recall` for every fact.

        Raises:
            PacketError: `question` is not of this grammar.
        """

    @abstractmethod
    def parse(self, text: str) -> Trace:
        """Reads a trace as a model wrote it; inverse of `Trace.text`.

        Only the form is read, never whether a result is true.

        Raises:
            PacketError: `text` is not a trace of this grammar.
        """

    @abstractmethod
    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Texts in the form of a trace that end where the result of `concept` is due.

        At most `count` different ones; fewer where the domain cannot give as many. Those of an
        element or operator of a relational grammar end with its name.
        """

    @abstractmethod
    def restrict(self, concepts: frozenset[str]) -> "Grammar":
        """This grammar with questions that recall none but `concepts`, ids of concepts or facts.

        Raises:
            PacketError: no question can be posed with these concepts.
        """

    @abstractmethod
    def completion_characters(self, level: int) -> int:
        """An upper bound of the length of a completion at `level`, in characters."""


class Domain(Grammar):
    """A grammar together with its facts: for examiners, checkers and teachers' training."""

    @abstractmethod
    def fact(self, concept: str) -> str:
        """The true result of `concept`; in a relational domain, of the fact with that id.

        Raises:
            PacketError: there is no such fact.
        """

    def solve(self, question: str) -> Trace:
        """`question` worked out with the true facts."""
        return self.work(question, self.fact)

    def faults(self, trace: Trace) -> tuple[str, ...]:
        """What is wrong with `trace`, one sentence a fault; empty if it is right."""
        right = self.solve(trace.question)
        found = []
        for have, want in zip(trace.steps, right.steps, strict=False):
            if have != want:
                found.append(f"expected step {want.text!r}, found {have.text!r}")
        if len(trace.steps) != len(right.steps):
            found.append(f"expected {len(right.steps)} steps, found {len(trace.steps)}")
        if trace.answer != right.answer:
            found.append(f"expected answer {right.answer!r}, found {trace.answer!r}")
        return tuple(found)


def lines_of(text: str, *, longest: int, most: int, question: str) -> list[str]:
    """The lines of a trace: its question, at least one step, the answer.

    Args:
        text: What a model wrote, of any length.
        longest: Characters of the longest trace.
        most: Steps of the longest trace.
        question: What stands in the first line, for the error.

    Raises:
        PacketError: `text` has another number of lines, or does not end with a line break.
    """
    lines = text.split("\n") if len(text) <= longest else []
    if not 4 <= len(lines) <= most + 3 or lines[-1]:
        raise PacketError(
            f"expected {question}, 1 to {most} lines of steps, '#' with the answer and a final line"
            f" break, found {len(text)} characters: {text[:80]!r}"
        )
    return lines[:-1]


def answer_in(completion: str) -> str | None:
    """The answer that a completion gives: what follows its first `#`, up to the line's end."""
    _, mark, rest = completion.partition("#")
    return rest.split("\n", 1)[0].strip() if mark else None
