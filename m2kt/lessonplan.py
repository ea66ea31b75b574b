"""What a student works on while it learns: texts as token ids, targets and frozen states.

Owns: `Workbook`, which turns a lesson and a grammar into batches, and runs the frozen parts
of the student on them. Does not own: losses, optimisation, phases (align).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from m2kt.activations import logits_of, resume, rows_can_be_shared, states_at
from m2kt.cal import CALConfig
from m2kt.domain import Grammar, Trace
from m2kt.errors import AlignmentError
from m2kt.language_model import LanguageModel, TracedIds
from m2kt.meter import DataMeter
from m2kt.packet import Lesson
from m2kt.tensors import Hidden, TokenIds

CACHE_BATCH = 64
"""Texts whose frozen states are computed in one go."""

RIVALS = 20
"""Tokens that the student as it stands finds likeliest at a place, which must lose there."""

POSED = 10_000
"""Questions of the grammar that are posed at most, until one can be worked out."""

WANTED = 1_000
"""Of these, how many are of the level that was wanted."""

ROW = 96
"""Tokens in a row of a batch, unless a text is longer: attention costs rows times their square."""

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
        level: Of an own problem; 0 for a teacher's trace.
    """

    row: TracedIds
    maps: tuple[dict[int, float], ...]
    states: Tensor | None = None
    level: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Texts side by side in rows of a batch: no padding but at the rows' ends.

    Attributes:
        ids: Int [B, T].
        positions: Of each token in its own text, Int [B, T].
        places: For each text its row and the column at which it starts.
    """

    ids: TokenIds
    positions: TokenIds
    places: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Practice:
    """A batch.

    Attributes:
        ids: Several exercises in each row, Int [B, T].
        positions: Of each token in its own exercise, Int [B, T].
        states: Hidden state of `ids` at the first layer that is run, Float [B, T, H].
        due: Places where a result is due.
        told: Places whose next token is to be predicted.
        targets: Those next tokens, as indices into the vocabulary that was settled.
        owners: The exercise that each of `told` is of, Int [P].
        maps: Concept activation maps at `due`, Float [N, K].
    """

    ids: TokenIds
    positions: TokenIds
    states: Hidden
    due: Places
    told: ToldPlaces
    targets: Int[Tensor, "P"]
    owners: Int[Tensor, "P"]
    maps: Float[Tensor, "N K"]

    def right(self, logits: Float[Tensor, "P W"]) -> list[bool]:
        """Of each exercise, whether every token would have been written right."""
        wrong = (logits.argmax(dim=-1) != self.targets).float()
        faults: list[float] = torch.bincount(self.owners, weights=wrong).tolist()
        return [fault == 0 for fault in faults]


class Deck:
    """Exercises that are drawn in random order, all of them before any comes again."""

    def __init__(self, rng: random.Random, items: Sequence[Exercise]) -> None:
        self.items = items
        self._rng = rng
        self._order: list[Exercise] = []

    def draw(self, count: int) -> list[Exercise]:
        """`count` exercises, or all if there are fewer."""
        if len(self._order) < count:
            self._order = self._rng.sample(self.items, len(self.items)) + self._order
        return [self._order.pop() for _ in range(min(count, len(self._order)))]


def known_results(lesson: Lesson, grammar: Grammar) -> dict[str, str]:
    """For each fact that some trace shows, the symbol that most traces give it."""
    votes: dict[str, Counter[str]] = {}
    for trace in lesson.traces:
        for step in trace.steps:
            votes.setdefault(grammar.recalled(step), Counter())[step.result] += 1
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
    shares_rows: bool = field(init=False)
    prefix: int = field(init=False)
    memory: int = field(init=False)
    trace_tokens: int = field(init=False, default=0)
    tokens: Int[Tensor, "W"] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.index = {c.spec.id: k for k, c in enumerate(self.lesson.concepts)}
        ids = self.model.symbol_ids(self.grammar.symbols)
        self.symbol_ids = torch.tensor(ids, device=self.model.device)
        texts = [self.model.encode(self.lesson.concepts[k].spec.prompt) for k in (0, -1)]
        self.shares_rows = rows_can_be_shared(self.model.model, *texts)
        self.prefix = self.config.prefix(self.model.depth)
        self.memory = self.config.memory_layer(self.model.depth)

    def wanted(self, results: Mapping[str, str]) -> Int[Tensor, "K"]:
        """For each concept the index of its symbol, -1 where `results` has none.

        Args:
            results: Symbols by concept; in a relational domain each symbol names its own.
        """
        symbols = {symbol: number for number, symbol in enumerate(self.grammar.symbols)}
        return torch.tensor([symbols.get(results.get(name, ""), -1) for name in self.index])

    def directions(self, phrases: Sequence[str]) -> Float[Tensor, "U H"]:
        """The student's own states at phrases that it must not move towards, Float [U, H]."""
        if not phrases:
            return torch.zeros(0, self.model.width, device=self.model.device)
        return self.model.last_states(phrases, layer=self.memory).to(self.model.device)

    def lessons(self) -> list[Exercise]:
        """The teacher's traces, with the states of the frozen prefix computed once."""
        rows = [self.model.encode_trace(trace) for trace in self.lesson.traces]
        self.trace_tokens = sum(len(row.ids) for row in rows)
        return self.prepare(rows, self.lesson.maps)

    def meter(self, practised: int) -> DataMeter:
        """What the lesson consumed: packets' counts, traces in the student's tokens.

        Args:
            practised: Own problems.
        """
        total = DataMeter()
        for packet in self.lesson.packets:
            total += packet.packet.provenance.meter
        return DataMeter(
            labels=0,
            logits=0,
            concepts=total.concepts,
            exemplars=total.exemplars,
            traces=len(self.lesson.traces),
            trace_tokens=self.trace_tokens,
            prompts=total.prompts + practised,
            teacher_passes=total.teacher_passes,
            bytes=sum(packet.authentic.bytes_on_wire for packet in self.lesson.packets),
        )

    def compose(
        self, rng: random.Random, levels: Sequence[int], results: Mapping[str, str]
    ) -> list[Exercise]:
        """Own problems of the public grammar, worked out with what was read.

        Args:
            rng: Draws them.
            levels: One for each; of a level that cannot be worked out another is taken.
            results: For each fact the symbol that was read.
        """
        drawn = [self._own(rng, level, results) for level in levels]
        rows = [self.model.encode_trace(trace) for _, trace in drawn]
        maps = [tuple({self.index[s.concept]: 1.0} for s in trace.steps) for _, trace in drawn]
        made = self.prepare(rows, maps)
        return [replace(its, level=level) for its, (level, _) in zip(made, drawn, strict=True)]

    def _own(self, rng: random.Random, level: int, results: Mapping[str, str]) -> tuple[int, Trace]:
        for number in range(POSED):
            its = level if number < WANTED else rng.choice(self.grammar.levels)
            try:
                return its, self.grammar.work(
                    self.grammar.question(rng, its).text, results.__getitem__
                )
            except KeyError:
                continue  # it needs a concept that nobody taught: pose another
        raise AlignmentError(
            f"expected a question that the {len(results)} concepts taught can answer, found none"
            f" among {POSED} of the grammar; ask the teacher for more of the domain's concepts"
        )

    def logits(self, practice: Practice) -> Float[Tensor, "P W"]:
        """Logits over the vocabulary that was settled at `told`, with what is attached."""
        with self._attention():
            final = resume(
                self.model.model,
                practice.ids,
                practice.states,
                layer=self.prefix,
                positions=practice.positions,
            )
        return logits_of(self.model.model, final[practice.told], self.tokens)

    def _attention(self) -> AbstractContextManager[None]:
        """On a CPU the math path: the backward pass of flash is slow there on short texts."""
        on_cpu = self.model.device == "cpu"
        return sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext()

    def join(self, exercises: Sequence[Exercise]) -> Practice:
        """One batch of exercises whose prefix states are known, packed."""
        packed = self._packed([exercise.row.ids for exercise in exercises])
        parts = [e.states for e in exercises if e.states is not None]
        states = parts[0].new_zeros(*packed.ids.shape, parts[0].shape[-1])
        told: list[tuple[int, int]] = []
        due: list[tuple[int, int]] = []
        owners: list[int] = []
        maps: list[dict[int, float]] = []
        for number, exercise in enumerate(exercises):
            line, start = packed.places[number]
            row = exercise.row
            states[line, start : start + len(row.ids)] = parts[number]
            told += [(line, start + at) for at in range(row.prompt_length - 1, len(row.ids) - 1)]
            owners += [number] * (len(row.ids) - row.prompt_length)
            due += [(line, start + at) for at in row.due]
            maps += exercise.maps
        dense = torch.zeros(len(due), len(self.index), device=self.model.device)
        for number, weights in enumerate(maps):
            for concept, weight in weights.items():
                dense[number, concept] = weight
        places = self._places(told)
        return Practice(
            ids=packed.ids,
            positions=packed.positions,
            states=states,
            due=self._places(due),
            told=places,
            targets=self._classes(packed.ids[places[0], places[1] + 1]),
            owners=torch.tensor(owners, device=self.model.device),
            maps=dense,
        )

    def _classes(self, ids: Int[Tensor, "P"]) -> Int[Tensor, "P"]:
        """Indices of `ids` in the vocabulary that was settled, which they join if they are new."""
        if self.tokens is None:
            return ids
        self.tokens = torch.cat([self.tokens, ids]).unique()
        return torch.searchsorted(self.tokens, ids)

    def _places(self, places: Sequence[tuple[int, int]]) -> Places:
        rows, columns = zip(*places, strict=True)
        device = self.model.device
        return torch.tensor(rows, device=device), torch.tensor(columns, device=device)

    def _packed(self, rows: Sequence[Sequence[int]]) -> Packed:
        """Texts side by side in as few rows as first-fit-decreasing finds, if the model can."""
        capacity = max(ROW, max(len(row) for row in rows))
        lines: list[list[int]] = []
        starts: list[list[int]] = []
        places: dict[int, tuple[int, int]] = {}
        for number in sorted(range(len(rows)), key=lambda n: -len(rows[n])):
            row = rows[number]
            room = (n for n, its in enumerate(lines) if len(its) + len(row) <= capacity)
            line = next(room, None) if self.shares_rows else None
            if line is None:
                line = len(lines)
                lines.append([])
                starts.append([])
            places[number] = (line, len(lines[line]))
            starts[line] += range(len(row))
            lines[line] += row
        ids = self.model.padded(lines)
        width = ids.shape[1]
        positions = [its + [0] * (width - len(its)) for its in starts]
        return Packed(ids, torch.tensor(positions, device=self.model.device), places)

    @torch.no_grad()
    def settle_vocabulary(self, exercises: Sequence[Exercise]) -> None:
        """Settles over which tokens L_reason is a softmax: what may matter here.

        Those of the texts, those of the state symbols, and whatever the student as it stands
        would rather say in their place. What later exercises want besides is added by `join`.
        """
        texts = {token for exercise in exercises for token in exercise.row.ids}
        said = self.logits(self.join(exercises[-CACHE_BATCH:]))
        likely = said.topk(min(RIVALS, said.shape[1])).indices.unique().tolist()
        tokens = sorted(texts | set(likely) | set(self.symbol_ids.tolist()))
        self.tokens = torch.tensor(tokens, device=self.model.device)

    @torch.no_grad()
    def prepare(
        self, rows: Sequence[TracedIds], maps: Sequence[tuple[dict[int, float], ...]]
    ) -> list[Exercise]:
        """Exercises with the states of the frozen prefix."""
        found = []
        for at in range(0, len(rows), CACHE_BATCH):
            some = rows[at : at + CACHE_BATCH]
            packed = self._packed([row.ids for row in some])
            states = states_at(
                self.model.model, packed.ids, layer=self.prefix, positions=packed.positions
            )
            for number, row in enumerate(some):
                line, start = packed.places[number]
                its = states[line, start : start + len(row.ids)].clone()
                found.append(Exercise(row, maps[at + number], its))
        return found
