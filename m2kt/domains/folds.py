"""One operation folds a list of digits from the left, one line a step.

    M3152       the question: the operation, named once, then the list
    3M1=3       a step recalls one fact, such as `list.ops/3M1`
    3M5=5       what has come out so far stands to the left
    5M2=5
    #5          the answer

Owns: `Folds`, its operations, and the text form above.
Does not own: what a domain is (domain).
"""

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping
from operator import xor
from types import MappingProxyType
from typing import Final, final

from m2kt.domain import ConceptSpec, Domain, Question, Recall, Step, Trace, lines_of
from m2kt.errors import PacketError, RequestError

LONGEST_FOLD: Final = 4
"""Steps of the longest fold; its list has one digit more."""

_SYMBOLS: Final = tuple("01234567")
_DIGIT: Final = "[0-7]"
_SHOWN: Final = 80
_RULES: Final[Mapping[str, tuple[str, Callable[[int, int], int]]]] = MappingProxyType(
    {
        "M": ("the maximum of", max),
        "m": ("the minimum of", min),
        "d": ("the distance between", lambda a, b: abs(a - b)),
        "g": ("the greatest common divisor of", math.gcd),
        "x": ("the bitwise exclusive or of", xor),
    }
)


@final
class Folds(Domain):
    """Folds of lists of 2 to `LONGEST_FOLD + 1` digits from 0 to 7.

    Attributes:
        operations: Signs of the operations that occur, in their order.
    """

    name = "list.ops"
    symbols = _SYMBOLS
    levels = tuple(range(1, LONGEST_FOLD + 1))

    def __init__(self, *, known: frozenset[str] | None = None) -> None:
        """Builds the domain.

        Args:
            known: Ids of the concepts that questions are restricted to; None for all.

        Raises:
            PacketError: `known` holds none of this domain's concepts.
        """
        self._facts = {
            self._id(left + sign + right): (left, sign, right)
            for sign in _RULES
            for left in _SYMBOLS
            for right in _SYMBOLS
        }
        self._keep(known)

    def _keep(self, known: frozenset[str] | None) -> None:
        """What questions are made of, and the patterns of the text form."""
        kept = [id for id in self._facts if known is None or id in known]
        if not kept:
            raise PacketError(
                f"expected concepts of {self.name}, found none of them among {len(known or ())};"
                f" ids look like {next(iter(self._facts))!r}"
            )
        self.concepts = tuple(self._spec(id) for id in kept)
        self._firsts = tuple(self._facts[id] for id in kept)
        self.operations = tuple(dict.fromkeys(sign for _, sign, _ in self._firsts))
        self._rights = {
            its: tuple(sorted({right for _, sign, right in self._firsts if sign == its}))
            for its in self.operations
        }
        signs = f"[{''.join(self.operations)}]"
        self._fold = re.compile(f"({signs})({_DIGIT})({_DIGIT}{{1,{LONGEST_FOLD}}})")
        self._line = re.compile(f"({_DIGIT})({signs})({_DIGIT})=({_DIGIT})")
        self._closing = re.compile(f"#({_DIGIT})")

    def _id(self, fact: str) -> str:
        return f"{self.name}/{fact}"

    def _spec(self, concept: str) -> ConceptSpec:
        left, sign, right = self._facts[concept]
        return ConceptSpec(
            concept, f"{_RULES[sign][0]} {left} and {right}", f"{left}{sign}{right}="
        )

    def question(self, rng: random.Random, level: int) -> Question:
        """Draws a fold of `level` steps; see `restrict` for what may occur in it.

        Raises:
            RequestError: there is no such level.
        """
        if level not in self.levels:
            raise RequestError(f"expected a level of {self.levels}, found {level}")
        left, sign, right = rng.choice(self._firsts)
        more = (rng.choice(self._rights[sign]) for _ in range(level - 1))
        return Question(sign + left + right + "".join(more), level)

    def work(self, question: str, recall: Recall) -> Trace:
        """Folds from the left; each operand is copied, each result recalled.

        Raises:
            PacketError: `question` is not a fold of this grammar, or `recall` gave something
                that is not a state symbol.
        """
        sign, left, rights = self._parts_of(question)
        steps = []
        for right in rights:
            step = self._step(left, sign, right, recall(self._id(left + sign + right)))
            steps.append(step)
            left = step.result
        return Trace(question, tuple(steps), left)

    def _parts_of(self, question: str) -> tuple[str, str, str]:
        """The sign, the first digit and the other ones of a fold."""
        short = len(question) <= LONGEST_FOLD + 2
        found = self._fold.fullmatch(question) if short else None
        if found is None:
            raise PacketError(
                f"expected one of the operations {' '.join(self.operations)} and 2 to"
                f" {LONGEST_FOLD + 1} digits from 0 to 7, found {question[:_SHOWN]!r}"
            )
        return found[1], found[2], found[3]

    def _step(self, left: str, sign: str, right: str, result: str) -> Step:
        stem = left + sign + right
        if result not in _SYMBOLS:
            raise PacketError(
                f"expected one of {' '.join(_SYMBOLS)} as the result of {stem!r},"
                f" found {result[:_SHOWN]!r}"
            )
        return Step(sign, (left, right), result, f"{stem}=", self._id(stem))

    def parse(self, text: str) -> Trace:
        """Reads a trace: a fold, a line `aMb=c` for each step, `#c`, each ended by a line break.

        Whether lines continue one another, or name the question's operation, is not part of
        the form: `faults` tells.

        Raises:
            PacketError: `text` is not of that form.
        """
        longest = LONGEST_FOLD + len("M0\n") + self.completion_characters(LONGEST_FOLD)
        lines = lines_of(text, longest=longest, most=LONGEST_FOLD, question="a fold")
        self._parts_of(lines[0])
        steps = tuple(self._read_step(line) for line in lines[1:-1])
        closing = self._closing.fullmatch(lines[-1])
        if closing is None:
            raise PacketError(f"expected '#' and a state, found the line {lines[-1]!r}")
        return Trace(lines[0], steps, closing[1])

    def _read_step(self, line: str) -> Step:
        found = self._line.fullmatch(line)
        if found is None:
            example = f"{self.concepts[0].prompt}{_SYMBOLS[0]}"
            raise PacketError(
                f"expected a step such as {example!r} with operations of"
                f" {' '.join(self.operations)} on digits from 0 to 7, found the line {line!r}"
            )
        return self._step(*found.groups())

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Folds that begin with `concept`, each with its first line up to the `=`.

        Only the first step is used: in later ones an earlier result would have to be
        written, and the grammar does not know it. Lengths are mixed evenly, as far as
        there are enough different folds.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        if self._facts.get(concept) not in self._firsts:
            raise PacketError(
                f"expected one of {len(self.concepts)} concepts, found {concept[:_SHOWN]!r}"
            )
        left, sign, right = self._facts[concept]
        found: list[str] = []
        for more in range(LONGEST_FOLD):
            possible = len(self._rights[sign]) ** more
            share = -(-(count - len(found)) // (LONGEST_FOLD - more))
            for index in rng.sample(range(possible), min(possible, share)):
                tail = self._tail(sign, index, more)
                found.append(f"{sign}{left}{right}{tail}\n{left}{sign}{right}=")
        rng.shuffle(found)
        return tuple(found)

    def _tail(self, sign: str, index: int, length: int) -> str:
        """The `length` operands of `sign` that have number `index` among all of them."""
        digits = []
        for _ in range(length):
            index, digit = divmod(index, len(self._rights[sign]))
            digits.append(self._rights[sign][digit])
        return "".join(digits)

    def restrict(self, concepts: frozenset[str]) -> "Folds":
        """This domain with questions that recall none but `concepts`, as far as can be told.

        Which fact a later step recalls depends on earlier results, which a grammar does
        not know. Therefore a question's first fact is always one of `concepts`; of a later
        step, operation and operand occur together in one of them. If `concepts` are all
        facts of some operations, then no question recalls another one. For any other set
        this is necessary, not sufficient: work the question, and keep the trace if its
        steps' concepts are all in the set. Ids of other domains, and those that this
        grammar is already without, are ignored.

        Raises:
            PacketError: none of `concepts` is one of this grammar.
        """
        return Folds(known=frozenset(spec.id for spec in self.concepts) & concepts)

    def concepts_of(self, signs: Iterable[str]) -> frozenset[str]:
        """Ids of the concepts whose operation is one of `signs`."""
        wanted = frozenset(signs)
        return frozenset(s.id for s in self.concepts if self._facts[s.id][1] in wanted)

    def completion_characters(self, level: int) -> int:
        """Every completion of `level` steps has exactly this many."""
        return len("0M0=0\n") * level + len("#0\n")

    def fact(self, concept: str) -> str:
        """The true result of `concept`; also of one that questions are not restricted to.

        Raises:
            PacketError: there is no such concept.
        """
        if concept not in self._facts:
            raise PacketError(
                f"expected a concept such as {self.concepts[0].id!r}, found {concept[:_SHOWN]!r}"
            )
        left, sign, right = self._facts[concept]
        return str(_RULES[sign][1](int(left), int(right)))
