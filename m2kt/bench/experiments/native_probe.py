"""What a frozen student's own states say of the symbol that it is about to write.

The probe is fitted on worked problems with drawn results, which hold no fact: at places where
a symbol follows that stands in the text already, and the student as it is puts it first. Which
penalty is taken is decided there, too. No concept, no packet and no result of a fact has a part
in it.

Owns: `Native`, `NativeProbe`, `native_probe`, `injected`, `penalised`.
Does not own: the probe (linear_probe), what is injected (probe_fidelity).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from m2kt.activations import decoder, logits_of, record, resume_at
from m2kt.domain import Grammar
from m2kt.drills import Drills
from m2kt.language_model import LanguageModel
from m2kt.linear_probe import Labelled, LinearProbe, crossvalidated, fit

EXAMPLES: Final = 3
"""Worked problems before the one whose states are read: they show the form."""

READ_BATCH: Final = 16
PLACES: Final = 256
"""Read in one go."""

PENALTIES: Final = (1e-2, 1e-1, 1.0, 10.0)
SLACK: Final = 0.01
"""Of accuracy, which a stronger penalty may cost."""

PROBE_SEED: Final = 0
"""Of folds."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Native:
    """States of a frozen student where it is about to write a symbol that it knows.

    Attributes:
        states: By number of the hidden state, Float [N, H].
        labels: Numbers of the symbols, Int [N].
        texts: Of which text each is, Int [N].
    """

    states: Mapping[int, Float[Tensor, "N H"]]
    labels: Int[Tensor, "N"]
    texts: Int[Tensor, "N"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class NativeProbe:
    """Probes of the hidden states from the memory on; the last one counts.

    Attributes:
        probes: By number of the hidden state.
        accuracy: The same, cross-validated by text, on native states.
        places: On which each was fitted.
    """

    probes: Mapping[int, LinearProbe]
    accuracy: Mapping[int, float]
    places: int

    @property
    def chosen(self) -> int:
        """The last hidden state: c_k is read from the teacher's."""
        return max(self.probes)


def native_probe(
    model: LanguageModel, grammar: Grammar, *, lowest: int, texts: int, rng: random.Random
) -> NativeProbe:
    """Probes for the symbols of `grammar` on hidden states `lowest` to the last.

    Args:
        model: The frozen student.
        grammar: Poses the problems; results are drawn.
        lowest: Number of the lowest hidden state.
        texts: How many problems.
        rng: Draws them.
    """
    native = native_states(model, grammar, range(lowest, model.depth + 1), texts=texts, rng=rng)
    probes, accuracy = {}, {}
    for layer, states in native.states.items():
        its = Labelled(states, native.labels, native.texts)
        penalty, accuracy[layer] = penalised(its)
        probes[layer] = fit(states, native.labels, count=len(grammar.symbols), decay=penalty)
    return NativeProbe(probes, accuracy, len(native.labels))


def penalised(its: Labelled) -> tuple[float, float]:
    """The strongest penalty that costs at most `SLACK` of the best accuracy, and what it leaves.

    Strong penalties make probes selective (Hewitt and Liang, 2019).
    """
    found = {penalty: accuracy_of(its, penalty) for penalty in PENALTIES}
    enough = max(found.values()) - SLACK
    chosen = max(penalty for penalty, share in found.items() if share >= enough)
    return chosen, found[chosen]


def accuracy_of(its: Labelled, penalty: float) -> float:
    """Cross-validated share of right answers."""
    generator = torch.Generator().manual_seed(PROBE_SEED)
    return float(crossvalidated(its, decay=penalty, generator=generator).float().mean())


@torch.no_grad()
def native_states(
    model: LanguageModel, grammar: Grammar, layers: Sequence[int], *, texts: int, rng: random.Random
) -> Native:
    """The student's states wherever in a worked problem it says the symbol that follows."""
    symbols = torch.tensor(model.symbol_ids(grammar.symbols), device=model.device)
    drawn = [_text(model, grammar, rng) for _ in range(texts)]
    states: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    labels, owners = [], []
    for at in range(0, texts, READ_BATCH):
        some = drawn[at : at + READ_BATCH]
        ids = model.padded([row for row, _ in some])
        with record(model.model, layers=layers) as recording:
            final_states = decoder(model.model)(input_ids=ids, use_cache=False).last_hidden_state
        rows, columns = _places([free for _, free in some], model.device)
        follows = ids[rows, columns + 1]
        says = logits_of(model.model, final_states[rows, columns]).argmax(dim=-1)
        known = (says == follows) & torch.isin(follows, symbols)
        for layer in layers:
            states[layer].append(recording.states[layer][rows, columns][known].float().cpu())
        labels.append((follows[known, None] == symbols).long().argmax(dim=-1).cpu())
        owners.append(rows[known].cpu() + at)
    joined = {layer: torch.cat(parts) for layer, parts in states.items()}
    return Native(joined, torch.cat(labels), torch.cat(owners))


def _text(
    model: LanguageModel, grammar: Grammar, rng: random.Random
) -> tuple[list[int], list[int]]:
    """Ids of some worked problems; places in the last one's steps where no result is due."""
    *examples, last = (
        grammar.work(
            grammar.question(rng, rng.choice(grammar.levels)).text,
            lambda _: rng.choice(grammar.symbols),
        )
        for _ in range(EXAMPLES + 1)
    )
    before, row = model.encode("".join(its.text for its in examples)), model.encode_trace(last)
    opening = len(model.encode(""))
    shift, due = len(before) - opening, set(row.due)
    free = [at + shift for at in range(row.prompt_length - 1, len(row.ids) - 1) if at not in due]
    return before + list(row.ids[opening:]), free


def _places(
    columns: Sequence[Sequence[int]], device: str
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    pairs = [(row, column) for row, its in enumerate(columns) for column in its]
    rows, places = torch.tensor(pairs, device=device).T
    return rows, places


@torch.no_grad()
def injected(
    drills: Drills, added: Float[Tensor, "K H"], layers: Sequence[int]
) -> dict[int, Float[Tensor, "N H"]]:
    """Hidden states `layers` of the frozen student at every place, the concept due added there.

    Args:
        drills: Places, and what the student remembers of the texts before them.
        added: What is added for each concept, at the hidden state that the drills are for.
        layers: Numbers of hidden states, none below that one.
    """
    model, found = drills.model.model, {layer: list[Tensor]() for layer in layers}
    for some in torch.arange(len(drills.concepts)).split(PLACES):
        rows, columns = drills.rows[some], drills.columns[some]
        states = drills.seen.states[rows, columns]
        states = states + added[drills.concepts[some]].to(states.dtype)
        with record(model, layers=layers) as recording:
            resume_at(model, drills.seen, rows, columns, states)
        for layer in layers:
            found[layer].append(recording.states[layer][:, 0].float().cpu())
    return {layer: torch.cat(parts) for layer, parts in found.items()}
