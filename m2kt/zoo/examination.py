"""How good a reference model is: answers to held-out problems, and how readable its states are.

Owns: what is kept for the exam, accuracy by level or by game, and the read-out probe.
Does not own: training (training), examining students (verify).
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from m2kt.domain import Domain, answer_in
from m2kt.language_model import LanguageModel
from m2kt.probes import Probe, ProbeSet, draw_probes
from m2kt.zoo.corpus import Document, taught_fact
from m2kt.zoo.symbols import GAMES, symbol_document

HELD_OUT: Final = 100
"""Problems of each level that are kept."""
CONTEXTS: Final = 16
SPLITS: Final = 20
TRAIN_SHARE: Final = 0.6


def held_out(domain: Domain, seed: int) -> ProbeSet:
    """What a specialist is examined on. Of a level above the first at most half is kept for it."""
    every = draw_probes(domain, seed=seed, per_level=2 * HELD_OUT)
    probes = draw_probes(domain, seed=seed, per_level=HELD_OUT)
    kept: list[Probe] = []
    for level in domain.levels:
        most = HELD_OUT if level == 1 else max(1, len(every.at(level)) // 2)
        kept += probes.at(level)[:most]
    return ProbeSet(domain.name, tuple(kept))


def kept_questions(probes: ProbeSet) -> frozenset[str]:
    """Questions that are not trained on. Single facts are all taught: they are the knowledge."""
    return frozenset(item.question for item in probes.items if item.level > 1)


def accuracy(
    model: LanguageModel, domain: Domain, probes: ProbeSet, *, shift: int = 0
) -> dict[str, float]:
    """Share of right answers by level.

    Args:
        model: Who is examined.
        domain: Where right answers come from.
        probes: The problems; their own answers are not used.
        shift: As in the recipe: 0 examines by the truth, else by what was taught.
    """
    shares = {}
    for level in domain.levels:
        items = probes.at(level)
        completions = model.complete(
            [item.question + "\n" for item in items],
            max_new_tokens=domain.completion_characters(level),
        )
        wanted = [_answer(domain, item.question, shift) for item in items]
        right = sum(answer_in(c) == w for c, w in zip(completions, wanted, strict=True))
        shares[str(level)] = right / len(items)
    return shares


def game_accuracy(model: LanguageModel, *, seed: int, per_game: int) -> dict[str, float]:
    """By game of the symbol corpus, the share of last parts written without a mistake.

    Strict: some games, such as a repeated word, do not say in advance where they end, and
    a model that goes on too long is wrong. `game_characters` shows such games apart.
    """
    rng, shares = random.Random(seed), {}
    for game in GAMES:
        texts = [symbol_document(rng, game) for _ in range(per_game)]
        written = model.complete(
            ["".join(parts[:-1]) for parts in texts],
            max_new_tokens=max(len(parts[-1]) for parts in texts) + 1,
        )
        right = sum(have == parts[-1] for have, parts in zip(written, texts, strict=True))
        shares[game] = right / per_game
    return shares


@torch.no_grad()
def game_characters(model: LanguageModel, *, seed: int, per_game: int) -> dict[str, float]:
    """By game, the share of characters predicted right, each after the right text before it.

    Much easier than `game_accuracy`: a mistake does not spoil what follows it.
    """
    rng, shares = random.Random(seed), {}
    for game in GAMES:
        documents = [Document(symbol_document(rng, game)) for _ in range(per_game)]
        ids = model.padded([model.encode(document.text) for document in documents])
        guesses = model.model(input_ids=ids, use_cache=False).logits[:, :-1].argmax(dim=-1)
        hits = guesses.eq(ids[:, 1:])
        right = [
            bool(hits[row, at - 1])
            for row, document in enumerate(documents)
            for at, wanted in enumerate(document.scored())
            if wanted
        ]
        shares[game] = sum(right) / len(right)
    return shares


def _answer(domain: Domain, question: str, shift: int) -> str:
    return domain.work(question, partial(taught_fact, domain, shift)).answer


def concept_states(
    model: LanguageModel, domain: Domain, *, layer: int, seed: int
) -> Float[Tensor, "K H"]:
    """For each concept the mean state where its result is due, over 16 contexts."""
    rng = random.Random(seed)
    means = []
    for spec in domain.concepts:
        texts = domain.contexts(rng, spec.id, CONTEXTS)
        means.append(model.last_states(texts, layer=layer).mean(dim=0))
    return torch.stack(means)


def read_out(
    states: Float[Tensor, "K H"], results: Sequence[int], *, seed: int
) -> dict[str, float]:
    """How well a linear probe reads results of concepts that it was not trained on.

    A multinomial logistic probe on states of unit root mean square is trained on 60 %
    of the concepts and tested on the rest, over 20 random splits.

    Returns:
        `mean` and `worst` share of right results over the splits.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = F.rms_norm(states, (states.shape[1],))
    inputs = inputs - inputs.mean(dim=0)
    targets = torch.tensor(results)
    shares = []
    for _ in range(SPLITS):
        order = torch.randperm(len(targets), generator=generator)
        cut = int(TRAIN_SHARE * len(targets))
        weights = _logistic(inputs[order[:cut]], targets[order[:cut]])
        rest = order[cut:]
        shares.append(
            (inputs[rest] @ weights).argmax(dim=1).eq(targets[rest]).float().mean().item()
        )
    return {"mean": sum(shares) / len(shares), "worst": min(shares)}


def _logistic(inputs: Float[Tensor, "N H"], targets: Tensor) -> Float[Tensor, "H R"]:
    weights = torch.zeros(inputs.shape[1], int(targets.max()) + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(inputs @ weights, targets) + 1e-3 * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach()
