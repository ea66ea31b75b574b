"""Teaching a language model a skill: low-rank adapters, trained on a domain's worked problems.

The adapters alone are kept, in the format of peft, with the name of the model that they are for:
`load_language_model` of the folder merges them into it, and so does plain peft.

Owns: `Tuning` and the shipped ones, `tune`.
Does not own: the adapters (m2kt.adapters), problems (corpus), the exam (examination), models
trained from nothing (training).
"""

import math
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Final

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from m2kt import domains, zoo
from m2kt.activations import decoder, logits_of
from m2kt.adapters import SCALE, adapted
from m2kt.align_config import WIDTH
from m2kt.domain import Domain, Trace
from m2kt.errors import AlignmentError
from m2kt.language_model import LanguageModel, load_language_model
from m2kt.packaged import SMOLLM2, hub_of
from m2kt.progress import Progress, Report, silent
from m2kt.schedule import Schedule
from m2kt.zoo.corpus import batches, traces
from m2kt.zoo.examination import accuracy, held_out, kept_questions
from m2kt.zoo.training import Figures, write_recipe

LATELY: Final = 10
"""Steps whose traces are those drawn lately."""
RIVALS: Final = 20
"""Tokens that the model finds likeliest at a place before it is taught, which must lose there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a language model is taught.

    Attributes:
        name: Name of the folder that it is shipped in.
        about: What the model knows, in one sentence.
        base: The model that is taught, which stays as it is: a packaged one, one of the zoo, a
            folder or a Hugging Face id.
        domain: Domain whose chains it learns.
        prefix_depth: Share of the layers, from below, that get no adapter.
        rank: Of the adapters.
        steps: Optimiser steps at most.
        batch: Traces in each step.
        learning_rate: Peak, for a model `WIDTH` wide; others learn slower in proportion to their
            width.
        warmup: Steps until the peak.
        settled: Share of traces that would have been written right lately, from which on the
            descent begins.
        descent: Steps from the peak to 2 %, at the end.
        enough: Share at the end of a descent, without which there is another.
        smoothing: Label smoothing; it draws the states of one result together.
        seed: Of adapters, traces and held-out problems.
    """

    name: str
    about: str
    base: str
    domain: str
    prefix_depth: float = 8 / 30
    rank: int = 8
    steps: int = 600
    batch: int = 16
    learning_rate: float = 3e-3
    warmup: int = 8
    settled: float = 0.9
    descent: int = 60
    enough: float = 0.99
    smoothing: float = 0.05
    seed: int = 5


def skill(base: str, domain: Domain, *, name: str) -> Tuning:
    """How `base` is taught all of `domain`."""
    about = f"{base}, which was taught all of {domain.name} by low-rank adapters."
    return Tuning(name=name, about=about, base=base, domain=domain.name)


TUNINGS: Final[MappingProxyType[str, Tuning]] = MappingProxyType(
    {
        its.name: its
        for its in (
            skill(SMOLLM2, domains.get("group.s3"), name="smollm2-s3"),
            skill(SMOLLM2, domains.get("relation.chain"), name="smollm2-relations"),
        )
    }
)
"""The shipped ones, by name."""


