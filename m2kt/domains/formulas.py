"""Formulas of propositional logic, worked out from the inside, one line a step.

    (t&f)>!f    the question: fully bracketed, but for the whole
    t&f=f       always the leftmost subformula whose operands are known
    !f=t        a step recalls one fact, such as `logic.prop/!f`
    f>t=t
    #t          the answer

Owns: `Formulas`, its connectives, and the text form above.
Does not own: what a domain is (domain).
"""

import random
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final, final

from m2kt.domain import ConceptSpec, Domain, Question, Recall, Step, Trace, lines_of
from m2kt.errors import PacketError, RequestError

DEEPEST: Final = 4
"""Connectives of the largest formula."""

NOT: Final = "!"
_SYMBOLS: Final = ("t", "f")
_SHOWN: Final = 80
_LONGEST: Final = 4 * DEEPEST - 1
_TRUTH: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "&": ("{left} and {right}", "tfff"),
        "|": ("{left} or {right}", "tttf"),
        ">": ("{left} implies {right}", "tftt"),
        "^": ("either {left} or {right}, not both", "fttf"),
        "%": ("neither {left} nor {right}", "ffft"),
        "<": ("{left} is implied by {right}", "ttft"),
        NOT: ("not {right}", "ft"),
    }
)
"""A connective's gloss, and its results for tt, tf, ft, ff; of the negation, for t, f."""

_Head = tuple[str, str, str]
"""A connective between what is written left and right of it; empty where a formula stands."""

_Shape = tuple[str, int, int]
"""A connective between the sizes of the formulas left and right of it; 0 for a value."""


