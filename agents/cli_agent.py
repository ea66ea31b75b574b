"""`m2kt agent teacher|student|broker`: an agent that serves until it is told to stop.

Owns: these commands. Does not own: the agents (teacher, student, broker), hosting by Ray (actors).
"""

from pathlib import Path
from typing import Annotated

import typer

from m2kt.errors import RequestError
from m2kt.identity import Role

from . import console
from .settings import Settings, read_settings

app = typer.Typer(no_args_is_help=True, help="An agent that serves until it is told to stop.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Config = Annotated[Path, typer.Option("--config", help="Settings of the agent, TOML.")]


@app.command()
def teacher(config: Config, as_json: Json = False) -> None:
    """Sends what it knows, signed, to students who ask."""
    _serve(Role.TEACHER, config, as_json=as_json)


@app.command()
def student(config: Config, as_json: Json = False) -> None:
    """Learns from those it trusts, and keeps what its own probes confirm."""
    _serve(Role.STUDENT, config, as_json=as_json)


@app.command()
def broker(config: Config, as_json: Json = False) -> None:
    """Knows who teaches what, and keeps sealed packets that it never opens."""
    _serve(Role.BROKER, config, as_json=as_json)


def _serve(role: Role, config: Path, *, as_json: bool) -> None:
    settings = read_settings(config)
    if settings.role is not role:
        raise RequestError(
            f"expected settings of a {role.value}, found those of a {settings.role.value} in"
            f" {config}; start `m2kt agent {settings.role.value}`, or name another file"
        )
    _run(settings, as_json=as_json)
