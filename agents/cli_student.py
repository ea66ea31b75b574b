"""`m2kt learn`, `watch`, `ask`, `history`, `unlearn`, `revert`, `teachers`: talking to a student.

Owns: these commands. Does not own: the calls (client), what they say of transfers (showing).
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.text import Text

from m2kt.digest import Digest
from m2kt.errors import NotFoundError, RequestError
from m2kt.identity import KeyId, PacketId, TransferId
from m2kt.progress import Event
from m2kt.reputation import Reputation
from m2kt.symptoms import Diagnosis
from m2kt.verdict import Accepted

from . import console
from .client import PeerClient
from .settings import TlsFiles, read_settings
from .showing import show_diagnosis, show_event, show_foretelling, show_verdict
from .views import Foretelling, StateView, TransferView, UnlearntView

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
StudentAt = Annotated[str, typer.Option("--student", help="Address of the student, host:port.")]
Domain = Annotated[str, typer.Option("--domain", help="Name of the domain, see `m2kt domains`.")]
Teachers = Annotated[
    list[str] | None, typer.Option("--teacher", help="Address of a teacher; repeatable.")
]
Broker = Annotated[str, typer.Option("--broker", help="Address of a broker to ask.")]
Quorum = Annotated[
    int, typer.Option("--quorum", help="Packets to wait for; 0: the student's own number.", min=0)
]
Collect = Annotated[
    float, typer.Option("--collect", help="Seconds for collecting packets; 0: no end.", min=0)
]
FollowUp = Annotated[
    bool, typer.Option("--follow-up", help="Learn once enough has come; what comes later, later.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only foretell the gain; no packet is fetched.")
]
Timeout = Annotated[float, typer.Option("--timeout", help="Deadline in seconds.", min=0.1)]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings of an agent, for its TLS files.")
]

_NO_SAMPLE = (
    "expected --dry-run with --teacher alone, found --broker; name teachers, they are asked for a"
    " sample"
)


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, on an event loop of its own."""
    return asyncio.run(work)


def tls_of(config: Path | None) -> TlsFiles | None:
    """The TLS files that an agent's settings name."""
    return None if config is None else read_settings(config).tls


