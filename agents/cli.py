"""`m2kt`, the command line: what a person starts.

Every command takes `--json` and then writes exactly one JSON document to stdout (`bench`
to a file); all that is news goes to stderr. Exit codes stand in `agents/README.md`.

Owns: the table of commands, and what becomes of errors.
Does not own: the commands themselves (cli_agent, cli_audit, cli_bench, cli_certs,
cli_conflicts, cli_keys, cli_packet, cli_student, cli_zoo).
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from m2kt import __version__, domains
from m2kt.errors import M2KTError

from . import (
    cli_agent,
    cli_audit,
    cli_bench,
    cli_certs,
    cli_conflicts,
    cli_keys,
    cli_packet,
    cli_student,
    cli_zoo,
    console,
)
from .client import PeerClient

app = typer.Typer(
    name="m2kt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One language model learns from another over the network, and may say no.",
)
app.add_typer(cli_agent.app, name="agent")
app.command()(cli_student.learn)
app.command()(cli_student.watch)
app.command()(cli_student.ask)
app.command()(cli_student.history)
app.command()(cli_student.unlearn)
app.command()(cli_student.revert)
app.command()(cli_student.teachers)
app.command()(cli_conflicts.conflicts)
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_certs.app, name="certs")
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_packet.app, name="packet")
app.add_typer(cli_zoo.app, name="zoo")
app.add_typer(cli_bench.app, name="bench")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Name the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log to stderr.")] = False,
) -> None:
    if verbose:
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
        )
    if version:
        console.out.print(__version__)
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for demo.json and demo.html.")] = Path(
        "demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer problems; not a result.")] = False,
    as_json: Json = False,
) -> None:
    """Two teachers teach a language model on this machine. Exit code 1 if a claim fails."""
    from .demo import run_demo  # starts Ray and loads torch: only when asked for

    record = asyncio.run(run_demo(out, quick=quick))
    if as_json:
        console.emit(record)
    if not all(record["acceptance"].values()):
        raise typer.Exit(console.DECLINED)


@app.command(name="domains")
def list_domains(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of domains.")] = None,
    as_json: Json = False,
) -> None:
    """Lists the domains that this software knows, those of FILES included. It checks these."""
    for file in files or ():
        domains.add(file)
    found = [domains.get(name) for name in domains.names()]
    if as_json:
        rows = [
            {"name": d.name, "levels": d.levels, "symbols": d.symbols, "concepts": len(d.concepts)}
            for d in found
        ]
        console.emit({"domains": rows})
        return
    shown = console.table("", "domain", "levels", "#concepts", "for example")
    for domain in found:
        levels = f"{domain.levels[0]} to {domain.levels[-1]}"
        shown.add_row(domain.name, levels, str(len(domain.concepts)), domain.concepts[0].gloss)
    console.out.print(shown)


@app.command()
def health(
    address: Annotated[str, typer.Argument(help="host:port of any agent.")],
    timeout: Annotated[float, typer.Option("--timeout", help="Deadline in seconds.")] = 5.0,
    config: cli_student.Config = None,
    as_json: Json = False,
) -> None:
    """Asks an agent whether it serves (grpc.health.v1). Exit code 1 if it does not."""

    async def work() -> bool:
        async with PeerClient(address, tls=cli_student.tls_of(config)) as peer:
            return await peer.healthy(timeout_s=timeout)

    serving = asyncio.run(work())
    if as_json:
        console.emit({"address": address, "serving": serving})
    else:
        console.out.print("serving" if serving else "not serving")
    if not serving:
        raise typer.Exit(console.DECLINED)


def main() -> None:
    """Runs the command line; an error becomes a message and an exit code."""
    try:
        app()
    except M2KTError as error:
        console.show_error(error, as_json="--json" in sys.argv)
        sys.exit(console.exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
