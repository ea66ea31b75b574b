"""Modular arithmetic: chains of operations, worked left to right, one line a step.

    3+5*2       the question
    3+5=1       a step recalls one fact, such as `arith.mod7/3+5`
    1*2=2
    #2          the answer

Owns: `ModularArithmetic` and the text form above.
Does not own: which domains there are (domains), models that know the facts (zoo).
"""

import random
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, final

from m2kt.domain import ConceptSpec, Domain, Question, Recall, Step, Trace
from m2kt.errors import PacketError, RequestError

LONGEST_CHAIN: Final = 4
_WORDS: Final = MappingProxyType({"+": "plus", "-": "minus", "*": "times"})
_SHOWN: Final = 80


@final
class ModularArithmetic(Domain):
    """Chains of 1 to 4 operations modulo a number, without precedence.

    Every state symbol is one digit, so that any tokenizer has a token for it.

    Attributes:
        modulus: From 2 to 10.
        operations: Which of `+`, `-` and `*` occur, in that order.
    """

    def __init__(
        self, modulus: int, operations: str = "+-*", *, known: frozenset[str] | None = None
    ) -> None:
        """Builds the domain.

        Args:
            modulus: From 2 to 10.
            operations: A selection of `+`, `-` and `*`.
            known: Ids of the concepts that questions are restricted to; None for all.

        Raises:
            RequestError: modulus or operations are out of range.
            PacketError: `known` holds none of this domain's concepts.
        """
        if not 2 <= modulus <= 10:
            raise RequestError(f"expected a modulus from 2 to 10, found {modulus}")
        if not operations or set(operations) - set(_WORDS):
            raise RequestError(f"expected some of the operations + - *, found {operations!r}")
        self.name = f"arith.mod{modulus}"
        self.levels = tuple(range(1, LONGEST_CHAIN + 1))
        self.symbols = tuple(str(number) for number in range(modulus))
        self.modulus = modulus
        self.concepts = self._specs(operations, known)
        facts = [spec.prompt for spec in self.concepts]
        self.operations = "".join(sign for sign in _WORDS if any(f[1] == sign for f in facts))
        self._firsts = tuple(fact[:3] for fact in facts)
        self._links = tuple(sorted({fact[1:3] for fact in facts}))
        digit, sign = f"[0-{modulus - 1}]", f"[{re.escape(self.operations)}]"
        link = f"{sign}{digit}"
        self._chain = re.compile(f"{digit}(?:{link}){{1,{LONGEST_CHAIN}}}")
        self._line = re.compile(f"({digit})({sign})({digit})=({digit})")
        self._closing = re.compile(f"#({digit})")

    def _specs(self, operations: str, known: frozenset[str] | None) -> tuple[ConceptSpec, ...]:
        specs = []
        for sign in (sign for sign in _WORDS if sign in operations):
            for left in self.symbols:
                for right in self.symbols:
                    fact = f"{left}{sign}{right}"
                    if known is None or self._id(fact) in known:
                        gloss = f"{left} {_WORDS[sign]} {right} modulo {self.modulus}"
                        specs.append(ConceptSpec(self._id(fact), gloss, f"{fact}="))
        if not specs:
            raise PacketError(
                f"expected concepts of {self.name} with operations {operations!r}, found none of"
                f" them among {len(known or ())}; ids look like {self._id('3+5')!r}"
            )
        return tuple(specs)

    def _id(self, fact: str) -> str:
        return f"{self.name}/{fact}"

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
        links = self._links_of(question)
        steps, left = [], question[0]
        for link in links:
            step = self._step(left, link, recall(self._id(left + link)))
            steps.append(step)
            left = step.result
        return Trace(question, tuple(steps), left)

    def _links_of(self, question: str) -> list[str]:
        if len(question) > 1 + 2 * LONGEST_CHAIN or not self._chain.fullmatch(question):
            raise PacketError(
                f"expected a chain of 1 to {LONGEST_CHAIN} operations of {self.operations!r} on"
                f" digits below {self.modulus}, found {question[:_SHOWN]!r}"
            )
        return [question[at : at + 2] for at in range(1, len(question), 2)]

    def _step(self, left: str, link: str, result: str) -> Step:
        if result not in self.symbols:
            raise PacketError(
                f"expected one of {self.symbols} as the result of {left + link!r},"
                f" found {result[:_SHOWN]!r}"
            )
        sign, right = link[0], link[1]
        return Step(sign, (left, right), result, f"{left}{link}=", self._id(left + link))

    def parse(self, text: str) -> Trace:
        """Reads a trace: a chain, one to four lines `a+b=c`, `#c`, each ended by a line break.

        Whether lines continue one another is not part of the form: `faults` tells.

        Raises:
            PacketError: `text` is not of that form.
        """
        longest = 1 + 2 * LONGEST_CHAIN + 1 + self.completion_characters(LONGEST_CHAIN)
        lines = text.split("\n") if len(text) <= longest else []
        if not 4 <= len(lines) <= LONGEST_CHAIN + 3 or lines[-1]:
            raise PacketError(
                f"expected a chain, 1 to {LONGEST_CHAIN} lines of steps, '#' with the answer and a"
                f" final line break, found {len(text)} characters: {text[:_SHOWN]!r}"
            )
        self._links_of(lines[0])
        steps = tuple(self._read_step(line) for line in lines[1:-2])
        closing = self._closing.fullmatch(lines[-2])
        if closing is None:
            raise PacketError(f"expected '#' and a digit, found the line {lines[-2]!r}")
        return Trace(lines[0], steps, closing[1])

    def _read_step(self, line: str) -> Step:
        found = self._line.fullmatch(line)
        if found is None:
            raise PacketError(
                f"expected a step such as '3+1=4' with operations of {self.operations!r} on digits"
                f" below {self.modulus}, found the line {line!r}"
            )
        left, sign, right, result = found.groups()
        return self._step(left, sign + right, result)

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Chains that begin with `concept`, each with its first line up to the `=`.

        Only the first step is used: in later ones an earlier result would have to be
        written, and the grammar does not know it. Lengths are mixed evenly, as far as
        there are enough different chains.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        fact = self._fact_of(concept)
        if fact not in self._firsts:
            raise PacketError(f"expected one of {len(self.concepts)} concepts, found {concept!r}")
        found: list[str] = []
        for length in range(LONGEST_CHAIN):
            possible = len(self._links) ** length
            share = -(-(count - len(found)) // (LONGEST_CHAIN - length))
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

    def restrict(self, concepts: frozenset[str]) -> "ModularArithmetic":
        """This domain with questions that recall none but `concepts`, as far as can be told.

        Which fact a later step recalls depends on earlier results, which a grammar does
        not know. Therefore a question's first fact is always one of `concepts`; of a later
        step, operation and right operand occur together in one of them. If `concepts` are
        all facts of some operations (or of some right operands), then no question recalls
        another one. For any other set this is necessary, not sufficient: work the question,
        and keep the trace if its steps' concepts are all in the set. Ids of other domains,
        and those that this grammar is already without, are ignored.

        Raises:
            PacketError: none of `concepts` is one of this grammar.
        """
        mine = frozenset(spec.id for spec in self.concepts)
        return ModularArithmetic(self.modulus, self.operations, known=mine & concepts)

    def concepts_of(self, operations: Iterable[str]) -> frozenset[str]:
        """Ids of the concepts with one of `operations`."""
        wanted = frozenset(operations)
        return frozenset(spec.id for spec in self.concepts if spec.prompt[1] in wanted)

    def completion_characters(self, level: int) -> int:
        """Exactly this many: six for each step, three for the answer."""
        return 6 * level + 3

    def fact(self, concept: str) -> str:
        """The true result of `concept`; also of one that questions are not restricted to.

        Raises:
            PacketError: there is no such concept.
        """
        left, sign, right = tuple(self._fact_of(concept))
        a, b = int(left), int(right)
        results: Mapping[str, int] = {"+": a + b, "-": a - b, "*": a * b}
        return str(results[sign] % self.modulus)

    def _fact_of(self, concept: str) -> str:
        domain, _, fact = concept.partition("/")
        if domain != self.name or len(fact) != 3 or not self._chain.fullmatch(fact):
            raise PacketError(
                f"expected a concept such as {self._id('1' + self.operations[0] + '1')!r},"
                f" found {concept[:_SHOWN]!r}"
            )
        return fact