def learn(
    student: StudentAt,
    domain: Domain,
    teacher: Teachers = None,
    broker: Broker = "",
    quorum: Quorum = 0,
    collect: Collect = 0.0,
    follow_up: FollowUp = False,
    dry_run: DryRun = False,
    timeout: Timeout = 3600.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Asks a student to learn a domain, and watches. Exit code 1 if it declines."""
    if not teacher and not broker:
        raise RequestError("expected --teacher or --broker, found neither; say whom to learn from")
    if dry_run:
        if not teacher or broker:
            raise RequestError(_NO_SAMPLE)
        told = done(_foretold(student, domain, teacher, timeout_s=timeout, config=config))
        show_foretelling(domain, told, as_json=as_json)
        return

    async def work() -> tuple[TransferView, list[Event]]:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            transfer = await peer.learn(
                domain,
                teachers=teacher or (),
                broker=broker,
                quorum=quorum,
                collect_s=collect,
                follow_up=follow_up,
                timeout_s=min(timeout, 30.0),
            )
            console.say(f"transfer {transfer}")
            events = await _watched(peer, transfer, after=0, timeout_s=timeout)
            return await peer.transfer(transfer, timeout_s=30.0), events

    _end(*done(work()), as_json=as_json)


async def _foretold(
    student: str, domain: str, teachers: Sequence[str], *, timeout_s: float, config: Path | None
) -> Foretelling:
    async with PeerClient(student, tls=tls_of(config)) as peer:
        return await peer.foretell(domain, teachers=teachers, timeout_s=timeout_s)


def watch(
    transfer: Annotated[str, typer.Argument(help="Id of the transfer.")],
    student: StudentAt,
    start: Annotated[int, typer.Option("--from", help="First event wanted.", min=1)] = 1,
    timeout: Timeout = 3600.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Shows the events of a transfer until it has ended. Exit code 1 if the student declines."""

    async def work() -> tuple[TransferView, list[Event]]:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            name = TransferId(transfer)
            events = await _watched(peer, name, after=start - 1, timeout_s=timeout)
            return await peer.transfer(name, timeout_s=30.0), events

    _end(*done(work()), as_json=as_json)


def ask(
    questions: Annotated[list[str], typer.Argument(help="Questions of the domain.")],
    student: StudentAt,
    domain: Domain,
    timeout: Timeout = 120.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Asks a student questions, which it answers with what it has learnt."""

    async def work() -> Any:  # noqa: ANN401
        async with PeerClient(student, tls=tls_of(config)) as peer:
            return await peer.answer(domain, questions, timeout_s=timeout)

    answers = done(work())
    if as_json:
        console.emit({"domain": domain, "answers": answers})
        return
    shown = console.table("", "question", "what the student wrote", "answer")
    for answer in answers:
        shown.add_row(
            Text(answer.question), Text(answer.completion.rstrip()), Text(answer.answer or "none")
        )
    console.out.print(shown)


def history(
    student: StudentAt,
    limit: Annotated[int, typer.Option("--limit", help="At most so many; 0 for all.", min=0)] = 0,
    timeout: Timeout = 30.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Lists the states that a student has been in, newest first."""

    async def work() -> list[tuple[StateView, tuple[Diagnosis, ...]]]:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            states = await peer.history(limit=limit, timeout_s=timeout)
            return [(its, await _suffered(peer, its, timeout_s=timeout)) for its in states]

    found = done(work())
    if as_json:
        rows = [console.plain(its) | {"diagnosis": console.plain(of)} for its, of in found]
        console.emit({"states": rows})
        return
    for state, diagnosis in found:
        line = f"{state.digest[:15]}  {_when(state.at_s)}  {escape(state.note)}"
        console.out.print(line, highlight=False)
        for name, skill in state.skills.items():
            for packet in skill.lineage:  # whole ids on one line: `unlearn` wants them
                console.out.print(f"    {name} from packet {packet}", soft_wrap=True)
            for key in skill.signers:
                console.out.print(f"    {name} signed by {key}", soft_wrap=True)
        show_diagnosis(diagnosis)


def unlearn(
    student: StudentAt,
    packet: Annotated[str, typer.Option("--packet", help="Id of a packet.")] = "",
    key: Annotated[str, typer.Option("--key", help="Id of a key: all that it signed.")] = "",
    timeout: Timeout = 60.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Moves a student to a state without a packet, or a key; what remains is aligned anew."""
    if bool(packet) == bool(key):
        raise RequestError("expected --packet or --key, found both or neither; name one")

    async def work() -> UnlearntView:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            named: dict[str, Any] = {"packet": PacketId(packet)} if packet else {"key": KeyId(key)}
            return await peer.unlearn(**named, timeout_s=timeout)

    found = done(work())
    if as_json:
        outcome = "moved" if found.moved else "nothing to do"
        outcome = "realigning" if found.realigning else outcome
        console.emit(console.plain(found) | {"outcome": outcome})
        return
    left = ", ".join(found.head.skills) or "no skill"
    where = "moved to" if found.moved else "stays at"
    _line(f"HEAD {where} {found.head.digest} with {left}")
    for its in found.realigning:
        _line(f"aligning what remains of {its.domain}: m2kt watch {its.transfer}")


def revert(
    state: Annotated[str, typer.Argument(help="Digest of a state, or how it begins.")],
    student: StudentAt,
    timeout: Timeout = 60.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Moves a student to the skills of an earlier state; nothing is lost, see `history`."""

    async def work() -> tuple[StateView, bool]:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            states = await peer.history(timeout_s=timeout)
            return await peer.revert(_meant(state, states), timeout_s=timeout)

    head, moved = done(work())
    if as_json:
        console.emit({"head": console.plain(head), "moved": moved})
        return
    left = ", ".join(head.skills) or "no skill"
    _line(f"HEAD {'moved to' if moved else 'stays at'} {head.digest} with {left}")


def _meant(begins: str, states: Sequence[StateView]) -> Digest:
    """The one state whose digest begins so, with or without `b3:`.

    Raises:
        RequestError: it is none of them, or several.
    """
    wanted = f"b3:{begins.removeprefix('b3:')}"
    found = [its.digest for its in states if its.digest.startswith(wanted)]
    if len(found) != 1:
        raise RequestError(
            f"expected the beginning of one state's digest, found {begins!r}, which fits"
            f" {len(found)} of {len(states)}; `m2kt history` lists them"
        )
    return found[0]


def teachers(
    student: StudentAt, timeout: Timeout = 30.0, config: Config = None, as_json: Json = False
) -> None:
    """Lists whose packets a student has judged, and how they have held up."""

    async def work() -> tuple[Reputation, ...]:
        async with PeerClient(student, tls=tls_of(config)) as peer:
            return await peer.teachers(timeout_s=timeout)

    found = done(work())
    figures = ("accepted", "rejected", "agreed", "disputed")
    if as_json:
        rows = [console.plain(its.total) for its in found]
        named = [{"teacher": its.teacher, "score": its.score} for its in found]
        console.emit({"teachers": [a | b for a, b in zip(named, rows, strict=True)]})
        return
    shown = console.table("", "teacher", "#score", *(f"#{name}" for name in figures), "last change")
    for its in found:
        cells = [f"{getattr(its.total, name):g}" for name in figures]
        shown.add_row(Text(its.teacher), f"{its.score:.3f}", *cells, _when(its.total.at_s))
    console.out.print(shown)


def _when(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))


def _line(text: str) -> None:
    """One line, never broken: ids are there to be copied."""
    console.out.print(text, soft_wrap=True, highlight=False)


async def _suffered(
    peer: PeerClient, state: StateView, *, timeout_s: float
) -> tuple[Diagnosis, ...]:
    """What the lesson that led to a state suffered from, as its receipt has it."""
    if state.transfer is None:
        return ()
    try:
        verdict = (await peer.transfer(state.transfer, timeout_s=timeout_s)).verdict
    except NotFoundError:
        return ()  # the state is older than the journal
    return verdict.evidence.diagnosis if verdict is not None and verdict.evidence else ()


async def _watched(
    peer: PeerClient, transfer: TransferId, *, after: int, timeout_s: float
) -> list[Event]:
    events = []
    async for event in peer.watch(transfer, after=after, timeout_s=timeout_s):
        events.append(event)
        show_event(event)
    return events


def _end(view: TransferView, events: list[Event], *, as_json: bool) -> None:
    if as_json:
        console.emit({"transfer": view, "events": events})
    elif view.verdict is not None:
        show_verdict(view.verdict)
    if not isinstance(view.verdict, Accepted):
        raise typer.Exit(console.DECLINED)
