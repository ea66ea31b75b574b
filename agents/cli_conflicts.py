"""`m2kt conflicts`: who taught what in a transfer, who differed, and what the student did.

Owns: this command. Does not own: its page (conflict_page).
"""

from pathlib import Path
from typing import Annotated

import typer

from m2kt.consensus import Consensus
from m2kt.errors import NotFoundError
from m2kt.identity import TransferId

from . import console
from .cli_student import Config, Json, StudentAt, Timeout, done, tls_of
from .client import PeerClient
from .conflict_page import build_conflict_page


def conflicts(
    transfer: Annotated[str, typer.Argument(help="Id of the transfer.")],
    student: StudentAt,
    html: Annotated[Path | None, typer.Option(help="File for a page with a heat map.")] = None,
    timeout: Timeout = 30.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Shows what the teachers of a transfer said of each concept, and whom the student followed."""

    async def work() -> Consensus | None:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            view = await peer.transfer(TransferId(transfer), timeout_s=timeout)
            return view.verdict.consensus if view.verdict is not None else None

    found = done(work())
    if found is None:
        raise NotFoundError(
            f"expected a transfer whose packets were combined, found {transfer}, which ended before"
            " that or has not come so far; see m2kt watch"
        )
    if html is not None:
        html.write_text(build_conflict_page(transfer, found), encoding="utf-8")
        console.say(f"the page stands in {html}")
    if as_json:
        console.emit(console.plain(found))
    else:
        show(found)


def show(consensus: Consensus) -> None:
    """Voters, and the concepts on which they differ."""
    voters = console.table(
        f"{consensus.rule}, {consensus.hostile} hostile", "voter", "", "#used", "#outvoted", "why"
    )
    for its in consensus.standings:
        used = f"{its.used} of {its.concepts}"
        voters.add_row(its.voter, its.fate.value, used, str(its.outvoted), its.why)
    console.out.print(voters)
    if not consensus.disputed:
        return
    disputes = console.table("where they differ", "concept", "", "who said what", "#p")
    for opinion in consensus.disputed:
        said = ", ".join(f"{voice.voter}: {voice.says}" for voice in opinion.voices)
        disputes.add_row(opinion.concept, opinion.decision.value, said, f"{opinion.p:.4f}")
    console.out.print(disputes)
