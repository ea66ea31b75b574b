import random

import pytest
import torch

from m2kt import domains
from m2kt.bench.experiments.native_probe import (
    PENALTIES,
    SLACK,
    accuracy_of,
    injected,
    native_probe,
    native_states,
    penalised,
)
from m2kt.drills import DrillPlan, drill
from m2kt.linear_probe import Labelled
from tests.lessons import model

DOMAIN = domains.get("group.s3")
MEMORY = 4


@pytest.fixture(scope="module")
def student():
    return model("symbols-student")


@pytest.fixture(scope="module")
def native(student):
    return native_states(student, DOMAIN, [0, MEMORY, 6], texts=24, rng=random.Random(0))


def test_states_are_those_at_which_the_student_says_a_symbol(native):
    counts = native.labels.bincount(minlength=len(DOMAIN.symbols))
    assert counts.min() > 0
    assert {len(its) for its in native.states.values()} == {len(native.labels)}
    assert native.texts.unique().tolist() == sorted(native.texts.unique().tolist())
    assert int(native.texts.max()) < 24


def test_symbols_are_read_late_and_not_from_embeddings(native):
    found = {
        layer: penalised(Labelled(states, native.labels, native.texts))[1]
        for layer, states in native.states.items()
    }
    assert found[6] > 0.8
    assert found[0] < 0.5


def test_the_probe_that_counts_is_that_of_the_last_state(student):
    its = native_probe(student, DOMAIN, lowest=MEMORY, texts=24, rng=random.Random(1))
    assert set(its.probes) == set(its.accuracy) == {MEMORY, 5, 6}
    assert its.chosen == max(its.probes)
    assert its.places > 24


def test_the_penalty_is_the_strongest_that_costs_little(native):
    its = Labelled(native.states[6], native.labels, native.texts)
    penalty, accuracy = penalised(its)
    found = {one: accuracy_of(its, one) for one in PENALTIES}
    assert accuracy == found[penalty] >= max(found.values()) - SLACK
    assert all(found[one] < max(found.values()) - SLACK for one in PENALTIES if one > penalty)


def test_what_is_added_is_added_where_its_concept_is_due(student):
    plan = DrillPlan(layer=MEMORY, look=2, contexts=1)
    drills = drill(student, DOMAIN, DOMAIN.concepts, plan, random.Random(0))
    nothing = torch.zeros(len(DOMAIN.concepts), student.width)
    added = nothing.clone()
    added[3] = 5.0
    before = injected(drills, nothing, [MEMORY, 6])
    after = injected(drills, added, [MEMORY, 6])
    due = drills.concepts == 3
    assert torch.allclose(before[MEMORY], drills.states.float(), atol=1e-5)
    assert torch.allclose(after[MEMORY][due], before[MEMORY][due] + 5.0, atol=1e-4)
    assert torch.allclose(after[6][~due], before[6][~due], atol=1e-4)
    assert not torch.allclose(after[6][due], before[6][due], atol=1e-2)
