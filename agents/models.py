"""Which model an agent's settings mean, and what it computes with.

Owns: names of the zoo beside all others, device `auto`, CPU threads.
Does not own: loading itself (m2kt.language_model).
"""

import torch

from m2kt import zoo
from m2kt.language_model import LanguageModel, load_language_model

from .settings import ModelSettings


def load_model(settings: ModelSettings) -> LanguageModel:
    """The frozen model that `settings` name.

    Raises:
        CompatibilityError: there is none of that name.
    """
    return load_language_model(zoo.located(settings.name), device=device_of(settings.device))


def device_of(wanted: str) -> str:
    """`auto` is a GPU if there is one, else the CPU."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def use_threads(count: int) -> None:
    """CPU threads for model work; 0 leaves torch its own choice (Ray makes it 1)."""
    if count:
        torch.set_num_threads(count)
