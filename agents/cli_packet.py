"""`m2kt packet extract|inspect|verify`: packets as files, which can be carried by hand.

What needs torch is imported by the commands that use it: keys and brokers do without.

Owns: these commands.
Does not own: extraction (lecturer), the format (m2kt.wire.files), checks (m2kt.wire, m2kt.screen).
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from m2kt import domains
from m2kt.identity import BROADCAST, agent_id
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust
from m2kt.verdict import Rejected
from m2kt.wire.files import read_packet_file, write_packet_file

from . import console
from .settings import add_domains, read_settings

app = typer.Typer(no_args_is_help=True, help="Knowledge packets as files.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
File = Annotated[Path, typer.Argument(help="A packet file, NAME.m2kt.")]


@app.command()
def extract(
    config: Annotated[Path, typer.Option("--config", help="Settings of a teacher.")],
    domain: Annotated[str, typer.Option("--domain", help="Name of the domain.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, NAME.m2kt.")],
    audience: Annotated[
        str, typer.Option("--audience", help="Student that may read it; `any` for all.")
    ] = str(BROADCAST),
    as_json: Json = False,
) -> None:
    """Reads a domain out of a teacher's model and seals it in a file."""
    from m2kt.wire.chunks import SealHeader, seal

    from .lecturer import Lecturer

    settings = read_settings(config)
    signer = Ed25519Signer.load(settings.key_file)
    now_s = time.time()
    encoded = Lecturer(settings).lecture(domain, now_s).encoded()
    header = SealHeader(
        audience=agent_id(audience),
        nonce=b"",
        sequence=int(now_s),
        issued_at_s=now_s,
        ttl_s=settings.limits.packet_life_s,
    )
    sealed = seal(encoded, signer, header)
    write_packet_file(out, sealed.envelope, encoded.payload)
    found = {"packet_id": sealed.packet_id, "file": out, "bytes": out.stat().st_size}
    if as_json:
        console.emit(found)
    else:
        console.out.print(f"{sealed.packet_id}\n{out}, {found['bytes']:,} bytes")


@app.command()
def inspect(
    file: File,
    concepts: Annotated[int, typer.Option("--concepts", help="At most so many.", min=0)] = 12,
    traces: Annotated[int, typer.Option("--traces", help="At most so many.", min=0)] = 6,
    as_json: Json = False,
) -> None:
    """Shows what is inside a packet. Whether its signers are trusted is not asked: see verify."""
    from .inspection import opened, show

    envelope, payload = read_packet_file(file)
    found = opened(envelope, payload)
    if as_json:
        console.emit(found)
        return
    show(found, concepts=concepts, traces=traces)
    console.say(
        f"{found['provenance'].teacher} signed it, if the key is theirs: m2kt packet verify asks"
    )


@app.command()
def verify(
    file: File,
    config: Annotated[Path, typer.Option("--config", help="Settings of the student that asks.")],
    as_json: Json = False,
) -> None:
    """Checks a packet as a student would, up to learning. Exit code 1 if screening refuses it."""
    from m2kt.screen import ScreenRules, screen
    from m2kt.wire.admission import Expectations
    from m2kt.wire.chunks import authenticate_whole
    from m2kt.wire.packets import parse_packet

    settings = read_settings(config)
    add_domains(settings)
    envelope, payload = read_packet_file(file)
    expected = Expectations(audience=settings.name, now_s=time.time(), nonce=b"")
    trust = load_trust(settings.trust_file)
    whole = authenticate_whole(envelope, payload, trust, expected, seen=lambda _: False)
    packet = parse_packet(whole)
    domain = domains.get(packet.packet.provenance.domain)
    outcome = screen(packet, domain, settings.rules_for("screen", ScreenRules))
    refused = outcome if isinstance(outcome, Rejected) else None
    if as_json:
        base = {"packet_id": packet.packet_id, "teacher": packet.teacher, "signers": packet.signers}
        console.emit(base | {"acceptable": refused is None, "rejected": refused})
    elif refused is None:
        console.out.print(
            f"[green]{packet.packet_id} of {packet.teacher} may be learnt from[/green]"
        )
    else:
        console.out.print(f"[yellow]refused: {', '.join(refused.reasons)}[/yellow]")
        for detail in refused.details:
            console.out.print(f"  {detail}", markup=False)
    if refused is not None:
        raise typer.Exit(console.DECLINED)
