import random
from functools import cache

import pytest
import torch

from m2kt.addressing import concept_keys
from m2kt.blend import Share
from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import DrillPlan, drill
from m2kt.errors import AlignmentError
from m2kt.lessonplan import Workbook
from m2kt.readout import ReadOut
from tests.lessons import SMALL_CAL, lesson, model, multiplication

CONCEPTS = [concept.spec for concept in lesson().concepts]
SHOWN = {CONCEPTS[0].id: "5", CONCEPTS[3].id: "2"}


@cache
def read_out() -> ReadOut:
    pupil, domain = model("mod7-addsub"), multiplication()
    book = Workbook(pupil, domain, lesson(), SMALL_CAL)
    plan = DrillPlan(layer=book.memory, look=book.prefix, contexts=2)
    drills = drill(pupil, domain, CONCEPTS, plan, random.Random(0))
    generator, count = torch.Generator().manual_seed(0), len(CONCEPTS)
    share = Share(
        torch.randn(count, 6, generator=generator), torch.arange(count), torch.ones(count)
    )
    cal = ConceptAlignmentLayer(SMALL_CAL, concept_keys(drills, count), [share], seed=0)
    return ReadOut(book, cal, drills, SHOWN)


def test_places_are_those_of_concepts_whose_symbol_is_known():
    its = read_out()
    known, wanted = its.places()
    assert set(its.drills.concepts[known].tolist()) == {0, 3}
    symbols = {0: "5", 3: "2"}
    for place in known.tolist():
        symbol = multiplication().symbols[int(wanted[place])]
        assert symbol == symbols[int(its.drills.concepts[place])]


def test_what_is_read_is_every_concept_and_what_was_shown_is_kept():
    read, figures = read_out().read()
    assert set(read) == {spec.id for spec in CONCEPTS}
    assert read.items() >= SHOWN.items()
    assert set(read.values()) <= set(multiplication().symbols)
    assert figures["concepts_shown"] == 2.0
    assert 1 / 7 <= figures["readout_confidence"] <= 1.0


def test_the_loss_is_the_cross_entropy_of_what_was_shown():
    its = read_out()
    known, wanted = its.places()
    loss = torch.nn.functional.cross_entropy(its.logits(known), wanted[known])
    assert its.read()[1]["loss_geometry"] == pytest.approx(loss.item(), rel=1e-4)


def test_divergence_of_geometry_is_the_mean_surprise():
    its = read_out()
    chances = torch.tensor(
        [
            its.logits(places).log_softmax(-1).mean(0).softmax(-1).tolist()
            for places in by_concept(its)
        ]
    )
    entropy = -(chances * chances.log()).sum(-1)
    symbols = multiplication().symbols
    said = [-chances[row, symbols.index(symbol)].log() for row, symbol in ((0, "5"), (3, "2"))]
    wanted = (entropy.sum() - entropy[0] - entropy[3] + sum(said)) / len(CONCEPTS)
    assert its.read()[1]["divergence_geometry"] == pytest.approx(float(wanted), rel=1e-3)


def by_concept(its: ReadOut) -> list[torch.Tensor]:
    """The places of each concept."""
    return [(its.drills.concepts == k).nonzero()[:, 0] for k in range(len(CONCEPTS))]


def test_nothing_can_be_learnt_if_nothing_was_shown():
    its = read_out()
    with pytest.raises(AlignmentError, match="ask the teacher for traces"):
        ReadOut(its.book, its.cal, its.drills, {}).places()
