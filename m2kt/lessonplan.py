"""What a student works on while it learns: texts as token ids, targets and frozen states.

Owns: `Workbook`, which turns a lesson and a grammar into batches, and runs the frozen parts
of the student on them. Does not own: losses, optimisation, phases (align).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.activations import logits_of, resume, states_at
from m2kt.cal import CALConfig, ConceptAlignmentLayer
from m2kt.domain import Grammar, Trace
from m2kt.language_model import LanguageModel, TracedIds
from m2kt.packet import Lesson
from m2kt.tensors import ConceptKeys, Hidden, TokenIds

CACHE_BATCH = 64
"""Texts whose frozen states are computed in one go."""

Places = tuple[Int[Tensor, "N"], Int[Tensor, "N"]]
"""Row and column of the N places of a batch where a result is due."""

ToldPlaces = tuple[Int[Tensor, "P"], Int[Tensor, "P"]]
"""Row and column of the P places of a batch whose next token is to be predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class Exercise:
    """One trace as the student works on it.

    Attributes:
        row: The trace as token ids.
        maps: For each step, {concept: weight}.
        states: Hidden state at the prefix, Float [T, H]; None if not computed yet.
    """

    row: TracedIds
    maps: tuple[dict[int, float], ...]
    states: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Practice:
    """A batch.

    Attributes:
        ids: Int [B, T].
        states: Hidden state of `ids` at the first layer that is run, Float [B, T, H].
        layer: Which hidden state that is.
        due: Places where a result is due.
        told: Places whose next token is to be predicted.
        targets: Those next tokens.
        maps: Concept activation maps at `due`, Float [N, K].
        concepts: The concept at each of `due`, Int [N].
        symbols: Index of the state symbol at each of `due`, Int [N].
    """

    ids: TokenIds
    states: Hidden
    layer: int
    due: Places
    told: ToldPlaces
    targets: Int[Tensor, "P"]
    maps: Float[Tensor, "N K"]
    concepts: Int[Tensor, "N"]
    symbols: Int[Tensor, "N"]


def known_results(lesson: Lesson) -> dict[str, str]:
    """For each concept that some trace shows, the symbol that most traces give it."""
    votes: dict[str, Counter[str]] = {}
    for trace in lesson.traces:
        for step in trace.steps:
            votes.setdefault(step.concept, Counter())[step.result] += 1
    return {name: min(its, key=lambda s: (-its[s], s)) for name, its in votes.items()}


