"""Ten teachers of one domain, of four families and several sizes; and weak ones.

Three are shipped; the others are trained when they are first asked for, a minute or two each, and
kept.

Owns: `FACULTY`, `ROOT`, `WEAK`, `located`. Does not own: who of them is hostile (gatherings).
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from m2kt import domains, zoo
from m2kt.progress import Report, silent
from m2kt.zoo.recipes import Recipe, specialist
from m2kt.zoo.training import train

DOMAIN: Final = "group.s3"


def _recipe(family: str, width: int, seed: int, steps: int = 1000) -> Recipe:
    domain = domains.get(DOMAIN)
    name = f"s3-{family}-{width}-{steps}"
    return replace(
        specialist(domain, name=name, seed=seed),
        family=family,
        width=width,
        layers=4 if width > 64 else 3,
        inner=4 * width,
        steps=steps,
    )


_TRAINED: Final = (
    _recipe("stablelm", 64, 15),
    _recipe("gpt2", 96, 12),
    _recipe("gpt_neox", 64, 13),
    _recipe("stablelm", 96, 16),
    _recipe("gpt_neox", 128, 14),
    _recipe("stablelm", 128, 17),
    _recipe("gpt_neox", 96, 18),
)
_UNFINISHED: Final = (_recipe("gpt_neox", 64, 22, 450), _recipe("stablelm", 64, 25, 450))
_SOUND: Final = _recipe("gpt2", 128, 19)
_RECIPES: Final = {recipe.name: recipe for recipe in (*_TRAINED, *_UNFINISHED, _SOUND)}

FACULTY: Final = (
    "s3",
    "s3-neox",
    _TRAINED[0].name,
    _TRAINED[1].name,
    _TRAINED[2].name,
    _TRAINED[3].name,
    "smollm2-s3",
    *(recipe.name for recipe in _TRAINED[4:]),
)
"""Who knows all of the domain, in the order in which they are asked."""
ROOT: Final = _SOUND.name
"""Who knows all of it too, and is asked as a root of trust alone."""
WEAK: Final = tuple(recipe.name for recipe in _UNFINISHED)
"""Who was not trained to the end, and errs now and then."""


def located(name: str, folder: Path, report: Report = silent) -> str:
    """What a teacher's model is loaded by; it is trained if it is not there.

    Args:
        name: Of `FACULTY` or `WEAK`.
        folder: Where trained ones are kept.
        report: Hears of training.
    """
    if name in zoo.names():
        return name
    place = folder / name
    if not (place / "recipe.json").exists():
        train(_RECIPES[name], place, report=report)
    return str(place)
