import random
from dataclasses import replace

import torch

from m2kt.addressing import concept_keys, discriminant, recognised, set_addresses
from m2kt.blend import Share
from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import DrillPlan, Drills, drill
from m2kt.tensors import mean_by
from tests.lessons import SMALL_CAL, model, multiplication


def drills(seed: int) -> Drills:
    domain, plan = multiplication(), DrillPlan(layer=2, look=2, contexts=4)
    return drill(model("mod7-addsub"), domain, domain.concepts, plan, random.Random(seed))


def untaught(found: Drills, count: int) -> ConceptAlignmentLayer:
    share = Share(torch.randn(count, 4), torch.arange(count), torch.ones(count))
    return ConceptAlignmentLayer(SMALL_CAL, concept_keys(found, count), [share], seed=0)


def found_at_new_places(cal: ConceptAlignmentLayer) -> float:
    other = drills(seed=1)
    best = cal.find.cosines(other.looked).argmax(dim=-1)
    return float((best == other.concepts).float().mean())


def test_concepts_are_found_at_places_of_other_texts():
    count, found = len(multiplication().concepts), drills(seed=0)
    cal = untaught(found, count)
    before = found_at_new_places(cal)
    set_addresses(cal, found)
    assert found_at_new_places(cal) > max(2 * before, 10 / count)


def test_nothing_is_found_where_nothing_is_due():
    found = drills(seed=0)
    cal = untaught(found, len(multiplication().concepts))
    set_addresses(cal, found)
    elsewhere = cal.find.scores(cal.find.cosines(drills(seed=1).elsewhere)).argmax(dim=-1)
    assert float((elsewhere == len(cal.find.keys)).float().mean()) > 0.95


def test_the_discriminant_ignores_what_varies_within_concepts():
    generator = torch.Generator().manual_seed(0)
    concepts = torch.arange(3).repeat(40)
    states = torch.randn(120, 5, generator=generator) * torch.tensor([9.0, 0.1, 0.1, 0.1, 0.1])
    states[:, 1:3] += torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])[concepts]
    keys = mean_by(concepts, states, 3)
    first, second, third = discriminant(states, concepts, keys, rank=3)
    for direction in (first, second):
        assert float(direction[:1].norm()) < 0.1 * float(direction[1:3].norm())
    assert float(third.norm()) < 0.1 * float(second.norm())


def test_concepts_are_recognised_in_states_that_tell_and_in_no_others():
    found = drills(seed=0)
    count, generator = len(multiplication().concepts), torch.Generator().manual_seed(0)
    marks = 5 * torch.randn(count, found.looked.shape[1], generator=generator)
    noise = torch.randn(found.looked.shape, generator=generator)
    assert recognised(replace(found, looked=noise), count, rank=32) < 0.2
    assert recognised(replace(found, looked=noise + marks[found.concepts]), count, rank=32) > 0.95


def test_places_may_be_looked_up_in_the_states_that_are_worked_on():
    found = drills(seed=0).looked_up_there()
    assert torch.equal(found.looked, found.seen.states[found.rows, found.columns])
    assert len(found.elsewhere) == len(found.others)
