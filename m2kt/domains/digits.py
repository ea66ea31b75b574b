"""Addition and subtraction of numbers of many digits, column by column from the right.

    472+851     the question: two numbers of one width, leading zeros allowed
    2+1=3       a step recalls one fact, such as `arith.digits/2+1`
    7+5=C       a letter is a digit with a carry (or a borrow): A is 0 with one, J is 9
    4+8'=D      a carry (or a borrow) came in from the column before
    #1323       the answer: a sum has a leading 1 if its last column carries

The first number of a subtraction is not the smaller one, and its answer is as wide as the
numbers: a borrow of the last column, which only false facts can make, is dropped.

Owns: `Digits`, and the text form above.
Does not own: chains of operations (chains).
"""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Final, TypeAlias, final

from m2kt.domain import ConceptSpec, Domain, Question, Recall, Step, Trace
from m2kt.errors import PacketError, RequestError

_NAME: Final = "arith.digits"
_SHOWN: Final = 80
_DIGITS: Final = tuple("0123456789")
_CARRIES: Final = tuple("ABCDEFGHIJ")
_SYMBOLS: Final = _DIGITS + _CARRIES
_MARK: Final = "'"
_WORDS: Final = MappingProxyType({"+": ("plus", "carry"), "-": ("minus", "borrow")})

_Fact: TypeAlias = tuple[str, str, str, str]
"""Left digit, sign, right digit, and the mark if a carry comes in."""

_Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Texts:
    """Questions of one sign and length, with the results of the first few lines.

    Attributes:
        sign: Of the question.
        columns: What may stand in each column, the leftmost one first.
        results: What may stand as each result.
    """

    sign: str
    columns: tuple[_Pairs, ...]
    results: tuple[tuple[str, ...], ...] = ()

    @property
    def questions(self) -> int:
        """How many different questions there are."""
        return _ways(self.columns, tied=self.sign == "-")

    @property
    def size(self) -> int:
        """How many different texts there are."""
        return self.questions * prod(map(len, self.results))

    def at(self, index: int) -> tuple[str, list[str]]:
        """Question and results of the text that has number `index` among all of them."""
        index, number = divmod(index, self.questions)
        pairs, results = _pick(self.columns, number, tied=self.sign == "-"), []
        for kind in self.results:
            index, which = divmod(index, len(kind))
            results.append(kind[which])
        upper, lower = ("".join(digits) for digits in zip(*pairs, strict=True))
        return upper + self.sign + lower, results


