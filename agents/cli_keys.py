"""`m2kt keys new|show|trust|revoke`: an agent's packet key, and whose keys it trusts.

Owns: these commands. Does not own: keys and trust as such (m2kt.signing, m2kt.trust).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from m2kt.identity import KeyId, agent_id
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust, save_trust

from . import console
from .settings import read_settings

app = typer.Typer(no_args_is_help=True, help="An agent's packet key, and whose keys it trusts.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Config = Annotated[Path, typer.Option("--config", help="Settings of the agent.")]
Root = Annotated[bool, typer.Option("--root", help="No other teachers outvote this one.")]
KeyName = Annotated[str, typer.Argument(help="Id of a key: ed25519:...")]


@app.command()
def new(config: Config, as_json: Json = False) -> None:
    """Makes a packet key for an agent that has none."""
    settings = read_settings(config)
    signer = Ed25519Signer.generate()
    settings.key_file.parent.mkdir(parents=True, exist_ok=True)
    signer.save(settings.key_file)
    found = {"agent": settings.name, "key_id": signer.key_id, "file": settings.key_file}
    if as_json:
        console.emit(found)
    else:
        _line(f"{settings.name} {signer.key_id}\nkept in {settings.key_file}")


@app.command()
def show(config: Config, as_json: Json = False) -> None:
    """Shows an agent's own key, and whose keys it trusts."""
    settings = read_settings(config)
    trust = load_trust(settings.trust_file)
    own = Ed25519Signer.load(settings.key_file).key_id if settings.key_file.exists() else None
    if as_json:
        console.emit({"agent": settings.name, "key_id": own, "trust": trust})
        return
    _line(f"{settings.name} {own or 'has no key yet: m2kt keys new'}")
    for key_id, key in sorted(trust.enrolled.items()):
        whose = f"{key.agent} of {key.organisation}" if key.organisation else key.agent
        _line(f"trusts {key_id} of {whose}{', a root of trust' if key.root else ''}")
    for key_id, reason in sorted(trust.revoked.items()):
        _line(f"[red]revoked[/red] {key_id}: {escape(reason)}")
    if not trust.enrolled:
        _line("trusts nobody yet: m2kt keys trust")


@app.command()
def trust(
    key: KeyName,
    agent: Annotated[str, typer.Option("--agent", help="To whom the key belongs.")],
    config: Config,
    organisation: Annotated[str, typer.Option("--organisation", help="Whose agent it is.")] = "",
    root: Root = False,
    as_json: Json = False,
) -> None:
    """Enrols a key: packets and receipts signed with it will be believed."""
    path = read_settings(config).trust_file
    store = load_trust(path).enrol(KeyId(key), agent_id(agent), organisation, root=root)
    save_trust(path, store)
    found = {"trusted": key, "agent": agent, "root": root, "version": store.version}
    _tell(found, as_json=as_json)


@app.command()
def revoke(
    key: KeyName,
    config: Config,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "revoked by its owner",
    as_json: Json = False,
) -> None:
    """Trusts a key no longer; it does not come back.

    A student un-learns what the key signed at its next start; `m2kt unlearn --key` tells one
    that is running.
    """
    path = read_settings(config).trust_file
    store = load_trust(path).revoke(KeyId(key), reason)
    save_trust(path, store)
    _tell({"revoked": key, "reason": reason, "version": store.version}, as_json=as_json)


def _tell(found: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        console.emit(found)
    else:
        _line("  ".join(f"{name} {escape(str(value))}" for name, value in found.items()))


def _line(text: str) -> None:
    """One line, never broken: keys are there to be copied."""
    console.out.print(text, soft_wrap=True, highlight=False)
