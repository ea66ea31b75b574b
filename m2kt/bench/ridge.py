"""A baseline without training: a linear CAL in closed form.

phi is the ridge regression from the c_k whose result some trace shows to the direction that says
so: the student's own output embedding of that symbol, from the mean of all. How strong ridge is
comes from leaving one out, how much is injected from reading those concepts. No adapter learns:
traces in the prompt say how to write.

Source of the estimator: Hoerl and Kennard, 1970; leaving one out in closed form: Allen, 1974.

Owns: `ridge`. Does not own: how it is run (cells).
"""

import random
from dataclasses import replace
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from m2kt import domains
from m2kt.align import align
from m2kt.align_config import AlignConfig
from m2kt.cal import ConceptAlignmentLayer
from m2kt.drills import DrillPlan, drill
from m2kt.lessonplan import Workbook, known_results
from m2kt.packet import Lesson
from m2kt.progress import silent
from m2kt.readout import ReadOut
from m2kt.spaces import ridge as ridge_regression
from m2kt.student import Student

STRENGTHS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of what is injected, as multiples of the mean length of the student's states."""


def ridge(
    student: Student, lesson: Lesson, config: AlignConfig
) -> tuple[ConceptAlignmentLayer, dict[str, float]]:
    """The CAL, and how well it reads concepts out.

    Args:
        student: Who carries it.
        lesson: Of a domain whose concepts are facts.
        config: Shape of the CAL, but for phi, and the seed.
    """
    grammar, model = domains.get(lesson.domain), student.language_model
    shape = replace(config.cal, projection="linear")
    untrained = replace(config, cal=shape, readout_steps=0, steps=0)
    cal = align(student, lesson, grammar, untrained, silent).cal
    book = Workbook(model, grammar, lesson, shape)
    plan = DrillPlan(layer=book.memory, look=book.prefix, contexts=config.contexts)
    specs = [concept.spec for concept in lesson.concepts]
    drills = drill(model, grammar, specs, plan, random.Random(config.seed))
    shown = known_results(lesson, grammar)
    length = float(drills.states.float().norm(dim=-1).mean())
    _fit(cal, book.wanted(shown), model.symbol_directions(grammar.symbols) * length)
    reading = ReadOut(book, cal, drills, shown)
    places, wanted = reading.places()

    def agreement(strength: float) -> float:
        cal.gate.data.fill_(strength)
        said = [reading.logits(some).argmax(dim=-1) for some in places.split(256)]
        return float((torch.cat(said) == wanted[places]).float().mean())

    with torch.no_grad():
        best = max(STRENGTHS, key=agreement)
        figures = {"strength": best, "agreement": agreement(best)}
    return cal, figures | reading.read()[1]


@torch.no_grad()
def _fit(
    cal: ConceptAlignmentLayer, wanted: Int[Tensor, "K"], directions: Float[Tensor, "S H"]
) -> None:
    """Sets phi, of each packet for itself."""
    for its, share in zip(cal.phi.maps, cal.phi.shares(), strict=True):
        symbols = wanted[share.slots]
        known = symbols >= 0
        layer = next(m for m in its.modules() if isinstance(m, nn.Linear))
        weight, bias = ridge_regression(share.means[known], directions[symbols[known]])
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