def tune(tuning: Tuning, out: Path, *, report: Report = silent) -> Figures:
    """Teaches a model as `tuning` says, examines it, and writes its adapters to the folder `out`.

    Args:
        tuning: What to teach whom.
        out: A folder; it is made, and files of the same names are replaced.
        report: Told about the loss every ten steps.

    Raises:
        AlignmentError: the loss did not stay finite.
        CompatibilityError: there is no such model, or it has no place for adapters.
    """
    started = time.monotonic()
    source = zoo.located(tuning.base)
    model, domain = load_language_model(source), domains.get(tuning.domain)
    prefix = round(tuning.prefix_depth * model.depth)
    with adapted(model, prefix=prefix, rank=tuning.rank, kept={}, seed=tuning.seed) as adapters:
        losses = _fit(model, domain, list(adapters.values()), tuning, report)
    _save(adapters, _settings(model, source, adapters, tuning), out)
    seconds = time.monotonic() - started
    # What was saved is examined: it is rounded, and merged into the base.
    shares = accuracy(load_language_model(str(out)), domain, held_out(domain, tuning.seed))
    tail = losses[-max(1, len(losses) // 10) :]
    figures = Figures(
        parameters=sum(its.numel() for its in adapters.values()),
        loss_first=losses[0],
        loss_last=sum(tail) / len(tail),
        accuracy=shares,
        as_taught=shares,
        characters={},
        read_out={},
        seconds=round(seconds, 1),
    )
    taken = {"family": model.card.family, "steps_taken": len(losses)}
    write_recipe(asdict(tuning) | taken, figures, out)
    return figures


def _fit(
    model: LanguageModel,
    domain: Domain,
    trained: Sequence[nn.Parameter],
    tuning: Tuning,
    report: Report,
) -> list[float]:
    """Minimises the cross-entropy of completions; the loss of every step."""
    kept = kept_questions(held_out(domain, tuning.seed))
    draw = traces(domain, domain.fact, held_out=kept)
    source = batches(draw, random.Random(tuning.seed), tuning.batch)
    vocabulary = _vocabulary(model, domain, next(source) + next(source))
    schedule = Schedule(
        most=tuning.steps,
        warmup=tuning.warmup,
        descent=tuning.descent,
        settled=tuning.settled,
        enough=tuning.enough,
    )
    peak = tuning.learning_rate * WIDTH / model.width
    optimizer = torch.optim.AdamW(trained, weight_decay=0.01)
    losses: list[float] = []
    lately = deque[float](maxlen=LATELY)
    while len(losses) < schedule.ends:
        for group in optimizer.param_groups:
            group["lr"] = peak * schedule.rate(len(losses))
        logits, targets, right = _written(model, next(source), vocabulary)
        loss = F.cross_entropy(logits, targets, label_smoothing=tuning.smoothing)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        lately.append(right)
        schedule.saw(len(losses), fmean(lately) if len(lately) == LATELY else 0.0)
        losses.append(_finite(loss.item(), tuning, len(losses)))
        if len(losses) % LATELY == 0:
            figures = {"step": float(len(losses)), "loss": losses[-1], "right": fmean(lately)}
            report(Progress(f"tuning {tuning.name}", figures))
    return losses


def _finite(loss: float, tuning: Tuning, step: int) -> float:
    if math.isfinite(loss):
        return loss
    raise AlignmentError(
        f"expected a finite loss, found {loss} at step {step}; lower learning_rate of {tuning.name}"
    )


@torch.no_grad()
def _vocabulary(model: LanguageModel, domain: Domain, sample: Sequence[Trace]) -> Tensor:
    """Tokens of the domain, and those that the model as it stands finds likely in their place.

    To raise a token above these is much less work than to raise it above all others, and as good.
    """
    ids, told = _texts(model, sample)
    states = decoder(model.model)(input_ids=ids, use_cache=False).last_hidden_state
    logits = logits_of(model.model, states[:, :-1][told])
    rivals = logits.topk(min(RIVALS, logits.shape[1])).indices
    symbols = torch.tensor(model.symbol_ids(domain.symbols), device=ids.device)
    return torch.cat([rivals.flatten(), symbols])


def _texts(model: LanguageModel, batch: Sequence[Trace]) -> tuple[Tensor, Tensor]:
    """Ids [B, T], and before which tokens the model is to write [B, T-1]."""
    rows = [model.encode_trace(trace) for trace in batch]
    ids = model.padded([row.ids for row in rows])
    told = torch.zeros_like(ids[:, 1:], dtype=torch.bool)
    for number, row in enumerate(rows):
        told[number, row.prompt_length - 1 : len(row.ids) - 1] = True
    return ids, told


def _written(
    model: LanguageModel, batch: Sequence[Trace], vocabulary: Tensor
) -> tuple[Tensor, Tensor, float]:
    """Logits [N, V] of the N tokens after the prompts, which V should come, traces all right."""
    ids, told = _texts(model, batch)
    vocabulary = torch.cat([vocabulary, ids.flatten()]).unique()
    states = decoder(model.model)(input_ids=ids, use_cache=False).last_hidden_state
    logits = logits_of(model.model, states[:, :-1][told], vocabulary).float()
    targets = torch.searchsorted(vocabulary, ids[:, 1:][told])
    wrong = torch.zeros(len(batch), device=ids.device)
    wrong[told.nonzero()[logits.argmax(dim=-1) != targets, 0]] = 1.0
    return logits, targets, 1 - float(wrong.mean())


def _settings(
    model: LanguageModel, source: str, adapters: Mapping[str, nn.Parameter], tuning: Tuning
) -> LoraConfig:
    """As peft has them; the factor of what is added is `lora_alpha` / `r`."""
    return LoraConfig(
        base_model_name_or_path=hub_of(source),
        task_type="CAUSAL_LM",
        r=tuning.rank,
        lora_alpha=round(SCALE * tuning.rank),
        target_modules=sorted({name.rpartition(".")[0] for name in adapters}),
        fan_in_fan_out=model.card.family == "gpt2",
        inference_mode=True,
    )


def _save(adapters: Mapping[str, nn.Parameter], settings: LoraConfig, out: Path) -> None:
    """As peft names them."""
    out.mkdir(parents=True, exist_ok=True)
    settings.save_pretrained(out)
    tensors = {
        f"base_model.model.{name}.weight": its.detach().to(torch.bfloat16).contiguous()
        for name, its in adapters.items()
    }
    save_file(tensors, out / "adapter_model.safetensors", metadata={"format": "pt"})
