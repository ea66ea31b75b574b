"""Chains of operations on a finite set of states, worked left to right, one line a step.

    3+5*2       the question: a state, then links of a sign and an operand
    3+5=1       a step recalls one fact, such as `arith.mod7/3+5`
    1*2=2
    #2          the answer

Owns: `Chains`, `Operation`, and the text form above.
Does not own: which operations there are (tables), how a file describes them (definition).
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

from m2kt.domain import ConceptSpec, Domain, Question, Recall, Step, Trace, lines_of
from m2kt.errors import PacketError, RequestError

LONGEST_CHAIN: Final = 4
MOST_OPERATIONS: Final = 64
"""Of the longest chain of any domain: a trace that travels has no more steps."""
_SHOWN: Final = 80
_NAME: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_RESERVED: Final = re.compile(r"[=#/\s]")


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, given by its table.

    Attributes:
        sign: How it is written.
        gloss: A fact in words, with `{left}` and `{right}` for state and operand.
        operands: What may stand to its right; one empty text if it takes nothing.
        results: For each state and operand, the state that comes out.
    """

    sign: str
    gloss: str
    operands: tuple[str, ...]
    results: Mapping[tuple[str, str], str]


@final
class Chains(Domain):
    """Chains of 1 to `longest` operations, without precedence.

    Attributes:
        operations: Signs of the operations that occur, in their order.
        longest: Operations of the longest chain.
    """

    def __init__(
        self,
        name: str,
        symbols: Sequence[str],
        operations: Sequence[Operation],
        *,
        longest: int = LONGEST_CHAIN,
    ) -> None:
        """Builds the domain.

        Args:
            name: Such as `arith.mod7`.
            symbols: The states; the text form needs no separators, so none begins another.
            operations: At least one.
            longest: At least 1.

        Raises:
            RequestError: a chain could be read in two ways, or a table has gaps.
        """
        _check(name, symbols, operations, longest)
        self.name, self.symbols, self.longest = name, tuple(symbols), longest
        self.levels = tuple(range(1, longest + 1))
        self._all = tuple(operations)
        self._facts = {
            self._id(left + its.sign + right): (its, left, right)
            for its in operations
            for left in symbols
            for right in its.operands
        }
        self._keep(tuple(self._facts))

    def _keep(self, kept: Sequence[str]) -> None:
        """Questions are to be made of the facts `kept`; the patterns of the text form."""
        self.concepts = tuple(self._spec(id) for id in kept)
        facts = [self._facts[id] for id in kept]
        self.operations = tuple(dict.fromkeys(its.sign for its, _, _ in facts))
        self._firsts = tuple(left + its.sign + right for its, left, right in facts)
        self._links = tuple(sorted({its.sign + right for its, _, right in facts}))
        links = [o.sign + r for o in self._all if o.sign in self.operations for r in o.operands]
        symbol, link = _either(self.symbols), _either(links)
        self._chain = re.compile(f"({symbol})((?:{link}){{1,{self.longest}}})")
        self._link = re.compile(link)
        self._line = re.compile(f"({symbol})({link})=({symbol})")
        self._closing = re.compile(f"#({symbol})")
        self._state_width = max(map(len, self.symbols))
        self._link_width = max(map(len, links))

    def _id(self, fact: str) -> str:
        return f"{self.name}/{fact}"

    def _spec(self, concept: str) -> ConceptSpec:
        operation, left, right = self._facts[concept]
        gloss = operation.gloss.replace("{left}", left).replace("{right}", right)
        return ConceptSpec(concept, gloss, f"{left}{operation.sign}{right}=")

    def question(self, rng: random.Random, level: int) -> Question:
        """Draws a chain of `level` operations; see `restrict` for what may occur in it.

        Raises:
            RequestError: there is no such level.
        """
        if level not in self.levels:
            raise RequestError(f"expected a level of {self.levels}, found {level}")
        links = (rng.choice(self._links) for _ in range(level - 1))
        return Question(rng.choice(self._firsts) + "".join(links), level)

    def work(self, question: str, recall: Recall) -> Trace:
        """Works a chain out from the left; each operand is copied, each result recalled.

        Raises:
            PacketError: `question` is not a chain of this grammar, or `recall` gave something
                that is not a state symbol.
        """
        left, links = self._parts_of(question)
        steps = []
        for link in links:
            step = self._step(left, link, recall(self._id(left + link)))
            steps.append(step)
            left = step.result
        return Trace(question, tuple(steps), left)

    def _parts_of(self, question: str) -> tuple[str, list[str]]:
        """The first state and the links of a chain."""
        longest = self._state_width + self.longest * self._link_width
        found = self._chain.fullmatch(question) if len(question) <= longest else None
        if found is None:
            raise PacketError(
                f"expected a chain of 1 to {self.longest} operations of {_list(self.operations)} on"
                f" {_list(self.symbols)}, found {question[:_SHOWN]!r}"
            )
        return found[1], self._link.findall(found[2])

    def _step(self, left: str, link: str, result: str) -> Step:
        if result not in self.symbols:
            raise PacketError(
                f"expected one of {_list(self.symbols)} as the result of {left + link!r},"
                f" found {result[:_SHOWN]!r}"
            )
        concept = self._id(left + link)
        operation, _, right = self._facts[concept]
        return Step(operation.sign, (left, right), result, f"{left}{link}=", concept)

    def parse(self, text: str) -> Trace:
        """Reads a trace: a chain, a line `a+b=c` for each step, `#c`, each ended by a line break.

        Whether lines continue one another is not part of the form: `faults` tells.

        Raises:
            PacketError: `text` is not of that form.
        """
        question = self._state_width + self.longest * self._link_width + 1
        longest = question + self.completion_characters(self.longest)
        lines = lines_of(text, longest=longest, most=self.longest, question="a chain")
        self._parts_of(lines[0])
        steps = tuple(self._read_step(line) for line in lines[1:-1])
        closing = self._closing.fullmatch(lines[-1])
        if closing is None:
            raise PacketError(f"expected '#' and a state, found the line {lines[-1]!r}")
        return Trace(lines[0], steps, closing[1])

    def _read_step(self, line: str) -> Step:
        found = self._line.fullmatch(line)
        if found is None:
            example = f"{self.concepts[0].prompt}{self.symbols[0]}"
            raise PacketError(
                f"expected a step such as {example!r} with operations of {_list(self.operations)}"
                f" on {_list(self.symbols)}, found the line {line!r}"
            )
        return self._step(*found.groups())

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Chains that begin with `concept`, each with its first line up to the `=`.

        Only the first step is used: in later ones an earlier result would have to be
        written, and the grammar does not know it. Lengths are mixed evenly, as far as
        there are enough different chains.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        fact = concept.removeprefix(self._id(""))
        if concept not in self._facts or fact not in self._firsts:
            raise PacketError(f"expected one of {len(self.concepts)} concepts, found {concept!r}")
        found: list[str] = []
        for length in range(self.longest):
            possible = len(self._links) ** length
            share = -(-(count - len(found)) // (self.longest - length))
            for index in rng.sample(range(possible), min(possible, share)):
                found.append(f"{fact}{self._tail(index, length)}\n{fact}=")
        rng.shuffle(found)
        return tuple(found)

    def _tail(self, index: int, length: int) -> str:
        """The chain of `length` links that has number `index` among all of them."""
        links = []
        for _ in range(length):
            index, digit = divmod(index, len(self._links))
            links.append(self._links[digit])
        return "".join(links)

    def restrict(self, concepts: frozenset[str]) -> "Chains":
        """This domain with questions that recall none but `concepts`, as far as can be told.

        Which fact a later step recalls depends on earlier results, which a grammar does
        not know. Therefore a question's first fact is always one of `concepts`; of a later
        step, sign and operand occur together in one of them. If `concepts` are all facts of
        some operations (or of some operands), then no question recalls another one. For any
        other set this is necessary, not sufficient: work the question, and keep the trace
        if its steps' concepts are all in the set. Ids of other domains, and those that this
        grammar is already without, are ignored.

        Raises:
            PacketError: none of `concepts` is one of this grammar.
        """
        kept = [spec.id for spec in self.concepts if spec.id in concepts]
        if not kept:
            raise PacketError(
                f"expected concepts of {self.name}, found none of them among {len(concepts)};"
                f" ids look like {self.concepts[0].id!r}"
            )
        narrowed = copy(self)
        narrowed._keep(kept)
        return narrowed

    def operands_of(self, concept: str) -> tuple[str, str, str]:
        """State, sign and operand of a fact.

        Raises:
            PacketError: there is no such fact.
        """
        if concept not in self._facts:
            raise PacketError(
                f"expected a concept such as {self.concepts[0].id!r}, found {concept[:_SHOWN]!r}"
            )
        operation, left, right = self._facts[concept]
        return left, operation.sign, right

    def concepts_of(self, signs: Iterable[str]) -> frozenset[str]:
        """Ids of the concepts whose operation is one of `signs`."""
        wanted = frozenset(signs)
        return frozenset(s.id for s in self.concepts if self._facts[s.id][0].sign in wanted)

    def completion_characters(self, level: int) -> int:
        """Of states and links of one length, exactly this many; else at most."""
        line = 2 * self._state_width + self._link_width + len("=\n")
        return line * level + self._state_width + len("#\n")

    def fact(self, concept: str) -> str:
        """The true result of `concept`; also of one that questions are not restricted to.

        Raises:
            PacketError: there is no such concept.
        """
        left, _, right = self.operands_of(concept)
        return self._facts[concept][0].results[left, right]


def _either(texts: Iterable[str]) -> str:
    """A pattern of one of `texts`."""
    return "(?:" + "|".join(map(re.escape, dict.fromkeys(texts))) + ")"


def _list(texts: Sequence[str]) -> str:
    """The first of `texts`, and how many more there are."""
    shown = " ".join(texts[:10])
    return shown if len(texts) <= 10 else f"{shown} and {len(texts) - 10} more"


def _check(
    name: str, symbols: Sequence[str], operations: Sequence[Operation], longest: int
) -> None:
    """Refuses a domain whose texts could not be read back."""
    if not _NAME.fullmatch(name):
        raise RequestError(f"expected a name such as 'arith.mod7', found {name[:_SHOWN]!r}")
    if not operations or not 1 <= longest <= MOST_OPERATIONS:
        raise RequestError(
            f"expected operations and a longest chain of 1 to {MOST_OPERATIONS} in {name}, found"
            f" {len(operations)} and {longest}; correct the domain"
        )
    _check_code(f"symbols of {name}", symbols)
    _check_code(f"signs of {name}", [its.sign for its in operations])
    _check_code(f"links of {name}", [o.sign + right for o in operations for right in o.operands])
    for its in operations:
        wanted = {(left, right) for left in symbols for right in its.operands}
        if set(its.results) != wanted or not set(its.results.values()) <= set(symbols):
            raise RequestError(
                f"expected the table of {its.sign!r} in {name} to give one of the symbols for each"
                f" of {len(wanted)} pairs of state and operand, found {len(its.results)} entries;"
                " complete it"
            )


def _check_code(which: str, texts: Sequence[str]) -> None:
    """Refuses texts that cannot be told apart when they are written without separators."""
    bad = [text for text in texts if not text or _RESERVED.search(text)]
    if not texts or bad:
        raise RequestError(
            f"expected {which} without spaces, '=', '#' and '/', found {bad[:3] or 'none at all'}"
        )
    clash = next(((a, b) for a, b in pairwise(sorted(texts)) if b.startswith(a)), None)
    if clash:
        raise RequestError(
            f"expected {which} of which none begins another, found {clash[0]!r} and {clash[1]!r};"
            " write them with other characters"
        )
