"""Small reference models, trained by our own scripts and shipped with their recipes.

Each folder under `models/` loads with plain `AutoModelForCausalLM.from_pretrained`
and `AutoTokenizer.from_pretrained`, or holds adapters of a language model in the format of
peft; its `recipe.json` says what it was trained on and how well it does.

Owns: finding the shipped models by name. Free of torch.
Does not own: training them (training, tuning).
"""

import json
from pathlib import Path
from typing import Any, Final

from m2kt.errors import NotFoundError

MODELS: Final = Path(__file__).resolve().parent / "models"


def names() -> tuple[str, ...]:
    """Names of the shipped models."""
    return tuple(sorted(found.parent.name for found in MODELS.glob("*/recipe.json")))


def folder(name: str) -> Path:
    """The Hugging Face folder of a shipped model.

    Raises:
        NotFoundError: no model of that name is shipped.
    """
    if name not in names():
        raise NotFoundError(
            f"expected one of the models {', '.join(names())}, found {name[:80]!r};"
            " train it with `m2kt zoo train`"
        )
    return MODELS / name


def located(name: str) -> str:
    """The folder of a shipped model; any other `name` as it is."""
    return str(folder(name)) if name in names() else name


def recipe(name: str) -> dict[str, Any]:
    """What `recipe.json` of a shipped model says: its recipe, figures and versions.

    Raises:
        NotFoundError: no model of that name is shipped.
    """
    found: dict[str, Any] = json.loads((folder(name) / "recipe.json").read_text())
    return found