@final
class Formulas(Domain):
    """Formulas of 1 to `DEEPEST` connectives, negations among them.

    Attributes:
        operations: The connectives that occur, in their order.
    """

    name = "logic.prop"
    symbols = _SYMBOLS
    levels = tuple(range(1, DEEPEST + 1))

    def __init__(self, *, known: frozenset[str] | None = None) -> None:
        """Builds the domain.

        Args:
            known: Ids of the concepts that questions are restricted to; None for all.

        Raises:
            PacketError: `known` holds none of this domain's concepts.
        """
        self._facts: dict[str, _Head] = {
            self._id(left + sign + right): (left, sign, right)
            for sign in _TRUTH
            for left in _lefts(sign)
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
        facts = [self._facts[id] for id in kept]
        self.operations = tuple(dict.fromkeys(sign for _, sign, _ in facts))
        self._heads = {
            (sign, left, right): _heads([f for f in facts if f[1] == sign], left, right)
            for sign in self.operations
            for left in (True, False)
            for right in (True, False)
        }
        self._counts = {(0, False): 1, (0, True): 1, (1, True): 1}
        for size, led in ((size, led) for size in self.levels for led in (False, True)):
            if (size, led) not in self._counts:
                self._counts[size, led] = sum(self._number(s, led) for s in self._shapes(size))
        stems = ["".join(f) for f in self._facts.values() if f[1] in self.operations]
        self._width = max(map(len, stems))
        self._line = re.compile(f"({'|'.join(map(re.escape, stems))})=([tf])")
        ready = [stem if stem[0] == NOT else f"({stem})" for stem in stems]
        self._ready = re.compile("|".join(map(re.escape, ready)))
        self._closing = re.compile("#([tf])")

    def _id(self, fact: str) -> str:
        return f"{self.name}/{fact}"

    def _spec(self, concept: str) -> ConceptSpec:
        left, sign, right = self._facts[concept]
        gloss = _TRUTH[sign][0].replace("{left}", left).replace("{right}", right)
        return ConceptSpec(concept, gloss, f"{left}{sign}{right}=")

    def question(self, rng: random.Random, level: int) -> Question:
        """Draws a formula of `level` connectives; see `restrict` for what may occur in it.

        Each connective is as likely as another at each place, and so is each division of
        the remaining ones between its two sides: trees lean left, lean right or balance.

        Raises:
            RequestError: there is no such level.
        """
        if level not in self.levels:
            raise RequestError(f"expected a level of {self.levels}, found {level}")
        return Question(_bare(self._drawn(rng, level)), level)

    def _drawn(self, rng: random.Random, size: int) -> str:
        """A formula of `size` connectives, in brackets; nothing if it has none."""
        if not size:
            return ""
        sign = rng.choice(self.operations)
        left = 0 if sign == NOT else rng.randrange(size)
        right = size - 1 - left
        head = rng.choice(self._heads[sign, not left, not right])
        return _joined(head, self._drawn(rng, left), self._drawn(rng, right))

    def work(self, question: str, recall: Recall) -> Trace:
        """Works a formula out: a subformula is copied, its result recalled and put in its place.

        Raises:
            PacketError: `question` is not a formula of this grammar, or `recall` gave something
                that is not a state symbol.
        """
        steps, text = [], self._closed(question)
        while found := self._ready.search(text):
            stem = found[0].strip("()")
            step = self._step(stem, recall(self._id(stem)))
            steps.append(step)
            text = text[: found.start()] + step.result + text[found.end() :]
        return Trace(question, tuple(steps), text)

    def _closed(self, question: str) -> str:
        """The formula as it would stand within another one: bracketed, unless it is negated."""
        if len(question) <= _LONGEST and sum(map(question.count, _TRUTH)) <= DEEPEST:
            bracketed = f"({question})"
            for closed in (question, bracketed) if question.startswith(NOT) else (bracketed,):
                if self._settles(closed):
                    return closed
        raise PacketError(
            f"expected a formula of 1 to {DEEPEST} connectives of {' '.join(self.operations)} on"
            f" {' '.join(_SYMBOLS)}, in brackets but for the whole, found {question[:_SHOWN]!r}"
        )

    def _settles(self, text: str) -> bool:
        """Whether a value comes out; the form alone decides, so any results do for a trial."""
        found = 1
        while found:
            text, found = self._ready.subn(_SYMBOLS[0], text)
        return text in _SYMBOLS

    def _step(self, stem: str, result: str) -> Step:
        if result not in _SYMBOLS:
            raise PacketError(
                f"expected one of {' '.join(_SYMBOLS)} as the result of {stem!r},"
                f" found {result[:_SHOWN]!r}"
            )
        left, sign, right = self._facts[self._id(stem)]
        operands = (left, right) if left else (right,)
        return Step(sign, operands, result, f"{stem}=", self._id(stem))

    def parse(self, text: str) -> Trace:
        """Reads a trace: a formula, a line `a&b=c` or `!a=c` for each step, `#c`.

        Each ends with a line break. Whether the steps are those of the formula is not part
        of the form: `faults` tells.

        Raises:
            PacketError: `text` is not of that form.
        """
        longest = _LONGEST + 1 + self.completion_characters(DEEPEST)
        lines = lines_of(text, longest=longest, most=DEEPEST, question="a formula")
        self._closed(lines[0])
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
                f"expected a step such as {example!r} with connectives of"
                f" {' '.join(self.operations)} on {' '.join(_SYMBOLS)}, found the line {line!r}"
            )
        return self._step(found[1], found[2])

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Formulas that are worked out from `concept` on, each with its first line up to the `=`.

        Only the first step is used: in later ones an earlier result would have to be
        written, and the grammar does not know it. Sizes are mixed evenly, as far as there
        are enough different formulas; of one size, each formula is as likely as another.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        if concept not in {spec.id for spec in self.concepts}:
            raise PacketError(
                f"expected one of {len(self.concepts)} concepts, found {concept[:_SHOWN]!r}"
            )
        fact = concept.removeprefix(self._id(""))
        first = fact if fact.startswith(NOT) else f"({fact})"
        found: list[str] = []
        for size in self.levels:
            possible = self._counts[size, True]
            share = -(-(count - len(found)) // (DEEPEST + 1 - size))
            for index in rng.sample(range(possible), min(possible, share)):
                found.append(f"{_bare(self._numbered(index, size, first))}\n{fact}=")
        rng.shuffle(found)
        return tuple(found)

    def _numbered(self, index: int, size: int, first: str) -> str:
        """The formula of `size` connectives that has number `index` among all of them.

        It is worked out from `first` on; if that is empty, from any fact. Which subformula
        comes first is a matter of form: the first one in the left part if there is one,
        else the first one in the right part.
        """
        if not size or (size == 1 and first):
            return first if size else ""
        shapes, led = self._shapes(size), bool(first)
        ends = list(accumulate(self._number(shape, led) for shape in shapes))
        at = bisect_right(ends, index)
        sign, left, right = shapes[at]
        heads = self._heads[sign, not left, not right]
        index, head = divmod(index - (ends[at - 1] if at else 0), len(heads))
        lefts, rights = divmod(index, self._counts[right, led and not left])
        return _joined(
            heads[head],
            self._numbered(lefts, left, first),
            self._numbered(rights, right, "" if left else first),
        )

    def _shapes(self, size: int) -> list[_Shape]:
        """The ways to make a formula of `size` connectives of smaller ones."""
        return [
            (sign, left, size - 1 - left)
            for sign in self.operations
            for left in range(1 if sign == NOT else size)
        ]

    def _number(self, shape: _Shape, led: bool) -> int:
        """How many formulas have this shape; if `led`, of those with a given first fact."""
        sign, left, right = shape
        heads = len(self._heads[sign, not left, not right])
        return heads * self._counts[left, led] * self._counts[right, led and not left]

    def restrict(self, concepts: frozenset[str]) -> "Formulas":
        """This domain with questions that recall none but `concepts`, as far as can be told.

        Which fact a later step recalls depends on earlier results, which a grammar does
        not know. Therefore every fact that a question shows, the first one among them, is
        one of `concepts`; where one operand is shown, it occurs there in one of them; and
        so does every connective. If `concepts` are all facts of some connectives, then no
        question recalls another one. For any other set this is necessary, not sufficient:
        work the question, and keep the trace if its steps' concepts are all in the set. Ids
        of other domains, and those that this grammar is already without, are ignored.

        Raises:
            PacketError: none of `concepts` is one of this grammar.
        """
        return Formulas(known=frozenset(spec.id for spec in self.concepts) & concepts)

    def concepts_of(self, signs: Iterable[str]) -> frozenset[str]:
        """Ids of the concepts whose connective is one of `signs`."""
        wanted = frozenset(signs)
        return frozenset(s.id for s in self.concepts if self._facts[s.id][1] in wanted)

    def completion_characters(self, level: int) -> int:
        """Exactly this many if every step is as wide as the widest one, else fewer."""
        return (self._width + len("=t\n")) * level + len("#t\n")

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
        row = (_lefts(sign).index(left) * len(_SYMBOLS)) + _SYMBOLS.index(right)
        return _TRUTH[sign][1][row]


def _lefts(sign: str) -> tuple[str, ...]:
    """What may stand to the left of a connective."""
    return ("",) if sign == NOT else _SYMBOLS


def _heads(facts: Sequence[_Head], left: bool, right: bool) -> tuple[_Head, ...]:
    """The different `facts`, with their left and right operands only where wanted."""
    shown = ((a if left else "", sign, b if right else "") for a, sign, b in facts)
    return tuple(dict.fromkeys(shown))


def _joined(head: _Head, left: str, right: str) -> str:
    """A formula in brackets, or negated; of operand and subformula, one is empty each side."""
    text = head[0] + left + head[1] + head[2] + right
    return text if head[1] == NOT else f"({text})"


def _bare(formula: str) -> str:
    """A formula as a question: without the brackets around the whole."""
    return formula[1:-1] if formula.startswith("(") else formula
