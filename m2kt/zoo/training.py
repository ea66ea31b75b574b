"""Training a reference model from nothing, and saving it as a Hugging Face folder.

Owns: `train`, its figures, and `recipe.json`.
Does not own: what is trained on (corpus) and how it is examined (examination).
"""

import json
import math
import platform
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypedDict

import tokenizers
import torch
import transformers
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from m2kt.activations import decoder_layers
from m2kt.errors import AlignmentError
from m2kt.language_model import LanguageModel
from m2kt.probes import ProbeSet
from m2kt.progress import Progress, Report, silent
from m2kt.zoo.architectures import build
from m2kt.zoo.characters import END_ID, PAD_ID, character_tokenizer
from m2kt.zoo.corpus import Document, batches, draws, restricted_domain, taught_fact
from m2kt.zoo.examination import (
    HELD_OUT,
    accuracy,
    concept_states,
    game_accuracy,
    game_characters,
    held_out,
    kept_questions,
    read_out,
)
from m2kt.zoo.recipes import Recipe

IGNORED: Final = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of a training.

    Attributes:
        parameters: Number of weights.
        loss_first: Loss of the first step, in nats a character.
        loss_last: Mean loss of the last tenth of the steps.
        accuracy: Share of right answers to held-out problems, by level, or by game of the
            symbol corpus.
        as_taught: The same by what was taught, which differs for a flipped teacher.
        characters: By game, share of characters predicted right after the right text before
            them; empty without games.
        read_out: A linear probe's accuracy on concepts that it was not trained on; empty where
            concepts are no facts.
        seconds: How long the training took.
    """

    parameters: int
    loss_first: float
    loss_last: float
    accuracy: Mapping[str, float]
    as_taught: Mapping[str, float]
    characters: Mapping[str, float]
    read_out: Mapping[str, float]
    seconds: float


def train(
    recipe: Recipe, out: Path, *, seed: int | None = None, report: Report = silent
) -> Figures:
    """Trains a model by `recipe`, examines it, and writes it to the folder `out`.

    Args:
        recipe: What to train.
        out: A folder; it is made, and files of the same names are replaced.
        seed: Instead of the recipe's.
        report: Told about the loss every hundred steps.

    Raises:
        AlignmentError: the loss did not stay finite.
    """
    recipe = recipe if seed is None else replace(recipe, seed=seed)
    started = time.monotonic()
    tokenizer = character_tokenizer(recipe.characters, context=recipe.context)
    model = build(recipe)
    losses = _fit(model, tokenizer, recipe, report)
    seconds = time.monotonic() - started
    saved_as = getattr(torch, recipe.saved_as)
    _save(model.to(saved_as), tokenizer, out)
    # The saved weights are examined: those of a bfloat16 model are rounded.
    examined = _examine(LanguageModel(recipe.name, model.float(), tokenizer, "cpu"), recipe)
    tail = losses[-max(1, len(losses) // 10) :]
    figures = Figures(
        parameters=sum(p.numel() for p in model.parameters()),
        loss_first=losses[0],
        loss_last=sum(tail) / len(tail),
        seconds=round(seconds, 1),
        **examined,
    )
    write_recipe(asdict(recipe), figures, out)
    return figures


def examination_of(recipe: Recipe) -> ProbeSet:
    """What the model of a recipe is examined on."""
    return held_out(restricted_domain(recipe), recipe.seed)


def _fit(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, report: Report
) -> list[float]:
    """Minimises the cross-entropy of completions; the loss of every step."""
    optimisers = _optimisers(model, recipe)
    kept = kept_questions(examination_of(recipe)) if recipe.domain else frozenset[str]()
    draw = draws(recipe, held_out=kept)
    source = batches(draw, random.Random(recipe.seed), recipe.batch)
    half = recipe.saved_as == "bfloat16"
    losses: list[float] = []
    # On a CPU the fused attention's backward pass takes longer than its parts do.
    model.set_attn_implementation("eager")
    model.train()
    for step in range(recipe.steps):
        ids, targets = _tensors(tokenizer, next(source))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = _loss(model, ids, targets, smoothing=recipe.smoothing)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * _pace(step, recipe.steps)
            optimiser.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise AlignmentError(
                f"expected a finite loss, found {losses[-1]} at step {step}; lower learning_rate"
                f" of {recipe.name}"
            )
        if step % 100 == 0 or step == recipe.steps - 1:
            report(Progress(f"training {recipe.name}", {"step": float(step), "loss": losses[-1]}))
    return losses


def _optimisers(model: PreTrainedModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW, without decay on vectors; or Muon (Jordan et al., 2024) for the layers' matrices."""
    rate, decay, inner, matrices, vectors = recipe.learning_rate, recipe.weight_decay, [], [], []
    in_layers = {id(p) for p in decoder_layers(model).parameters()}
    for parameter in model.parameters():
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif recipe.optimiser == "muon" and id(parameter) in in_layers:
            inner.append(parameter)
        else:
            matrices.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
    ]
    if inner:
        muon = torch.optim.Muon(inner, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        found.append(muon)
    return found


def _pace(step: int, steps: int) -> float:
    """Warm-up over a twentieth, then a cosine down to a hundredth."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _tensors(
    tokenizer: PreTrainedTokenizerFast, documents: Sequence[Document]
) -> tuple[Tensor, Tensor]:
    """Ids [B, T], padded on the right, and targets [B, T-1] where the model is to write."""
    rows = [tokenizer(document.text)["input_ids"] + [END_ID] for document in documents]
    marks = [[*document.scored(), True] for document in documents]
    width = max(map(len, rows))
    ids = torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows])
    scored = torch.tensor([mark + [False] * (width - len(mark)) for mark in marks])
    return ids, ids.masked_fill(~scored, IGNORED)[:, 1:]


def _loss(model: PreTrainedModel, ids: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    kept = targets != IGNORED
    return F.cross_entropy(logits[kept].float(), targets[kept], label_smoothing=smoothing)


class _Examined(TypedDict):
    accuracy: dict[str, float]
    as_taught: dict[str, float]
    characters: dict[str, float]
    read_out: dict[str, float]


def _examine(model: LanguageModel, recipe: Recipe) -> _Examined:
    seed = recipe.seed
    if not recipe.domain:
        by_game = game_accuracy(model, seed=-1 - seed, per_game=HELD_OUT)
        characters = game_characters(model, seed=-1 - seed, per_game=HELD_OUT)
        return {
            "accuracy": by_game,
            "as_taught": by_game,
            "characters": characters,
            "read_out": {},
        }
    domain = restricted_domain(recipe)
    probes = examination_of(recipe)
    readable: dict[str, float] = {}
    if not domain.relational:
        states = concept_states(model, domain, layer=model.depth, seed=seed)
        taught = [taught_fact(domain, recipe.shift, spec.id) for spec in domain.concepts]
        results = [domain.symbols.index(symbol) for symbol in taught]
        readable = read_out(states, results, seed=seed)
    return {
        "accuracy": accuracy(model, domain, probes),
        "as_taught": accuracy(model, domain, probes, shift=recipe.shift),
        "characters": {},
        "read_out": readable,
    }


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        bos_token_id=END_ID, eos_token_id=END_ID, pad_token_id=PAD_ID
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    # transformers 5 writes a class name that 4 does not know; both know this one.
    path = out / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n")


def write_recipe(recipe: Mapping[str, Any], figures: Figures, out: Path) -> None:
    """Writes `recipe.json`: the recipe with the seed used, figures, versions."""
    record = {
        "recipe": dict(recipe),
        "figures": asdict(figures),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }
    (out / "recipe.json").write_text(json.dumps(record, indent=2) + "\n")
