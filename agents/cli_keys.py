"""`m2kt keys`: an agent's packet key, and whose keys it trusts.

Owns: these commands. Does not own: keys and trust as such (m2kt.signing, m2kt.trust).
"""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from m2kt.disk import LocalDisk, disk_errors, put_whole
from m2kt.identity import KeyId, agent_id
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust, save_trust
from m2kt.wire.cards import envelope_from_bytes, envelope_to_bytes
from m2kt.wire.rotations import accept_rotation, sign_rotation

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
        until = "" if key.until_s is None else ", replaced by another"
        _line(f"trusts {key_id} of {whose}{', a root of trust' if key.root else ''}{until}")
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

    Streams of what it signed end at once. A student un-learns what the key signed at its next
    start; `m2kt unlearn --key` tells one that is running. What it had accepted is listed.
    """
    settings = read_settings(config)
    store = load_trust(settings.trust_file).revoke(KeyId(key), reason)
    save_trust(settings.trust_file, store)
    accepted = _accepted(settings.data_dir / "store", KeyId(key))
    found = {"revoked": key, "reason": reason, "version": store.version, "accepted": accepted}
    _tell(found, as_json=as_json)


@app.command()
def rotate(
    config: Config,
    out: Annotated[
        Path, typer.Option("--out", help="File to write, to be handed to all who trust the key.")
    ] = Path("rotation.bin"),
    as_json: Json = False,
) -> None:
    """Makes a new packet key in the place of the old one, and a statement signed by both.

    Whoever takes it (`m2kt keys accept`) believes the old key for what it signed so far, and
    the new one from then on. The agent signs with the new one after its next start.
    """
    settings = read_settings(config)
    old, new = Ed25519Signer.load(settings.key_file), Ed25519Signer.generate()
    statement = sign_rotation(settings.name, old, new, at_s=time.time())
    put_whole(LocalDisk(), out, [envelope_to_bytes(statement)])
    beside = settings.key_file.with_name(f"{settings.key_file.name}.new")
    kept = settings.key_file.with_name(f"{settings.key_file.name}.{old.key_id[-8:]}")
    disk = LocalDisk()
    with disk_errors(f"replace {settings.key_file}"):
        beside.unlink(missing_ok=True)  # of a change that was broken off
        new.save(beside)
        disk.link(settings.key_file, kept)  # at no moment is there no key
        disk.rename(beside, settings.key_file)
        disk.sync(settings.key_file.parent)
    found = {"old": old.key_id, "new": new.key_id, "statement": out, "old_kept_in": kept}
    _tell(found, as_json=as_json)


@app.command()
def accept(
    file: Annotated[Path, typer.Argument(help="What `m2kt keys rotate` wrote.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Takes a new key in the place of one that is trusted, if both signed for it."""
    path = read_settings(config).trust_file
    with disk_errors(f"read {file}"):
        statement = envelope_from_bytes(file.read_bytes())
    before = load_trust(path)
    store = accept_rotation(statement, before, now_s=time.time())
    save_trust(path, store)
    [new] = set(store.enrolled) - set(before.enrolled)
    found = {"trusted": new, "agent": store.enrolled[new].agent, "version": store.version}
    _tell(found, as_json=as_json)


@app.command()
def threshold(
    signatures: Annotated[int, typer.Argument(help="Valid signatures of one agent.", min=1)],
    config: Config,
    as_json: Json = False,
) -> None:
    """Asks for so many signatures by keys of one agent on whatever is to be believed."""
    path = read_settings(config).trust_file
    store = load_trust(path).require(signatures)
    save_trust(path, store)
    _tell({"threshold": signatures, "version": store.version}, as_json=as_json)


def _accepted(store: Path, key: KeyId) -> list[dict[str, object]]:
    """What a student learnt of packets that a key signed, by its present state; newest first."""
    if not store.exists():
        return []
    from m2kt.store import Store  # needs torch, as keys alone do not

    with Store(store, writable=False) as history:
        skills = history.state(history.head()).skills.items()
        return [
            {"domain": domain, "packets": list(skill.lineage)}
            for domain, skill in skills
            if key in skill.signers
        ]


def _tell(found: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        console.emit(found)
    else:
        _line("  ".join(f"{name} {escape(str(value))}" for name, value in found.items()))


def _line(text: str) -> None:
    """One line, never broken: keys are there to be copied."""
    console.out.print(text, soft_wrap=True, highlight=False)
