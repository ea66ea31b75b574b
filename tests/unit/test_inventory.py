import random
from dataclasses import replace

import pytest
import torch

from m2kt import domains
from m2kt.errors import CompatibilityError
from m2kt.inventory import Inventory, Search, found, named
from tests.lessons import TEACHER, model, multiplication

SEARCH = Search(extractor="clustering", prompts=120)


def search(**changed) -> Inventory:
    its = replace(SEARCH, **changed)
    return found(model("mod7-mul"), multiplication(), its, agent=TEACHER)


def test_named_concepts_are_those_of_the_domain():
    its = named(model("mod7-mul"), multiplication(), count=5, layer=5, rng=random.Random(0))
    assert its.concepts == multiplication().concepts
    assert its.exemplars.shape == (49, 5, 96)
    assert torch.equal(its.fact_means, its.means)


def test_found_concepts_are_few_and_hold_every_fact_that_was_seen_once():
    its = search()
    held = [fact for spec in its.concepts for fact in spec.members]
    assert sorted(held) == list(its.facts)
    assert len(its.concepts) < len(its.facts) / 3
    assert len(its.exemplars) == len(its.concepts)
    assert its.exemplars.shape[1] <= 16


def test_exemplars_are_states_of_their_concept():
    its = search()
    unit = torch.nn.functional.normalize(its.means - its.means.mean(0), dim=-1)
    for row, exemplars in enumerate(its.exemplars):
        nearest = (exemplars - its.means.mean(0)) @ unit.T
        assert (nearest.argmax(-1) == row).float().mean() > 0.8


def test_the_domain_is_asked_what_it_teaches_and_how_what_was_found_is_called(monkeypatch):
    grammar, asked = multiplication(), []

    class Watched(type(grammar)):
        @property
        def concepts(self):
            asked.append("concepts")
            return grammar.concepts

    watched = object.__new__(Watched)
    watched.__dict__.update({k: v for k, v in grammar.__dict__.items() if k != "concepts"})
    monkeypatch.setattr("m2kt.inventory.found_spec", _note(asked))
    found(model("mod7-mul"), watched, SEARCH, agent=TEACHER)
    assert asked.index("concepts") < asked.index("named")
    assert asked.count("concepts") == 2, (
        "to leave out what is not taught, and to name what is found"
    )


def _note(asked):
    from m2kt.vocabulary import found_spec

    def noted(*args):
        asked.append("named")
        return found_spec(*args)

    return noted


def test_in_a_domain_whose_facts_relate_concepts_none_can_be_found():
    with pytest.raises(CompatibilityError, match="relate"):
        found(model("mod97"), domains.get("arith.mod97"), SEARCH, agent=TEACHER)
