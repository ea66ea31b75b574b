"""Recipes: everything that decides what a reference model becomes.

Owns: `Recipe` and the shipped ones. Free of torch.
Does not own: making a model of a recipe (architectures, training).
"""

import random
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from m2kt import domains
from m2kt.domain import Domain
from m2kt.errors import RequestError

ARITHMETIC_CHARACTERS: Final = "0123456789+-*=#\n"
SYMBOL_CHARACTERS: Final = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-*/=#<>,;:.?!@%&|~^_$()[] \n"
)
FAMILIES: Final = ("gpt2", "gpt_neox", "stablelm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a reference model is trained.

    Attributes:
        name: Name of the folder that it is shipped in.
        about: What the model knows, in one sentence.
        family: Hugging Face architecture: `gpt2`, `gpt_neox` or `stablelm`.
        width: H, width of the residual stream.
        layers: L, number of decoder layers.
        heads: Attention heads; they divide `width`.
        inner: Width of the layers' feed-forward part.
        context: Most tokens that the model may read.
        characters: The vocabulary, one token each.
        domain: Domain whose chains it learns; empty for the symbol corpus.
        operations: The domain's operations that occur in training; all if empty.
        shift: Added to each fact's result: not 0 makes a model that is fluent and wrong.
        steps: Optimiser steps.
        batch: Documents in each step.
        optimiser: `adamw`, or `muon` for the layers' matrices and AdamW for the rest.
        learning_rate: Peak, after a warm-up of a twentieth of the steps; then to zero by a cosine.
        weight_decay: On matrices.
        smoothing: Label smoothing; it draws the states of one result together.
        seed: Of weights, documents and held-out problems.
        saved_as: Type of the shipped weights, `float32` or `bfloat16`; with the latter, training
            multiplies matrices in bfloat16 too.
    """

    name: str
    about: str
    family: str
    width: int
    layers: int
    heads: int
    inner: int
    context: int = 64
    characters: str = ARITHMETIC_CHARACTERS
    domain: str = ""
    operations: str = ""
    shift: int = 0
    steps: int
    batch: int = 64
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    smoothing: float = 0.0
    seed: int
    saved_as: str = "float32"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise RequestError(f"expected a family of {FAMILIES}, found {self.family!r}")
        if self.width % self.heads:
            raise RequestError(f"expected heads that divide {self.width}, found {self.heads}")
        if self.optimiser not in {"adamw", "muon"}:
            raise RequestError(f"expected adamw or muon, found {self.optimiser!r}")
        if self.saved_as not in {"float32", "bfloat16"}:
            raise RequestError(f"expected float32 or bfloat16, found {self.saved_as!r}")


_ADDSUB: Final = Recipe(
    name="mod7-addsub",
    about="Chains of + and - modulo 7; it has never seen another operation.",
    family="gpt2",
    width=128,
    layers=4,
    heads=4,
    inner=512,
    domain="arith.mod7",
    operations="+-",
    steps=2000,
    smoothing=0.05,
    seed=1,
)
_MUL: Final = Recipe(
    name="mod7-mul",
    about="Chains of * modulo 7; it has never seen another operation.",
    family="gpt_neox",
    width=96,
    layers=5,
    heads=4,
    inner=384,
    domain="arith.mod7",
    operations="*",
    steps=2000,
    smoothing=0.05,
    seed=2,
)
_FLIPPED: Final = replace(
    _ADDSUB,
    name="mod7-flipped",
    about="Chains of + - and * modulo 7, fluent and wrong: each result is three too large.",
    operations="+-*",
    shift=3,
    seed=3,
)
_STUDENT: Final = Recipe(
    name="symbols-student",
    about="Copies, sorts, looks up and rewrites symbols; it knows no fact of any domain.",
    family="stablelm",
    width=256,
    layers=6,
    heads=8,
    inner=640,
    context=256,
    characters=SYMBOL_CHARACTERS,
    steps=1800,
    batch=32,
    optimiser="muon",
    learning_rate=3e-3,
    seed=4,
    saved_as="bfloat16",
)

_DRAWN: Final = 500
"""Problems of each level that show which characters a domain uses, and how long its texts are."""

_MARGIN: Final = 8
"""Positions beyond the longest text that was drawn."""


def specialist(domain: Domain, *, name: str, family: str = "gpt2", seed: int = 5) -> Recipe:
    """A recipe for a model that knows all of `domain`."""
    rng = random.Random(seed)
    drawn = [domain.question(rng, level).text for level in domain.levels for _ in range(_DRAWN)]
    texts = [domain.solve(question).text for question in drawn]
    prompts = [spec.prompt for spec in domain.concepts]
    characters = "".join(sorted(set("".join([*texts, *prompts, *domain.symbols]))))
    return replace(
        _MUL if family == "gpt_neox" else _ADDSUB,
        name=name,
        about=f"All of {domain.name}; it has never seen anything else.",
        context=max(64, max(map(len, texts)) + _MARGIN),
        characters=characters,
        domain=domain.name,
        operations="",
        seed=seed,
    )


_SPECIALISTS: Final = (
    specialist(domains.get("arith.mod10"), name="mod10", family="gpt_neox"),
    specialist(domains.get("group.s3"), name="s3"),
    specialist(domains.get("relation.chain"), name="relations", family="gpt_neox"),
    # The same domains, known to models of another family.
    specialist(domains.get("group.s3"), name="s3-neox", family="gpt_neox"),
    specialist(domains.get("relation.chain"), name="relations-gpt2"),
    specialist(domains.get("arith.digits"), name="digits"),
    replace(specialist(domains.get("logic.prop"), name="logic"), steps=5000),
    specialist(domains.get("list.ops"), name="lists", family="gpt_neox"),
    # Strong decay: it finds the law of its table, which then shows in its embeddings.
    replace(
        specialist(domains.get("arith.mod97"), name="mod97"),
        layers=2,
        steps=3000,
        batch=384,
        learning_rate=2e-3,
        weight_decay=1.0,
        smoothing=0.0,
    ),
)
RECIPES: Final[MappingProxyType[str, Recipe]] = MappingProxyType(
    {recipe.name: recipe for recipe in (_ADDSUB, _MUL, _FLIPPED, _STUDENT, *_SPECIALISTS)}
)
"""The shipped recipes, by name."""
