"""Pairs of texts of one form that differ in little, up to where another result is due in each.

    3+5*2       3+4*2
    3+5=        3+4=        1 is due here, 0 there

One character of a question is exchanged for another, and both are worked out: the texts have the
same length, and every token of the one stands where its like stands in the other. (Symmetric
token replacement: Zhang and Nanda, 2024, arXiv 2309.16042.)

Owns: `Contrast`, `draw_contrasts`. Does not own: what is measured on them (causality).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, final

from m2kt.completion import BATCH, greedy
from m2kt.domain import Grammar, Recall, Trace
from m2kt.errors import CompatibilityError, PacketError
from m2kt.language_model import LanguageModel

TRIES: Final = 60
"""Exchanged characters, for each contrast that is wanted, until it is given up."""
ALPHABET: Final = 50
"""Questions whose characters are exchanged for one another."""


@final
@dataclass(frozen=True, slots=True)
class Contrast:
    """A text that ends where a result is due, and another where another is.

    Attributes:
        ids: Token ids of the text.
        result: Token with which its result begins.
        concept: Id of the concept that its last step recalls.
        other_ids: Token ids of the other text, as many.
        other_result: Another token.
        other_concept: Another concept.
    """

    ids: tuple[int, ...]
    result: int
    concept: str
    other_ids: tuple[int, ...]
    other_result: int
    other_concept: str

    @property
    def backward(self) -> "Contrast":
        """The other text, contrasted with this one."""
        return Contrast(
            self.other_ids,
            self.other_result,
            self.other_concept,
            self.ids,
            self.result,
            self.concept,
        )


def draw_contrasts(
    teacher: LanguageModel,
    grammar: Grammar,
    recall: Recall,
    *,
    count: int,
    rng: random.Random,
) -> tuple[tuple[Contrast, ...], int]:
    """Different contrasts of all levels, and how many texts the teacher was given for them.

    In each the teacher gives both results itself.

    Args:
        teacher: Whose tokens they are, and who must know what `recall` says.
        grammar: Poses questions and works them out.
        recall: The results of facts; KeyError for one that is not known.
        count: How many.
        rng: Of every draw.

    Raises:
        CompatibilityError: there are not so many.
    """
    found: dict[tuple[int, ...], Contrast] = {}
    asked, drawn = 0, _drawn(teacher, grammar, recall, rng, tries=TRIES * count)
    while batch := list(islice(drawn, BATCH)):
        its = [one for one in batch if one.ids not in found]
        asked += 2 * len(its)
        for one, known in zip(its, _known(teacher, its), strict=True):
            if known:
                found[one.ids] = one
        if len(found) >= count:
            return tuple(found.values())[:count], asked
    raise CompatibilityError(
        f"expected {count} contrasts of {grammar.name} that {teacher.name} knows, found"
        f" {len(found)}; ask for fewer"
    )


def _drawn(
    teacher: LanguageModel, grammar: Grammar, recall: Recall, rng: random.Random, *, tries: int
) -> Iterator[Contrast]:
    """Contrasts, whether or not the teacher knows their results."""
    posed = [grammar.question(rng, rng.choice(grammar.levels)).text for _ in range(ALPHABET)]
    letters = sorted(set("".join(posed)))
    for _ in range(tries):
        question = grammar.question(rng, rng.choice(grammar.levels)).text
        at, letter = rng.randrange(len(question)), rng.choice(letters)
        if question[at] == letter:
            continue
        try:
            its = grammar.work(question, recall)
            other = grammar.work(question[:at] + letter + question[at + 1 :], recall)
        except (KeyError, PacketError):
            continue  # a fact that nobody told, or no question of this grammar
        possible = list(_contrasts(teacher, its, other))
        if possible:
            yield rng.choice(possible)


def _contrasts(teacher: LanguageModel, its: Trace, other: Trace) -> Iterator[Contrast]:
    """Those at the steps of two traces, as far as all before is of one form."""
    row, other_row = teacher.encode_trace(its), teacher.encode_trace(other)
    steps = zip(its.steps, other.steps, row.due, other_row.due, strict=False)
    for step, other_step, due, other_due in steps:
        result, other_result = row.ids[due + 1], other_row.ids[other_due + 1]
        if due != other_due or row.ids[due] != other_row.ids[due]:
            return
        if result != other_result and step.concept != other_step.concept:
            yield Contrast(
                row.ids[: due + 1],
                result,
                step.concept,
                other_row.ids[: due + 1],
                other_result,
                other_step.concept,
            )


def _known(teacher: LanguageModel, its: list[Contrast]) -> list[bool]:
    """Whether the teacher itself gives both results of each contrast."""
    if not its:
        return []
    texts = [one.ids for one in its] + [one.other_ids for one in its]
    said = [first for first, *_ in greedy(teacher.model, texts, max_new_tokens=1, pad=0)]
    pairs = zip(its, said[: len(its)], said[len(its) :], strict=True)
    return [(first, other) == (one.result, one.other_result) for one, first, other in pairs]
