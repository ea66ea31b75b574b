"""Drills: texts in which concepts' results are due, read once by the frozen student.

Everything that is learnt before the student itself adapts, how a concept is read out and
where it is due, is learnt on these places. The student's layers below the memory run once
for each text, those above it for one token at each visit.

Owns: `drill`, `Drills`. Does not own: what is learnt on them (align, addressing).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.activations import Remembered, logits_of, record, remember, resume_at
from m2kt.domain import ConceptSpec, Grammar, Step
from m2kt.language_model import LanguageModel
from m2kt.tensors import Hidden

READ_BATCH = 64
"""Texts that are read in one go."""

ROLES = 4
"""What a concept may be in a relational domain: result, left operand, operator, right operand."""

Due = tuple[int, ...]
"""The concept that is due at a place; of a relational domain then left operand, operator, right."""

Text = tuple[tuple[int, ...], dict[int, Due]]
"""Token ids, and what is due at which of them."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Drills:
    """N places where one of K concepts is due, in texts with random intermediate results.

    Attributes:
        model: The frozen student.
        seen: The texts as it remembers them.
        rows: Text of each place, Int [N].
        columns: Its token there, Int [N].
        concepts: Which concept is due, Int [N].
        operands: In a relational domain what it comes of: the concepts that are left operand,
            operator and right operand, Int [N, 3]; else Int [N, 0].
        looked: Hidden state of each place where it is looked up, Float [N, H].
        elsewhere: The same at `others`, Float [M, H].
        others: Row and column of places where nothing is due, Int [M, 2].
    """

    model: LanguageModel
    seen: Remembered
    rows: Int[Tensor, "N"]
    columns: Int[Tensor, "N"]
    concepts: Int[Tensor, "N"]
    operands: Int[Tensor, "N R"]
    looked: Float[Tensor, "N H"]
    elsewhere: Float[Tensor, "M H"]
    others: Int[Tensor, "M 2"]

    @property
    def states(self) -> Float[Tensor, "N H"]:
        """Hidden state at each place, as the frozen student has it."""
        return self.seen.states[self.rows, self.columns]

    def looked_up_there(self) -> "Drills":
        """The same places, looked up in the states that are worked on."""
        rows, columns = self.others.T
        return replace(self, looked=self.states, elsewhere=self.seen.states[rows, columns])

    def symbol_logits(
        self,
        chosen: Int[Tensor, "B"],
        injected: Float[Tensor, "B H"],
        symbols: Int[Tensor, "S"],
    ) -> Float[Tensor, "B S"]:
        """Logits of the tokens `symbols` at `chosen` places, with a vector added there."""
        rows, columns = self.rows[chosen], self.columns[chosen]
        states = self.seen.states[rows, columns]
        states = states + injected.to(states.dtype)
        final = resume_at(self.model.model, self.seen, rows, columns, states)
        return logits_of(self.model.model, final, symbols).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPlan:
    """What to prepare.

    Attributes:
        layer: Hidden state at which places are worked on.
        look: Hidden state in which it is looked up what is due.
        contexts: Places for each concept; problems decide, so some get fewer. In a relational
            domain four times as many, for each of its roles.
    """

    layer: int
    look: int
    contexts: int


