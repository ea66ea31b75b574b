"""`m2kt zoo train|tune|list`: the small reference models and how they are made.

Owns: these commands. Does not own: models and recipes (m2kt.zoo).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m2kt import domains, zoo
from m2kt.errors import NotFoundError
from m2kt.progress import Progress

from . import console

if TYPE_CHECKING:
    from m2kt.zoo.recipes import Recipe

app = typer.Typer(no_args_is_help=True, help="Small reference models and how they are made.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command(name="list")
def list_models(as_json: Json = False) -> None:
    """Lists the models that come with this software."""
    recipes = {name: zoo.recipe(name) for name in zoo.names()}
    if as_json:
        console.emit({"models": recipes})
        return
    shown = console.table("", "model", "family", "#weights", "accuracy by level", "what it knows")
    for name, found in recipes.items():
        accuracy = "  ".join(
            f"{level}: {share:.2f}" for level, share in found["figures"]["accuracy"].items()
        )
        parameters = f"{found['figures']['parameters']:,}"
        recipe = found["recipe"]
        shown.add_row(name, recipe["family"], parameters, accuracy, recipe["about"])
    console.out.print(shown)


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Name of a recipe, or the TOML file of a domain.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to.")],
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the recipe's.")] = None,
    as_json: Json = False,
) -> None:
    """Trains a reference model from nothing, by its recipe, or a specialist in your domain."""
    from m2kt.zoo.training import train as train_model

    figures = train_model(_recipe(name), out, seed=seed, report=_told)
    if as_json:
        console.emit({"name": name, "folder": out, "figures": figures})
    else:
        console.out.print(f"{name}: {figures.parameters:,} weights in {out}, {figures.seconds} s")


@app.command()
def tune(
    base: Annotated[str, typer.Argument(help="Model: smollm2-135m, one of the zoo, a folder.")],
    domain: Annotated[str, typer.Option("--domain", help="Its name, or its TOML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the adapters to.")],
    steps: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    as_json: Json = False,
) -> None:
    """Teaches a language model a domain, by adapters; the folder is a model's name from then on."""
    from dataclasses import replace

    from m2kt.zoo.tuning import skill
    from m2kt.zoo.tuning import tune as tune_model

    known = domains.add(Path(domain)) if domain.endswith(".toml") else domains.get(domain)
    tuning = skill(base, known, name=out.name)
    tuning = tuning if steps is None else replace(tuning, steps=steps)
    figures = tune_model(tuning, out, report=_told)
    if as_json:
        console.emit({"name": tuning.name, "folder": out, "figures": figures})
    else:
        console.out.print(f"{base}: {figures.parameters:,} weights in {out}, {figures.seconds} s")
        console.out.print(f"accuracy by level: {dict(figures.accuracy)}")


def _told(progress: Progress) -> None:
    figures = "  ".join(f"{key} {value:.4g}" for key, value in progress.figures.items())
    console.say(f"{progress.message}  {figures}")


def _recipe(name: str) -> "Recipe":
    """A recipe by its name, or that of a specialist in the domain of a file."""
    from m2kt.zoo.recipes import RECIPES, specialist

    if name.endswith(".toml"):
        domain = domains.add(Path(name))
        return specialist(domain, name=domain.name)
    if name not in RECIPES:
        raise NotFoundError(
            f"expected one of the recipes {', '.join(RECIPES)}, or the TOML file of a domain, found"
            f" {name[:80]!r}; name one, or add a recipe to m2kt/zoo/recipes.py"
        )
    return RECIPES[name]
