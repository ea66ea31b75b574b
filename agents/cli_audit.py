"""`m2kt audit show|verify`: what an agent did, and whether somebody changed what it wrote down.

Owns: these commands. Does not own: the log (m2kt.audit).
"""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from m2kt.audit import AuditLog, verify_entries
from m2kt.digest import Digest, digest_from_text
from m2kt.errors import NotFoundError, RequestError
from m2kt.identity import KeyId
from m2kt.journal import Journal
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust

from . import console
from .settings import Settings, read_settings

app = typer.Typer(no_args_is_help=True, help="What an agent did, and whether that was changed.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Config = Annotated[Path, typer.Option("--config", help="Settings of the agent.")]
Keys = Annotated[
    list[str] | None, typer.Option("--key", help="A key that the agent had; may be repeated.")
]
Witnessed = Annotated[
    list[str] | None,
    typer.Option("--told", help="NUMBER:DIGEST of an entry, as a receipt has it; repeatable."),
]


MOST_DIGITS: Final = 18
"""Of the number of an entry."""


@app.command()
def show(
    config: Config,
    last: Annotated[int, typer.Option("--last", help="At most so many.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Shows the last entries."""
    settings = read_settings(config)
    with _journal(settings) as journal:
        entries = AuditLog(journal.database, _signer(settings)).entries()[-last:]
    if as_json:
        console.emit({"agent": settings.name, "entries": entries})
        return
    for entry in entries:
        facts = "  ".join(f"{name} {value}" for name, value in sorted(entry.facts.items()))
        _line(f"{entry.number}  {entry.at_s:.3f}  [bold]{entry.deed}[/bold]  {escape(facts)}")
    if not entries:
        _line("nothing yet")


@app.command()
def verify(config: Config, key: Keys = None, told: Witnessed = None, as_json: Json = False) -> None:
    """Checks that nothing was changed, dropped, inserted, or cut off that others were told of.

    Receipts name the entries that the student had: `audit_entries` and `audit_head`.
    """
    settings = read_settings(config)
    witnessed = dict(map(_told, told or ()))
    own = _signer(settings)
    enrolled = load_trust(settings.trust_file).enrolled.items()
    keys = {own.key_id, *map(KeyId, key or ())}
    keys |= {key_id for key_id, its in enrolled if its.agent == settings.name}
    with _journal(settings) as journal:
        entries = AuditLog(journal.database, own).entries()
    count, head = verify_entries(entries, keys, witnessed)
    if as_json:
        console.emit({"agent": settings.name, "entries": count, "head": head})
    else:
        _line(f"{count} entries, untampered; the last is {head}")


def _journal(settings: Settings) -> Journal:
    path = settings.data_dir / "journal.sqlite"
    if not path.exists():
        raise NotFoundError(f"expected the journal {path}, found none; start the agent first")
    return Journal(path)


def _signer(settings: Settings) -> Ed25519Signer:
    return Ed25519Signer.load(settings.key_file)


def _told(text: str) -> tuple[int, Digest]:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(number) > MOST_DIGITS:
        raise RequestError(f"expected NUMBER:DIGEST, found {text[:80]!r}; see a receipt")
    return int(number), digest_from_text(digest)


def _line(text: str) -> None:
    console.out.print(text, soft_wrap=True, highlight=False)
