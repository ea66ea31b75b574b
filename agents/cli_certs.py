"""`m2kt certs issue|show`: certificates for mutual TLS, from an authority of one's own.

Owns: these commands. Does not own: certificates as such (certificates).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from m2kt.identity import agent_id

from . import console
from .certificates import LEAF_DAYS, TRUST_DOMAIN, Authority, described, server_name

app = typer.Typer(no_args_is_help=True, help="Certificates for mutual TLS.")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Names = Annotated[list[str], typer.Argument(help="Names of agents.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for what is issued.")]
Home = Annotated[
    Path | None,
    typer.Option("--authority", help="Folder of the authority, if its key is to lie elsewhere."),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help="A name or number by which others dial them; may be repeated."),
]
Days = Annotated[float, typer.Option("--days", help="For how long.")]
Domain = Annotated[str, typer.Option("--trust-domain", help="Of the SPIFFE ids.")]


@app.command()
def issue(
    agents: Names,
    out: Out = Path("certs"),
    authority: Home = None,
    host: Hosts = None,
    days: Days = LEAF_DAYS,
    trust_domain: Domain = TRUST_DOMAIN,
    as_json: Json = False,
) -> None:
    """Makes a key and a certificate for each agent; the first time, an authority too.

    An agent gets its two files and authority.pem, never authority-key.pem. Issued again, they
    are replaced; agents that run take up the new ones without a restart.
    """
    signer = Authority(authority or out, trust_domain=trust_domain)
    hosts = host or ["localhost", "127.0.0.1", "::1"]
    names = [agent_id(name) for name in agents]
    issued = {name: signer.issue(name, hosts=hosts, days=days, into=out) for name in names}
    if as_json:
        tables = {
            name: {"key": files.key, "certificate": files.certificate, "authority": files.authority}
            for name, files in issued.items()
        }
        console.emit({"is_new": signer.is_new, "issued": tables})
        return
    if signer.is_new:
        home = signer.certificate_file.parent
        _line(f"made an authority in {home}; authority-key.pem stays there, no agent gets it")
    for name, files in issued.items():
        _line(f"[bold]{name}[/bold] for {escape(', '.join(hosts))}; in its settings:")
        console.out.print(
            f'[tls]\nkey = "{files.key}"\ncertificate = "{files.certificate}"\n'
            f'authority = "{files.authority}"\n',
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A certificate, NAME.pem.")], as_json: Json = False
) -> None:
    """Shows whose certificate it is, for which hosts, and until when."""
    found = described(file)
    if as_json:
        console.emit(found)
        return
    _line(f"{found.agent or 'no agent'}  {escape(found.identity)}")
    if found.agent:
        _line(f"dialled as {server_name(agent_id(found.agent))} or {', '.join(found.hosts)}")
    _line(f"valid until {found.expires_at:%Y-%m-%d %H:%M} UTC, issued by {escape(found.issuer)}")


def _line(text: str) -> None:
    console.out.print(text, soft_wrap=True, highlight=False)
