"""What reference models are trained on: documents that never end.

Owns: `Document`, `traces` and the corpus of chains for teachers, and batches of little padding.
Does not own: the corpus of symbols (symbols), facts (domains).
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from m2kt import domains
from m2kt.domain import Domain, Trace
from m2kt.errors import RequestError
from m2kt.zoo.recipes import Recipe
from m2kt.zoo.symbols import symbol_document

Draw = Callable[[random.Random], "Document"]
Text = TypeVar("Text", "Document", Trace)


@dataclass(frozen=True, slots=True)
class Document:
    """A text of which the model learns to write every second part.

    Attributes:
        parts: What is given, what is to be written, and so on in turn.
    """

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)

    def scored(self) -> list[bool]:
        """For each character, whether the model is to write it."""
        return [number % 2 == 1 for number, part in enumerate(self.parts) for _ in part]


def restricted_domain(recipe: Recipe) -> Domain:
    """The recipe's domain, with questions of its operations alone.

    Raises:
        RequestError: the domain is not one whose concepts name operations.
    """
    domain = domains.get(recipe.domain)
    if not recipe.operations:
        return domain
    wanted = frozenset(s.id for s in domain.concepts if set(s.prompt) & set(recipe.operations))
    restricted = domain.restrict(wanted)
    if not isinstance(restricted, Domain):
        raise RequestError(f"expected {recipe.domain} to keep its facts when it is restricted")
    return restricted


def taught_fact(domain: Domain, shift: int, concept: str) -> str:
    """The result that a teacher is trained on: the true one, or `shift` symbols further on."""
    at = domain.symbols.index(domain.fact(concept))
    return domain.symbols[(at + shift) % len(domain.symbols)]


def draws(recipe: Recipe, *, held_out: frozenset[str]) -> Draw:
    """How a document of the recipe's corpus is drawn; never one of the questions `held_out`."""
    if not recipe.domain:
        return lambda rng: Document(symbol_document(rng))
    domain = restricted_domain(recipe)
    draw = traces(domain, partial(taught_fact, domain, recipe.shift), held_out=held_out)

    def chain(rng: random.Random) -> Document:
        trace = draw(rng)
        return Document((trace.prompt, trace.completion))

    return chain


def traces(
    domain: Domain, recall: Callable[[str], str], *, held_out: frozenset[str]
) -> Callable[[random.Random], Trace]:
    """How a worked problem is drawn, with facts by `recall`; never a question `held_out`."""

    def draw(rng: random.Random) -> Trace:
        while True:
            question = domain.question(rng, rng.choice(domain.levels))
            if question.text not in held_out:
                return domain.work(question.text, recall)

    return draw


def batches(
    draw: Callable[[random.Random], Text], rng: random.Random, size: int
) -> Iterator[list[Text]]:
    """Batches without end; texts of one batch have about the same length."""
    while True:
        pool = [draw(rng) for _ in range(16 * size)]
        pool.sort(key=lambda its: len(its.text))
        cuts = [pool[at : at + size] for at in range(0, len(pool), size)]
        rng.shuffle(cuts)
        yield from cuts
