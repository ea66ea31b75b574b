"""How far a student ended from what its teachers hold, concept by concept, whatever it was sent.

    attention   KL(A^T || A^S): the teacher's map where a concept is due, and the memory's attention
                there; a concept that the student was not sent has nothing of it
    geometry    KL of what the teacher says where concept k is due from what the frozen student says
                where g phi(c_k) is added; of a concept that it was not sent nothing is added

Both are means, in nats, over all that the teachers know. What alignment itself reports
(`divergence_structure`, `divergence_geometry`) is of concepts and maps that were sent: a student
that was sent half of them, or false ones, may be close to these.

Owns: `Learnt`, `divergence_of`. Does not own: what follows for retention (divergence_bound).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from m2kt import domains
from m2kt.activations import decoder
from m2kt.bench.subjects import Subject, load_model
from m2kt.cal import CALConfig, attached
from m2kt.domain import Domain, Grammar, Trace
from m2kt.drills import DrillPlan, Drills, drill
from m2kt.errors import AlignmentError
from m2kt.extract import ExtractConfig, activation_maps, inventory
from m2kt.identity import AgentId
from m2kt.language_model import LanguageModel
from m2kt.losses import structure_divergence
from m2kt.packet import Lesson
from m2kt.student import Candidate, Student
from m2kt.tensors import mean_by

SEED: Final = 20_260_401
"""Of the problems on which divergences are measured: no lesson and no exam draws from it."""
TEXTS: Final = 96
"""Problems that each teacher is read on."""
CONTEXTS: Final = 2
"""Places at which each concept is read in the student."""
BATCH: Final = 32
AT_ONCE: Final = 256
"""Places that are read in one go."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What one teacher says of its concepts on some problems with drawn results.

    Attributes:
        names: Ids of its K concepts.
        traces: The problems, N steps in all.
        maps: A, whole, Float [N, K].
        chances: What it says where each concept is due, over the domain's symbols, Float [K, S].
    """

    names: tuple[str, ...]
    traces: tuple[Trace, ...]
    maps: Float[Tensor, "N K"]
    chances: Float[Tensor, "K S"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Who learnt what.

    Attributes:
        its: The domain and its teachers.
        lesson: What was learnt from.
        student: Who.
        candidate: What came of it.
    """

    its: Subject
    lesson: Lesson
    student: Student
    candidate: Candidate


def divergence_of(learnt: Learnt) -> dict[str, float]:
    """`divergence_attention` and `divergence_said`, in nats."""
    its = learnt.its
    known = [_known(its.domain, teacher, its.teachers[teacher]) for teacher in its.teachers]
    return {
        "divergence_attention": fmean(_attention(learnt, one) for one in known),
        "divergence_said": _said(learnt, known),
    }


@cache
def _known(domain: str, teacher: str, signs: str) -> Known:
    """What a teacher says; it never changes."""
    model, grammar = load_model(teacher), Subject(domain, {teacher: signs}).taught(teacher)
    config, rng = ExtractConfig(seed=SEED), random.Random(SEED)
    held = inventory(model, grammar, config, agent=AgentId(teacher), rng=rng)
    traces = tuple(_drawn(grammar, rng) for _ in range(TEXTS))
    config = replace(config, map_width=len(held.concepts))
    maps = activation_maps(model, grammar, traces, held, config=config)
    whole = torch.zeros(len(maps.weights), len(held.concepts))
    return Known(
        names=tuple(spec.id for spec in held.concepts),
        traces=traces,
        maps=whole.scatter_(1, maps.indices.long(), maps.weights),
        chances=_chances(_places(model, grammar), domains.get(domain)),
    )


def _drawn(grammar: Grammar, rng: random.Random) -> Trace:
    """A problem, worked out with results that are drawn: every concept comes up, no fact does."""
    question = grammar.question(rng, rng.choice(grammar.levels))
    return grammar.work(question.text, lambda _: rng.choice(grammar.symbols))


def _places(model: LanguageModel, grammar: Grammar) -> Drills:
    """Places where each concept of `grammar` is due, as a frozen model reads them."""
    shape = CALConfig()
    layer, look = shape.memory_layer(model.depth), shape.prefix(model.depth)
    plan = DrillPlan(layer=layer, look=look, contexts=CONTEXTS)
    return drill(model, grammar, grammar.concepts, plan, random.Random(SEED))


@torch.no_grad()
def _chances(
    drills: Drills, domain: Domain, added: Float[Tensor, "K H"] | None = None
) -> Float[Tensor, "K S"]:
    """What a frozen model says where each concept is due, with a vector for each added there."""
    model, due = drills.model, drills.concepts
    symbols = torch.tensor(model.symbol_ids(domain.symbols), device=model.device)
    count = int(due.max()) + 1
    put = torch.zeros(count, model.width, device=model.device) if added is None else added
    said = [
        drills.symbol_logits(some, put[due[some]], symbols).log_softmax(dim=-1)
        for some in torch.arange(len(due), device=due.device).split(AT_ONCE)
    ]
    return mean_by(due, torch.cat(said), count).softmax(dim=-1).cpu()


def _said(learnt: Learnt, known: Sequence[Known]) -> float:
    """KL of what the teachers say from what phi says, mean over their concepts."""
    domain, student = domains.get(learnt.its.domain), learnt.student.language_model
    candidate = learnt.candidate
    rows = {spec.id: row for row, spec in enumerate(domain.concepts)}
    added = torch.zeros(len(rows), student.width, device=student.device)
    sent = [rows[concept.spec.id] for concept in learnt.lesson.concepts]
    added[sent] = (candidate.cal.gate * candidate.cal.values()).detach().to(added)
    ours = _chances(_places(student, domain), domain, added)
    theirs = torch.cat([one.chances for one in known])
    names = [rows[name] for one in known for name in one.names]
    return float(structure_divergence(theirs, ours[names]))


@torch.no_grad()
def _attention(learnt: Learnt, known: Known) -> float:
    """KL of a teacher's maps from the memory's attention, mean over the steps of its problems."""
    model, cal = learnt.student.language_model, learnt.candidate.cal
    columns = {name: column for column, name in enumerate(known.names)}
    sent = [columns.get(concept.spec.id, -1) for concept in learnt.lesson.concepts]
    its = torch.tensor([number for number, column in enumerate(sent) if column >= 0])
    found = []
    with attached(model, cal):
        for at in range(0, len(known.traces), BATCH):
            rows = [model.encode_trace(trace) for trace in known.traces[at : at + BATCH]]
            decoder(model.model)(input_ids=model.padded([row.ids for row in rows]), use_cache=False)
            if cal.attention is None:
                raise AlignmentError("expected the memory to be read, and it was not")
            found += [cal.attention[line, list(row.due)].cpu() for line, row in enumerate(rows)]
    ours = torch.zeros_like(known.maps)
    ours[:, [column for column in sent if column >= 0]] = torch.cat(found).float()[:, its]
    return float(structure_divergence(known.maps, ours))
