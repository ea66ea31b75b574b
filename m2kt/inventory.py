"""Which concepts a packet holds, and the teacher's states for each.

    named   those that the domain names: states where each one's result is due
    found   those that the teacher finds itself, from unlabelled prompts (extractors): a concept
            is made of facts that it takes for alike

Owns: `Inventory`, `named`, `found`, `Search`.
Does not own: what else is in a packet (extract), what found concepts are called (vocabulary).
"""

import random
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt.domain import ConceptSpec, Grammar
from m2kt.errors import CompatibilityError
from m2kt.extractors import Found, find
from m2kt.identity import AgentId
from m2kt.language_model import LanguageModel
from m2kt.survey import Site, survey
from m2kt.tensors import ConceptMeans, Exemplars, mean_by
from m2kt.vocabulary import found_spec

NAMED: Final = "named"


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inventory:
    """Concepts and what the teacher's states are for them.

    Attributes:
        concepts: As a packet holds them.
        exemplars: Float [K, M, D].
        site: Where states were read.
        facts: Ids of the facts that the teacher can show.
        fact_means: Its mean state for each, Float [F, D].
        texts: How many texts were read or asked for.
    """

    concepts: tuple[ConceptSpec, ...]
    exemplars: Exemplars
    site: Site
    facts: tuple[str, ...]
    fact_means: Float[Tensor, "F D"]
    texts: int

    @property
    def means(self) -> ConceptMeans:
        """c_k, Float [K, D]."""
        return self.exemplars.mean(dim=1)


def named(
    teacher: LanguageModel, grammar: Grammar, *, count: int, layer: int, rng: random.Random
) -> Inventory:
    """States where each concept's result is due, in `count` contexts or in as many as all have.

    Raises:
        CompatibilityError: a concept has no context.
    """
    texts = [grammar.contexts(rng, spec.id, count) for spec in grammar.concepts]
    count = min(len(its) for its in texts)
    if count == 0:
        raise CompatibilityError(f"expected a context for every concept of {grammar.name}")
    flat = [text for its in texts for text in its[:count]]
    exemplars = teacher.last_states(flat, layer=layer).reshape(len(texts), count, -1)
    return Inventory(
        concepts=grammar.concepts,
        exemplars=exemplars,
        site=Site(layer),
        facts=grammar.facts,
        fact_means=exemplars.mean(dim=1),
        texts=len(flat),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How concepts are looked for.

    Attributes:
        extractor: One of `extractors.EXTRACTORS`.
        groups: How many; 0 to measure it.
        prompts: Unlabelled questions that the teacher is given.
        count: Exemplars of each, at most.
        seed: Of every draw.
    """

    extractor: str
    groups: int = 0
    prompts: int = 600
    count: int = 16
    seed: int = 0


def found(teacher: LanguageModel, grammar: Grammar, search: Search, *, agent: AgentId) -> Inventory:
    """Concepts that `teacher` finds itself: it is asked, and its own texts are read.

    Raises:
        CompatibilityError: facts of the domain are no concepts of their own, or nothing that the
            teacher writes can be read.
    """
    if grammar.relational:
        raise CompatibilityError(
            f"expected a domain whose facts are concepts, found {grammar.name}, where they relate"
            " concepts; send those that it names"
        )
    rng = random.Random(search.seed)
    its = survey(teacher, grammar, prompts=search.prompts, rng=rng)
    what = find(its, search.extractor, groups=search.groups, seed=search.seed)
    facts = tuple(sorted(set(its.facts)))
    rows = {fact: row for row, fact in enumerate(facts)}
    numbers = torch.tensor([rows[fact] for fact in its.facts])
    published = {spec.id: spec for spec in grammar.concepts}
    concepts = tuple(
        found_spec(grammar.name, agent, number, [published[fact] for fact in members])
        for number, members in enumerate(what.members)
    )
    return Inventory(
        concepts=concepts,
        exemplars=_exemplars(what, search.count, rng),
        site=what.site,
        facts=facts,
        fact_means=mean_by(numbers, what.states, len(facts)),
        texts=its.asked + len(its.rows),
    )


def _exemplars(what: Found, most: int, rng: random.Random) -> Exemplars:
    """States of each concept, drawn among its places: as many as the smallest one has."""
    places = [(what.groups == row).nonzero()[:, 0].tolist() for row in range(len(what.members))]
    count = min(most, *map(len, places))
    chosen = [rng.sample(its, count) for its in places]
    return torch.stack([what.states[its] for its in chosen])