@final
class Digits(Domain):
    """Sums and differences of numbers of 1 to 4 digits; a level is the number of digits.

    Attributes:
        operations: Signs of the operations that occur, in their order.
    """

    def __init__(self, *, known: frozenset[str] | None = None) -> None:
        """Builds the domain.

        Args:
            known: Ids of the concepts that questions are restricted to; None for all.

        Raises:
            PacketError: `known` holds none of this domain's concepts.
        """
        self.name, self.symbols, self.levels = _NAME, _SYMBOLS, (1, 2, 3, 4)
        self._facts = {
            _id(left, sign, right, mark): (left, sign, right, mark)
            for sign in _WORDS
            for mark in ("", _MARK)
            for left in _DIGITS
            for right in _DIGITS
        }
        kept = [its for id, its in self._facts.items() if known is None or id in known]
        if not kept:
            raise PacketError(
                f"expected concepts of {self.name}, found none of them among {len(known or ())};"
                f" ids look like {next(iter(self._facts))!r}"
            )
        self.concepts = tuple(_spec(*its) for its in kept)
        self.operations = tuple(dict.fromkeys(sign for _, sign, _, _ in kept))
        self._pools = {sign: _pool(sign, kept) for sign in self.operations}
        signs = f"[{re.escape(''.join(self.operations))}]"
        width = self.levels[-1]
        self._sum = re.compile(f"([0-9]{{1,{width}}})({signs})([0-9]{{1,{width}}})")
        self._line = re.compile(f"([0-9])({signs})([0-9])({_MARK}?)=([0-9A-J])")
        self._closing = re.compile(f"#([0-9]{{1,{width + 1}}})")

    def question(self, rng: random.Random, level: int) -> Question:
        """Draws two numbers of `level` digits; see `restrict` for what may occur in them.

        Of one sign every question is as likely as any other; signs are as likely as the
        facts that can begin with them are many.

        Raises:
            RequestError: there is no such level.
        """
        if level not in self.levels:
            raise RequestError(f"expected a level of {self.levels}, found {level}")
        own = [self._texts(sign, level) for sign in self.operations]
        lent = [self._texts(sign, level, lend=True) for sign in self.operations]
        posed = [its for its in own if its.size] or lent
        drawn = rng.choices(posed, [len(its.columns[-1]) for its in posed])[0]
        return Question(drawn.at(rng.randrange(drawn.size))[0], level)

    def _texts(self, sign: str, level: int, *, lend: bool = False) -> _Texts:
        """The questions that there are; with `lend`, those of a set that poses none."""
        firsts, pairs, lent = self._pools[sign]
        return _Texts(sign, (lent,) * level if lend else (pairs,) * (level - 1) + (firsts,))

    def work(self, question: str, recall: Recall) -> Trace:
        """Works from the right; digits are copied, each column's result is recalled.

        Raises:
            PacketError: `question` is not of this grammar, or `recall` gave something that is
                not a state symbol.
        """
        upper, sign, lower = self._parts_of(question)
        steps: list[Step] = []
        for left, right in zip(reversed(upper), reversed(lower), strict=True):
            mark = _MARK if steps and steps[-1].result in _CARRIES else ""
            steps.append(_step(left, sign, right, mark, recall(_id(left, sign, right, mark))))
        answer = "".join(_DIGITS[_SYMBOLS.index(step.result) % 10] for step in reversed(steps))
        carried = sign == "+" and steps[-1].result in _CARRIES
        return Trace(question, tuple(steps), "1" * carried + answer)

    def _parts_of(self, question: str) -> tuple[str, str, str]:
        """First number, sign and second number."""
        width = self.levels[-1]
        found = self._sum.fullmatch(question) if len(question) <= 2 * width + 1 else None
        upper, sign, lower = found.groups() if found else ("", "", "")
        if found is None or len(upper) != len(lower):
            raise PacketError(
                f"expected two numbers of the same 1 to {width} digits with"
                f" {' or '.join(self.operations)} between them, found {question[:_SHOWN]!r};"
                " fill the shorter one up with zeros"
            )
        if sign == "-" and upper < lower:
            raise PacketError(
                "expected a subtraction whose first number is not the smaller one, found"
                f" {question!r}; write the greater number first"
            )
        return upper, sign, lower

    def parse(self, text: str) -> Trace:
        """Reads a trace: a question, a line `a+b=c` for each step, `#` and digits.

        Whether lines follow from the question and one another is not part of the form:
        `faults` tells.

        Raises:
            PacketError: `text` is not of that form.
        """
        width = self.levels[-1]
        longest = (2 * width + 2) + 7 * width + (width + 3)  # question, steps, answer
        lines = text.split("\n") if len(text) <= longest else []
        if not 4 <= len(lines) <= width + 3 or lines[-1]:
            raise PacketError(
                f"expected a question, 1 to {width} lines of steps, '#' with the answer and a"
                f" final line break, found {len(text)} characters: {text[:_SHOWN]!r}"
            )
        self._parts_of(lines[0])
        steps = tuple(self._read_step(line) for line in lines[1:-2])
        closing = self._closing.fullmatch(lines[-2])
        if closing is None:
            found = repr(lines[-2])
            raise PacketError(f"expected '#' and 1 to {width + 1} digits, found the line {found}")
        return Trace(lines[0], steps, closing[1])

    def _read_step(self, line: str) -> Step:
        found = self._line.fullmatch(line)
        if found is None:
            raise PacketError(
                f"expected a step such as {self.concepts[0].prompt + 'A'!r} with"
                f" {' or '.join(self.operations)} between digits and a result of 0 to 9 or A to J,"
                f" found the line {line!r}"
            )
        return _step(*found.groups())

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Questions with the lines up to the `=` of `concept`, in any column that it may be in.

        Results of the lines before are invented: none has a carry if `concept` is without a
        carry in, else the one just before has. Lengths and columns are mixed evenly, as far
        as there are enough different texts.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        if all(concept != spec.id for spec in self.concepts):
            raise PacketError(
                f"expected one of {len(self.concepts)} concepts, found {concept[:_SHOWN]!r}"
            )
        places = [
            self._place(concept, level, before)
            for level in self.levels
            for before in range(len(self._facts[concept][3]), level)
        ]
        places.sort(key=lambda place: place.size)
        found: list[str] = []
        for number, place in enumerate(places):
            share = -(-(count - len(found)) // (len(places) - number))
            for index in rng.sample(range(place.size), min(place.size, share)):
                found.append(self._context(*place.at(index)))
        rng.shuffle(found)
        return tuple(found)

    def _place(self, concept: str, level: int, before: int) -> _Texts:
        """`concept` in a question of `level` digits, with `before` columns to its right."""
        left, sign, right, mark = self._facts[concept]
        at = level - 1 - before
        results = (_SYMBOLS,) * (before - 1) + (_CARRIES,) if mark else (_DIGITS,) * before
        own, lent = (
            _Texts(sign, (*its[:at], ((left, right),), *its[at + 1 :]), results)
            for its in (self._texts(sign, level, lend=lend).columns for lend in (False, True))
        )
        return own if own.size else lent

    def _context(self, question: str, results: Sequence[str]) -> str:
        invented = iter(results)
        trace = self.work(question, lambda _: next(invented, _DIGITS[0]))
        return trace.text[: trace.due()[len(results)]]

    def restrict(self, concepts: frozenset[str]) -> "Digits":
        """This domain with questions that recall none but `concepts`, as far as can be told.

        Whether a carry comes in depends on earlier results, which a grammar does not know.
        Therefore a question's first column is always one of `concepts`; of a later one, sign
        and digits occur together in one of them, with or without a carry in. If `concepts`
        are all facts of some signs, then no question recalls another one. For any other set
        this is necessary, not sufficient: work the question, and keep the trace if its steps'
        concepts are all in the set. Ids of other domains, and those that this grammar is
        already without, are ignored.

        A set that poses nothing at a level (all its facts need a carry in, or subtract more
        than there is) is lent more: there any column takes the digits of any of `concepts`,
        and those of a subtraction in either order.

        Raises:
            PacketError: none of `concepts` is one of this grammar.
        """
        return Digits(known=frozenset(spec.id for spec in self.concepts) & concepts)

    def concepts_of(self, signs: Iterable[str]) -> frozenset[str]:
        """Ids of the concepts whose operation is one of `signs`."""
        wanted = frozenset(signs)
        return frozenset(s.id for s in self.concepts if self._facts[s.id][1] in wanted)

    def completion_characters(self, level: int) -> int:
        """Reached if every column carries; of subtractions alone, if every column borrows."""
        lines = len("0+0=A\n") + (level - 1) * len("0+0'=A\n")
        return lines + len("#\n") + level + ("+" in self.operations)

    def fact(self, concept: str) -> str:
        """The true result of `concept`; also of one that questions are not restricted to.

        Raises:
            PacketError: there is no such concept.
        """
        if concept not in self._facts:
            raise PacketError(
                f"expected a concept such as {self.concepts[0].id!r}, found {concept[:_SHOWN]!r}"
            )
        left, sign, right, mark = self._facts[concept]
        lower = int(right) + len(mark)
        value = int(left) + (lower if sign == "+" else -lower)
        return (_DIGITS if 0 <= value <= 9 else _CARRIES)[value % 10]


def _pool(sign: str, facts: Iterable[_Fact]) -> tuple[_Pairs, _Pairs, _Pairs]:
    """Digits of first columns, of later ones, and of all where these pose nothing."""
    own = [(left, right, mark) for left, its, right, mark in facts if its == sign]
    firsts = tuple((left, right) for left, right, mark in own if not mark)
    pairs = tuple(dict.fromkeys((left, right) for left, right, _ in own))
    turned = tuple((right, left) for left, right in pairs) if sign == "-" else ()
    return firsts, pairs, tuple(dict.fromkeys(pairs + turned))


def _ways(columns: Sequence[_Pairs], *, tied: bool) -> int:
    """How many pairs of numbers there are; if `tied`, with the first one not smaller."""
    if not columns:
        return 1
    top, *rest = columns
    more = sum(left > right or not tied for left, right in top) * prod(map(len, rest))
    same = sum(left == right for left, right in top) if tied else 0
    return more + same * _ways(rest, tied=True)


def _pick(columns: Sequence[_Pairs], index: int, *, tied: bool) -> _Pairs:
    """The pair of numbers that has number `index` among the `_ways`, column by column."""
    if not columns:
        return ()
    top, *rest = columns
    free = prod(map(len, rest))
    more = [(left, right) for left, right in top if left > right or not tied]
    if index < len(more) * free:
        which, index = divmod(index, free)
        return (more[which], *_pick(rest, index, tied=False))
    which, index = divmod(index - len(more) * free, _ways(rest, tied=True))
    same = [(left, right) for left, right in top if left == right]
    return (same[which], *_pick(rest, index, tied=True))


def _id(left: str, sign: str, right: str, mark: str) -> str:
    return f"{_NAME}/{left}{sign}{right}{mark}"


def _spec(left: str, sign: str, right: str, mark: str) -> ConceptSpec:
    word, carry = _WORDS[sign]
    gloss = f"{left} {word} {right}" + (f" with a {carry} in" if mark else "")
    return ConceptSpec(_id(left, sign, right, mark), gloss, f"{left}{sign}{right}{mark}=")


def _step(left: str, sign: str, right: str, mark: str, result: str) -> Step:
    stem = f"{left}{sign}{right}{mark}="
    if result not in _SYMBOLS:
        raise PacketError(
            f"expected one of 0 to 9 and A to J as the result of {stem[:-1]!r}, found"
            f" {result[:_SHOWN]!r}"
        )
    operands = (left, right, mark) if mark else (left, right)
    return Step(sign, operands, result, stem, _id(left, sign, right, mark))
