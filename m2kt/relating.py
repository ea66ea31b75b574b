"""How the relation is learnt: from the facts that traces show, by the geometry of C alone.

No part of the student runs here: codes of concepts go in, elements come out.

Owns: `relate`, `require_all`, `fit`, `RelationPlan`. Does not own: the map itself (relation).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Int
from torch import Tensor

from m2kt.domain import Grammar
from m2kt.errors import AlignmentError
from m2kt.lessonplan import Workbook
from m2kt.relation import Relation

AT_ONCE: Final = 4096
"""Facts whose outcome is worked out in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationPlan:
    """How a relation is learnt.

    Attributes:
        steps: Of AdamW.
        batch: Facts in a step, at most.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW: the simpler the relation, the more it follows the geometry.
    """

    steps: int = 1500
    batch: int = 1024
    learning_rate: float = 3e-3
    weight_decay: float = 2.0


Watch = Callable[[int, float], None]
"""Told of a step and its loss."""


def require_all(grammar: Grammar, index: Mapping[str, int]) -> None:
    """Refuses a lesson in which a concept that facts may need is missing.

    Raises:
        AlignmentError: one is.
    """
    missing = [spec.id for spec in grammar.concepts if spec.id not in index]
    elements = {grammar.element(symbol) for symbol in grammar.symbols}
    if elements & set(missing) or elements >= index.keys():
        raise AlignmentError(
            f"expected every element of {grammar.name} and an operator, found {len(index)} concepts"
            f" without {missing[0]!r}; ask the teacher for all of them"
        )


def relate(
    book: Workbook, relation: Relation, shown: Mapping[str, str], plan: RelationPlan, watch: Watch
) -> tuple[dict[str, str], dict[str, float]]:
    """Learns the relation from the facts `shown`, then works every fact out.

    Args:
        book: Whose grammar says what a fact relates, and whose index numbers concepts.
        relation: Of the memory.
        shown: Symbols by fact.
        plan: How it is learnt.
        watch: Told of every step.

    Returns:
        The symbol of every fact, as shown or as worked out; and measurements by name.

    Raises:
        AlignmentError: no fact is shown.
    """
    grammar, numbers = book.grammar, _numbers(book)
    names, device = list(numbers), relation.elements.device
    facts = torch.tensor(list(numbers.values()), device=device)
    known = [row for row, name in enumerate(names) if name in shown]
    if not known:
        raise AlignmentError(
            "expected traces that show facts, found none; ask the teacher for some"
        )
    results = [book.index[grammar.element(shown[names[row]])] for row in known]
    wanted = torch.searchsorted(relation.elements, torch.tensor(results, device=device))
    fit(relation, facts[known], wanted, plan, watch)
    symbols = {book.index[grammar.element(its)]: its for its in grammar.symbols}
    found = [symbols[k] for k in _outcomes(relation, facts).tolist()]
    figures = {
        "relation_agreement": fmean(found[row] == shown[names[row]] for row in known),
        "facts_shown": float(len(known)),
        "facts_read": float(len(names)),
    }
    return dict(zip(names, found, strict=True)) | dict(shown), figures


def _numbers(book: Workbook) -> dict[str, list[int]]:
    """Of every fact whose concepts are taught, the numbers of what it relates."""
    found = {}
    for fact in book.grammar.facts:
        its = book.grammar.parts(fact)
        names = (its.left, its.operator, its.right)
        if book.index.keys() >= set(names):
            found[fact] = [book.index[name] for name in names]
    return found


def fit(
    relation: Relation,
    facts: Int[Tensor, "N 3"],
    wanted: Int[Tensor, "N"],
    plan: RelationPlan,
    watch: Watch,
) -> None:
    """Minimises the cross-entropy of what comes out, over codes of concepts and the map."""
    trained = relation.map_parameters()
    optimizer = torch.optim.AdamW(trained, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    generator = torch.Generator().manual_seed(len(facts))
    for step in range(plan.steps):
        drawn = torch.randperm(len(facts), generator=generator)[: plan.batch].to(facts.device)
        loss = F.cross_entropy(relation.outcomes(facts[drawn]), wanted[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch(step, float(loss.detach()))


@torch.no_grad()
def _outcomes(relation: Relation, facts: Int[Tensor, "N 3"]) -> Int[Tensor, "N"]:
    """The concept that comes out of each fact."""
    parts = [relation.outcomes(some).argmax(dim=-1) for some in facts.split(AT_ONCE)]
    return relation.elements[torch.cat(parts)]