@dataclass(slots=True, eq=False)
class Workbook:
    """Makes batches for one student, lesson and grammar."""

    model: LanguageModel
    grammar: Grammar
    lesson: Lesson
    config: CALConfig
    index: dict[str, int] = field(init=False)
    symbol_ids: Int[Tensor, "S"] = field(init=False)
    prefix: int = field(init=False)
    memory: int = field(init=False)
    trace_tokens: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.index = {c.spec.id: k for k, c in enumerate(self.lesson.concepts)}
        ids = self.model.symbol_ids(self.grammar.symbols)
        self.symbol_ids = torch.tensor(ids, device=self.model.device)
        self.prefix = self.config.prefix(self.model.depth)
        self.memory = self.config.memory_layer(self.model.depth)

    def keys(self, rng: random.Random, contexts: int) -> ConceptKeys:
        """The student's own state at each concept's prompt, mean over contexts, Float [K, H]."""
        texts: list[str] = []
        for concept in self.lesson.concepts:
            its = self.grammar.contexts(rng, concept.spec.id, contexts - 1)
            texts += [concept.spec.prompt, *(its * contexts)[: contexts - 1]]
        states = self.model.last_states(texts, layer=self.memory)
        return states.reshape(len(self.lesson.concepts), contexts, -1).mean(dim=1)

    def directions(self, phrases: Sequence[str]) -> Float[Tensor, "U H"]:
        """The student's own states at phrases that it must not move towards, Float [U, H]."""
        if not phrases:
            return torch.zeros(0, self.model.width, device=self.model.device)
        return self.model.last_states(phrases, layer=self.memory).to(self.model.device)

    def lessons(self) -> list[Exercise]:
        """The teacher's traces, with the states of the frozen prefix computed once."""
        rows = [self.model.encode_trace(trace) for trace in self.lesson.traces]
        self.trace_tokens = sum(len(row.ids) for row in rows)
        return self._with_states(rows, self.lesson.maps)

    def compose(self, rng: random.Random, count: int, results: Mapping[str, str]) -> list[Exercise]:
        """Own problems of the public grammar, worked out with what was read."""
        traces = [self._own(rng, results) for _ in range(count)]
        rows = [self.model.encode_trace(trace) for trace in traces]
        maps = [tuple({self.index[s.concept]: 1.0} for s in trace.steps) for trace in traces]
        return self._with_states(rows, maps)

    def _own(self, rng: random.Random, results: Mapping[str, str]) -> Trace:
        while True:
            question = self.grammar.question(rng, rng.choice(self.grammar.levels))
            try:
                return self.grammar.work(question.text, results.__getitem__)
            except KeyError:
                continue  # it needs a concept that nobody taught: pose another

    def drills(self, rng: random.Random, count: int, results: Mapping[str, str]) -> Practice:
        """Texts with random intermediate results, for phase A; `due` where a shown one is due."""
        traces = [self._drill(rng) for _ in range(count)]
        rows = [self.model.encode_trace(trace) for trace in traces]
        places, concepts, symbols = [], [], []
        for number, (trace, row) in enumerate(zip(traces, rows, strict=True)):
            for step, at in zip(trace.steps, row.due, strict=True):
                if step.concept in results and step.concept in self.index:
                    places.append((number, at))
                    concepts.append(self.index[step.concept])
                    symbols.append(self.grammar.symbols.index(results[step.concept]))
        if not places:
            return self.drills(rng, count, results)
        ids = self.model.padded([row.ids for row in rows])
        with torch.no_grad():
            states = states_at(self.model.model, ids, layer=self.memory)
        due = self._places(places)
        nothing = torch.zeros(0, dtype=torch.long, device=self.model.device)
        return Practice(
            ids=ids,
            states=states,
            layer=self.memory,
            due=due,
            told=(nothing, nothing),
            targets=nothing,
            maps=torch.zeros(len(places), len(self.index), device=self.model.device),
            concepts=torch.tensor(concepts, device=self.model.device),
            symbols=torch.tensor(symbols, device=self.model.device),
        )

    def _drill(self, rng: random.Random) -> Trace:
        question = self.grammar.question(rng, rng.choice(self.grammar.levels))
        return self.grammar.work(question.text, lambda _: rng.choice(self.grammar.symbols))

    def symbol_logits(self, practice: Practice, cal: ConceptAlignmentLayer) -> Float[Tensor, "N S"]:
        """Logits over the state symbols when phi(c_k) is injected at `due`, memory unread."""
        values = (cal.gate * cal.values()[practice.concepts]).to(practice.states.dtype)
        states = practice.states.index_put(practice.due, practice.states[practice.due] + values)
        final = resume(self.model.model, practice.ids, states, layer=practice.layer)
        return logits_of(self.model.model, final[practice.due])[:, self.symbol_ids]

    def logits(self, practice: Practice) -> Float[Tensor, "P V"]:
        """Logits over the vocabulary at `told`, with the CAL attached."""
        final = resume(self.model.model, practice.ids, practice.states, layer=practice.layer)
        return logits_of(self.model.model, final[practice.told])

    @torch.no_grad()
    def read(
        self, cal: ConceptAlignmentLayer, results: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, float]]:
        """Every concept's symbol: as shown, else as read out of C; and how sure reading is."""
        rows = [self.model.encode(concept.spec.prompt) for concept in self.lesson.concepts]
        ids = self.model.padded(rows)
        states = states_at(self.model.model, ids, layer=self.memory)
        due = self._places([(number, len(row) - 1) for number, row in enumerate(rows)])
        every = torch.arange(len(rows), device=self.model.device)
        practice = Practice(
            ids=ids,
            states=states,
            layer=self.memory,
            due=due,
            told=due,
            targets=every,
            maps=torch.eye(len(rows), device=self.model.device),
            concepts=every,
            symbols=every,
        )
        chances = self.symbol_logits(practice, cal).float().softmax(dim=-1)
        best = chances.argmax(dim=-1).tolist()
        said = {
            c.spec.id: self.grammar.symbols[best[k]] for k, c in enumerate(self.lesson.concepts)
        }
        agree = [said[name] == symbol for name, symbol in results.items() if name in said]
        figures = {
            "readout_agreement": sum(agree) / max(1, len(agree)),
            "readout_confidence": float(chances.max(dim=-1).values.mean()),
            "concepts_shown": float(len(agree)),
            "concepts_read": float(len(said)),
        }
        return said | {name: r for name, r in results.items() if name in said}, figures

    def join(self, exercises: Sequence[Exercise]) -> Practice:
        """One batch of exercises whose prefix states are known."""
        ids = self.model.padded([exercise.row.ids for exercise in exercises])
        device, width = self.model.device, ids.shape[1]
        parts = [e.states for e in exercises if e.states is not None]
        states = parts[0].new_zeros(len(parts), width, parts[0].shape[-1])
        told: list[tuple[int, int]] = []
        due: list[tuple[int, int]] = []
        maps: list[dict[int, float]] = []
        for number, (exercise, its) in enumerate(zip(exercises, parts, strict=True)):
            states[number, : len(its)] = its
            row = exercise.row
            told += [(number, at) for at in range(row.prompt_length - 1, len(row.ids) - 1)]
            due += [(number, at) for at in row.due]
            maps += exercise.maps
        dense = torch.zeros(len(due), len(self.index), device=device)
        for number, weights in enumerate(maps):
            for concept, weight in weights.items():
                dense[number, concept] = weight
        places = self._places(told)
        return Practice(
            ids=ids,
            states=states,
            layer=self.prefix,
            due=self._places(due),
            told=places,
            targets=ids[places[0], places[1] + 1],
            maps=dense,
            concepts=dense.argmax(dim=-1),
            symbols=dense.argmax(dim=-1),
        )

    def _places(self, places: Sequence[tuple[int, int]]) -> Places:
        rows, columns = zip(*places, strict=True)
        device = self.model.device
        return torch.tensor(rows, device=device), torch.tensor(columns, device=device)

    @torch.no_grad()
    def _with_states(
        self, rows: Sequence[TracedIds], maps: Sequence[tuple[dict[int, float], ...]]
    ) -> list[Exercise]:
        found = []
        for at in range(0, len(rows), CACHE_BATCH):
            some = rows[at : at + CACHE_BATCH]
            ids = self.model.padded([row.ids for row in some])
            states = states_at(self.model.model, ids, layer=self.prefix)
            for number, row in enumerate(some):
                its = states[number, : len(row.ids)].clone()
                found.append(Exercise(row, maps[at + number], its))
        return found