def drill(
    model: LanguageModel,
    grammar: Grammar,
    concepts: Sequence[ConceptSpec],
    plan: DrillPlan,
    rng: random.Random,
) -> Drills:
    """Draws texts until each concept is due at about `contexts` places, and reads them.

    Args:
        model: The frozen student.
        grammar: Poses the problems; facts are not asked for, results are drawn.
        concepts: Those that matter; one that no problem leads to gets its own prompt.
        plan: How many places, and where they are worked on.
        rng: Draws problems and results.
    """
    index = {spec.id: number for number, spec in enumerate(concepts)}
    texts = _texts(model, grammar, index, plan.contexts, rng)
    missing = set(range(len(concepts))) - {its[0] for _, due in texts for its in due.values()}
    for number in () if grammar.relational else sorted(missing):
        ids = tuple(model.encode(concepts[number].prompt))
        texts.append((ids, {len(ids) - 1: (number,)}))
    texts.sort(key=lambda text: len(text[0]))
    places = [
        (row, column, *its) for row, (_, due) in enumerate(texts) for column, its in due.items()
    ]
    rows, columns, wanted, *operands = torch.tensor(places, device=model.device).T
    seen, looked = _read(model, [ids for ids, _ in texts], plan)
    others = _elsewhere(texts, rng).to(model.device)
    return Drills(
        model=model,
        seen=seen,
        rows=rows,
        columns=columns,
        concepts=wanted,
        operands=torch.stack(operands, dim=1) if operands else wanted.new_zeros(len(wanted), 0),
        looked=looked[rows, columns],
        elsewhere=looked[others[:, 0], others[:, 1]],
        others=others,
    )


def _elsewhere(texts: Sequence[Text], rng: random.Random) -> Int[Tensor, "M 2"]:
    """One place of each text at which nothing is due: row and column."""
    found = []
    for row, (ids, due) in enumerate(texts):
        free = [column for column in range(len(ids)) if column not in due]
        if free:
            found.append((row, rng.choice(free)))
    return torch.tensor(found)


def _texts(
    model: LanguageModel,
    grammar: Grammar,
    index: Mapping[str, int],
    contexts: int,
    rng: random.Random,
) -> list[Text]:
    """Worked problems with random results, each with a place that is still wanted."""
    seen: Counter[tuple[int, int]] = Counter()
    roles = range(ROLES if grammar.relational else 1)
    contexts *= len(roles)
    wanted = {(role, number) for role in roles for number in index.values()}
    texts: list[Text] = []
    for _ in range(4 * contexts * len(wanted)):
        question = grammar.question(rng, rng.choice(grammar.levels))
        trace = grammar.work(question.text, lambda _: rng.choice(grammar.symbols))
        known = [_due(grammar, step, index) for step in trace.steps]
        if wanted.isdisjoint(place for its in known for place in enumerate(its)):
            continue
        row = model.encode_trace(trace)
        due = {at: its for at, its in zip(row.due, known, strict=True) if its}
        for its in due.values():
            seen.update(enumerate(its))
            wanted -= {place for place in enumerate(its) if seen[place] >= contexts}
        texts.append((row.ids, due))
        if not wanted:
            break
    return texts


def _due(grammar: Grammar, step: Step, index: Mapping[str, int]) -> Due:
    """What `step` recalls and what that comes of; nothing if some of it is not in `index`."""
    names = [step.concept]
    if grammar.relational:
        parts = grammar.parts(grammar.recalled(step))
        names += [parts.left, parts.operator, parts.right]
    return tuple(index[name] for name in names) if index.keys() >= set(names) else ()


def _read(
    model: LanguageModel, texts: Sequence[tuple[int, ...]], plan: DrillPlan
) -> tuple[Remembered, Hidden]:
    """All texts as one batch, and where to look; sorted by length, read in small batches."""
    parts, looks = [], []
    for at in range(0, len(texts), READ_BATCH):
        ids = model.padded(texts[at : at + READ_BATCH])
        with record(model.model, layers=[plan.look]) as recording:
            parts.append(remember(model.model, ids, layer=plan.layer))
        looks.append(recording.states[plan.look])
    length = max(part.ids.shape[1] for part in parts)

    def joined(tensors: Sequence[Tensor], axis: int) -> Tensor:
        padding = (0, 0) * (tensors[0].dim() - 1 - axis)
        return torch.cat([F.pad(t, (*padding, 0, length - t.shape[axis])) for t in tensors])

    layers = range(len(parts[0].past))
    seen = Remembered(
        ids=joined([part.ids for part in parts], 1),
        states=joined([part.states for part in parts], 1),
        layer=plan.layer,
        past=tuple(
            (
                joined([part.past[n][0] for part in parts], 2),
                joined([part.past[n][1] for part in parts], 2),
            )
            for n in layers
        ),
    )
    return seen, joined(looks, 1)
