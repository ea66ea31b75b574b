import random
from dataclasses import replace

import pytest
import torch

from m2kt.activations import logits_of, resume
from m2kt.drills import DrillPlan, Drills, drill
from tests.lessons import model, multiplication

PLAN = DrillPlan(layer=2, look=1, contexts=3)
CONCEPTS = multiplication().concepts
SYMBOLS = torch.tensor([4, 5, 6])


def drills(name: str = "mod7-addsub") -> Drills:
    return drill(model(name), multiplication(), CONCEPTS, PLAN, random.Random(0))


def test_every_concept_is_due_somewhere_and_most_are_as_often_as_asked():
    counts = torch.bincount(drills().concepts, minlength=len(CONCEPTS))
    assert int(counts.min()) >= 1
    assert float((counts >= PLAN.contexts).float().mean()) > 0.9


def test_a_place_is_where_the_text_of_its_concept_ends():
    found = drills()
    text = found.model.tokenizer.decode
    for place in range(0, len(found.concepts), 17):
        row, column = found.rows[place], found.columns[place]
        written = text(found.seen.ids[row, : column + 1].tolist())
        assert written.endswith(CONCEPTS[found.concepts[place]].prompt)


@pytest.mark.parametrize("name", ["mod7-addsub", "mod7-mul", "symbols-student"])
def test_working_on_a_place_is_working_on_the_whole_text(name):
    found = drills(name)
    chosen = torch.arange(0, len(found.concepts), 11)
    generator = torch.Generator().manual_seed(0)
    moves = torch.randn(len(chosen), found.model.width, generator=generator)
    quick = found.symbol_logits(chosen, moves, SYMBOLS)
    for place, move, logits in zip(chosen, moves, quick, strict=True):
        row, column = found.rows[place : place + 1], found.columns[place : place + 1]
        states = found.seen.states[row].clone()
        states[0, column] += move.to(states.dtype)
        with torch.no_grad():
            whole = resume(found.model.model, found.seen.ids[row], states, layer=PLAN.layer)
            expected = logits_of(found.model.model, whole[0, column])[0, SYMBOLS]
        assert torch.allclose(logits, expected.float(), atol=2e-3, rtol=1e-3)


def test_what_is_injected_gets_a_gradient():
    found = drills()
    moves = torch.zeros(4, found.model.width, requires_grad=True)
    found.symbol_logits(torch.arange(4), moves, SYMBOLS)[:, 0].sum().backward()
    assert bool((moves.grad.norm(dim=-1) > 0).all())


def test_a_concept_that_no_problem_leads_to_gets_its_prompt():
    stranger = replace(CONCEPTS[0], id="arith.mod7/3+4", prompt="3+4=")
    found = drill(
        model("mod7-addsub"), multiplication(), [*CONCEPTS, stranger], PLAN, random.Random(0)
    )
    places = (found.concepts == len(CONCEPTS)).nonzero()[:, 0]
    assert len(places) == 1
    row, column = found.rows[places[0]], found.columns[places[0]]
    assert found.model.tokenizer.decode(found.seen.ids[row, : column + 1].tolist()) == "3+4="
