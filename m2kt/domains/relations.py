"""Chains whose concepts are states and operations, not the facts that relate them.

The same texts as in `chains`; a fact such as `arith.mod97/a+b` is no concept. Concepts are
`arith.mod97/a`, which is read where a model has just read the name `a`, and `arith.mod97/+`. What a
teacher knows about facts has then to be in how its concepts lie to one another.

Owns: `Relations`. Does not own: the text form (chains).
"""

import random
from copy import copy
from dataclasses import replace
from typing import Final, final

from m2kt.domain import ConceptSpec, Domain, Parts, Question, Recall, Step, Trace
from m2kt.domains.chains import Chains
from m2kt.errors import PacketError, RequestError

DRAWN: Final = 20
"""Contexts that are drawn for each one that is wanted, at most."""


@final
class Relations(Domain):
    """A domain of chains, taught by its states and operations."""

    relational = True

    def __init__(self, chains: Chains) -> None:
        """Builds the domain.

        Args:
            chains: The facts and the text form.

        Raises:
            RequestError: an operation takes something that is not a state, or nothing.
        """
        strange = {chains.operands_of(spec.id)[2] for spec in chains.concepts} - {*chains.symbols}
        if strange:
            raise RequestError(
                f"expected operations of {chains.name} that take states, for its facts to relate"
                f" them, found the operand {min(strange)!r}; give every operation `operands` that"
                " are states, or leave `relational` out"
            )
        self.name, self.symbols = chains.name, chains.symbols
        self._elements = {symbol: f"{self.name}/{symbol}" for symbol in self.symbols}
        self._keep(chains)

    def _keep(self, chains: Chains) -> None:
        """Questions are to be those of `chains`."""
        self._chains, self.levels = chains, chains.levels
        self._facts = {spec.id: self._parts(spec) for spec in chains.concepts}
        elements = [ConceptSpec(id, f"the state {s}", s) for s, id in self._elements.items()]
        operators = [
            ConceptSpec(f"{self.name}/{sign}", f"the operation {sign}", sign)
            for sign in chains.operations
        ]
        self.concepts = (*elements, *operators)

    def _parts(self, spec: ConceptSpec) -> Parts:
        left, sign, right = self._chains.operands_of(spec.id)
        return Parts(self._elements[left], f"{self.name}/{sign}", self._elements[right])

    @property
    def facts(self) -> tuple[str, ...]:
        """Ids of the facts that questions may need."""
        return tuple(self._facts)

    def recalled(self, step: Step) -> str:
        """Id of the fact that `step` recalls."""
        return f"{self.name}/{step.operands[0]}{step.rule}{step.operands[1]}"

    def parts(self, fact: str) -> Parts:
        """What `fact` relates.

        Raises:
            PacketError: there is no such fact.
        """
        if fact not in self._facts:
            raise PacketError(f"expected one of {len(self._facts)} facts, found {fact[:80]!r}")
        return self._facts[fact]

    def element(self, symbol: str) -> str:
        """Id of the concept that `symbol` names.

        Raises:
            PacketError: there is no such symbol.
        """
        if symbol not in self._elements:
            raise PacketError(f"expected one of {len(self.symbols)} symbols, found {symbol[:80]!r}")
        return self._elements[symbol]

    def question(self, rng: random.Random, level: int) -> Question:
        """Draws a chain; see `Chains.question`."""
        return self._chains.question(rng, level)

    def work(self, question: str, recall: Recall) -> Trace:
        """Works a chain out, asking `recall` for facts; see `Chains.work`."""
        return self._related(self._chains.work(question, recall))

    def parse(self, text: str) -> Trace:
        """Reads a trace; see `Chains.parse`."""
        return self._related(self._chains.parse(text))

    def _related(self, trace: Trace) -> Trace:
        """The same trace: each step recalls the state that comes out."""
        steps = [replace(step, concept=self._elements[step.result]) for step in trace.steps]
        return replace(trace, steps=tuple(steps))

    def contexts(self, rng: random.Random, concept: str, count: int) -> tuple[str, ...]:
        """Beginnings of chains that end with the name of `concept`, short ones first.

        Raises:
            PacketError: the concept is not among `concepts`.
        """
        names = [spec.prompt for spec in self.concepts if spec.id == concept]
        if not names:
            raise PacketError(f"expected one of {len(self.concepts)} concepts, found {concept!r}")
        found: dict[str, None] = {}
        for links in (1, 2, 3):
            for _ in range(DRAWN * count):
                if len(found) < count:
                    found[self._before(names[0], rng, links) + names[0]] = None
        return tuple(found)

    def _before(self, name: str, rng: random.Random, links: int) -> str:
        """What may stand before `name`: chains of which it is the end of link `links`."""
        facts = [self._chains.operands_of(rng.choice(self.facts)) for _ in range(links)]
        text = "".join(sign + right for _, sign, right in facts)
        end = len(facts[-1][2]) if name in self.symbols else len(facts[-1][1] + facts[-1][2])
        return facts[0][0] + text[: len(text) - end]

    def restrict(self, concepts: frozenset[str]) -> "Relations":
        """This domain with questions that need none but these facts, or relate these concepts.

        As far as can be told: see `Chains.restrict`. States stay concepts, as results they may
        all come out.

        Raises:
            PacketError: no question is left.
        """
        operators = {parts.operator for parts in self._facts.values()} & concepts
        kept = {fact for fact, its in self._facts.items() if its.operator in operators}
        narrowed = copy(self)
        narrowed._keep(self._chains.restrict(frozenset(kept | concepts)))
        return narrowed

    def completion_characters(self, level: int) -> int:
        """See `Chains.completion_characters`."""
        return self._chains.completion_characters(level)

    def fact(self, concept: str) -> str:
        """The true result of the fact with this id.

        Raises:
            PacketError: there is no such fact.
        """
        return self._chains.fact(concept)
