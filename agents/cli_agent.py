"""`m2kt agent teacher|student|broker`: an agent that serves until it is told to stop.

Owns: these commands. Does not own: starting agents (launching), workers on Ray (actors).
"""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from m2kt.errors import RequestError
from m2kt.identity import Role
from m2kt.signing import Ed25519Signer

from . import console
from .allocator import keep_freed_memory
from .launching import RunningAgent, start_agent
from .settings import Executor, Settings, read_settings

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
    asyncio.run(_until_told(settings, as_json=as_json))


async def _until_told(settings: Settings, *, as_json: bool) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    if settings.keep_freed_memory:
        keep_freed_memory()
    told = asyncio.Event()
    on_ray = settings.executor is Executor.RAY and settings.role is not Role.BROKER
    make_host, close = None, None
    if on_ray:
        from . import actors  # a thread's agent has no use for Ray

        make_host, close = actors.host_for, actors.stop_local_ray
        actors.start_local_ray()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    running = await start_agent(settings, make_host=make_host)
    _announce(settings, running, as_json=as_json)
    await told.wait()
    console.say(f"{settings.name} drains")
    await running.drain()
    if close is not None:
        await asyncio.to_thread(close)


def _announce(settings: Settings, running: RunningAgent, *, as_json: bool) -> None:
    key, address = None, running.address
    figures = running.metrics.address if running.metrics is not None else None
    if settings.key_file.exists():
        key = Ed25519Signer.load(settings.key_file).key_id
    if as_json:
        role = settings.role.value
        told = {"agent": settings.name, "role": role, "address": address, "key_id": key}
        console.emit(told | {"metrics": figures})
    else:
        console.out.print(f"{settings.name} ({settings.role.value}) answers at {address}")
        console.out.print(f"key {key}" if key else "without a key")
        if figures:
            console.out.print(f"figures for Prometheus at {figures}/metrics")
