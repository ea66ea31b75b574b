"""The demo: two teachers teach a language model what neither knows alone, on this machine.

Broker, teachers and student are agents hosted by Ray that answer gRPC on 127.0.0.1, over
mutual TLS; all that is shown went through the public client. Everything is measured while it runs.

Owns: what happens in which order, and the record (`demo.json`, `demo.html`).
Does not own: the cast (cast), measurements (contest, gauge), the page (report).
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, final

from transformers.utils.logging import disable_progress_bar

from m2kt import domains, zoo
from m2kt.errors import ProtocolError
from m2kt.packet import AuthenticPacket
from m2kt.probes import ProbeSet, draw_probes
from m2kt.progress import Event, TransferState
from m2kt.verdict import Exam
from m2kt.wire.cards import verify_receipt

from . import console, contest
from .broker_client import BrokerClient
from .cast import DOMAIN, LIAR, OBSERVER, TEACHERS, Cast, cast
from .claims import claims
from .client import PeerClient
from .gauge import Gauge
from .observer import observed, until_registered
from .record import agent_row, loss_row, machine, packet_row, receipt_row, tell, verdict_row
from .report import build_page
from .settings import Settings
from .showing import show_event
from .stage import Stage
from .tampering import TamperingRelay
from .views import TransferView

Record = dict[str, Any]
FORMAT: Final = "m2kt.demo/1"
STUDENT_MODEL: Final = "smollm2-135m"
CALL_S: Final = 60.0
STEPS: Final = 150
"""Of rehearsal at most, so that the demo is short; a lesson without a limit may take more."""
SHOTS: Final = 4
"""Traces before each problem in few-shot prompting."""
EXAM_S: Final = 900.0
TRANSFER_S: Final = 1800.0
EXAM_SEED: Final = 20_260_101
"""Of the demo's problems; another than the student's own probes are drawn from."""
UNREAD: Final = frozenset({TransferState.OFFERED, TransferState.FAILED, TransferState.REJECTED})
"""States of a transfer of which not a byte was parsed."""


class Theatre(Protocol):
    """Where agents are started: `Stage`, on Ray."""

    async def start(self, settings: Settings, *, broker: str) -> str:
        """Starts an agent; its address."""


async def run_demo(out: Path, *, quick: bool) -> Record:
    """Plays the demo on Ray and writes `demo.json` and `demo.html` to `out`.

    Args:
        out: A folder; the agents' data under it is made anew.
        quick: Fewer problems; for trying things out, not a result.

    Returns:
        The record, as it stands in `demo.json`.
    """
    disable_progress_bar()  # of loading weights: it would break into ours
    shutil.rmtree(out / "agents", ignore_errors=True)
    (out / "agents").mkdir(parents=True)
    model = {"name": STUDENT_MODEL, "threads": os.cpu_count() or 1}
    table = {"executor": "ray", "model": model, "align": {"steps": STEPS}}
    people = cast(out / "agents", table)
    with Gauge() as gauge:
        async with Stage() as stage:
            record = await Demo(people, stage, gauge, per_level=25 if quick else 200).play()
        return finished(record | {"quick": quick}, gauge, out)


def finished(record: Record, gauge: Gauge, out: Path) -> Record:
    """Adds time, memory and claims to the record, and writes it and its page to `out`."""
    told: Record = console.plain(
        record
        | {
            "format": FORMAT,
            "seconds": {**gauge.seconds, "total": gauge.total_s},
            "peak_rss_mib": gauge.peak_mib,
        }
    )
    told["acceptance"] = claims(told)
    (out / "demo.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "demo.html").write_text(build_page(told))
    tell(told, out)
    return told


@final
class Demo:
    """One performance: the phases in order, and what was measured in each."""

    def __init__(
        self, people: Cast, stage: Theatre, gauge: Gauge, *, per_level: int, shots: int = SHOTS
    ) -> None:
        self._people = people
        self._stage = stage
        self._gauge = gauge
        self._per_level = per_level
        self._shots = shots
        self._domain = domains.get(DOMAIN)
        self._addresses: dict[str, str] = {}
        self._packets: dict[str, AuthenticPacket] = {}
        self._probes: ProbeSet
        self._exclude: list[str] = []
        self._student: PeerClient
        self._record: Record = {}

    async def play(self) -> Record:
        """The whole demo; the record but for seconds and memory."""
        with self._phase("start"):
            await self._raise_curtain()
        try:
            with self._phase("discovery and packets"):
                await self._discover()
            with self._phase("exam before"):
                await self._before()
            with self._phase("teachers alone"):
                await self._teachers_alone()
            with self._phase("transfer"):
                await self._teach()
            with self._phase("exam after"):
                await self._after()
            with self._phase("poisoned packet"):
                await self._poisoned()
            with self._phase("tampered stream"):
                await self._tampered()
        finally:
            await self._student.close()
        return self._record

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        with self._gauge.phase(name), console.err.status(f"{name} ..."):
            console.err.print(f"[bold]{name}[/bold]")
            yield
        console.say(f"{self._gauge.seconds[name]:.1f} s")

    async def _raise_curtain(self) -> None:
        for name in ("broker", *TEACHERS, "student"):
            settings = self._people.settings[name]
            broker = self._addresses.get("broker", "")
            self._addresses[name] = await self._stage.start(settings, broker=broker)
            console.say(f"{name} answers at {self._addresses[name]}")
        self._student = PeerClient(
            f"student@{self._addresses['student']}", tls=self._people.tls("student")
        )

    async def _discover(self) -> None:
        tls = self._people.tls(OBSERVER)
        async with BrokerClient(self._addresses["broker"], tls=tls) as broker:
            found = await until_registered(broker, len(TEACHERS))
        for card in sorted(found, key=lambda card: card.agent):
            packet = await observed(card.address, self._people, timeout_s=EXAM_S)
            self._packets[card.agent] = packet
            console.say(
                f"{card.agent} teaches {len(packet.packet.concepts)} concepts in"
                f" {len(packet.packet.traces)} traces, {packet.bytes_on_wire:,} bytes"
            )
        contents = [packet.packet for packet in self._packets.values()]
        self._exclude = [
            question
            for question in contest.trace_questions(contents)
            if len(self._domain.solve(question).steps) > 1
        ]
        self._probes = draw_probes(
            self._domain, seed=EXAM_SEED, per_level=self._per_level, exclude=self._exclude
        )
        card, _ = await self._student.describe_student(timeout_s=CALL_S)
        self._record |= {
            "per_level": self._per_level,
            "domain": {"name": DOMAIN, "concepts": len(self._domain.concepts)},
            "machine": machine(),
            "agents": [agent_row(c) for c in (*found, card)],
            "student": {
                "agent": card.agent,
                "name": self._people.settings["student"].model.name,
                "model": card.model,
            },
        }

    async def _before(self) -> None:
        contents = [packet.packet for packet in self._packets.values()]
        examples = contest.examples_of(contents, self._shots)
        zero, four = await self._exam(()), await self._exam(examples)
        student = self._record["student"]
        student["before_zero_shot"] = contest.shares(zero)
        student["before_four_shot"] = contest.shares(four)
        student["before"] = contest.shares(max(zero, four, key=lambda exam: exam.mean))
        student["examples"] = await self._answers(self._samples(1))
        console.say(f"before: {zero.mean:.3f} zero-shot, {four.mean:.3f} four-shot")

    async def _teachers_alone(self) -> None:
        self._record["teachers"] = []
        for name, model in TEACHERS.items():
            exam = await asyncio.to_thread(contest.teacher_exam, model, self._domain, self._probes)
            packet, recipe = self._packets[name], zoo.recipe(model)["recipe"]
            self._record["teachers"].append(
                {
                    "agent": name,
                    "model": model,
                    "knows": " ".join(recipe["operations"]),
                    "trained_on": recipe["steps"] * recipe["batch"],
                    "accuracy": contest.shares(exam),
                    "mixed": contest.shares(contest.part(exam, self._mixed)),
                    "packet": packet_row(packet),
                }
            )
            console.say(f"{name} alone: {exam.mean:.3f}")

    async def _teach(self) -> None:
        addresses = [f"{name}@{self._addresses[name]}" for name in TEACHERS]
        view, events = await self._transfer(addresses)
        card, _ = await self._student.describe_student(timeout_s=CALL_S)
        if view.receipt is None or view.state is TransferState.FAILED:
            raise ProtocolError(
                f"expected a transfer that the student can decide, found it {view.state.value}; see"
                " the logs of Ray"
            )
        receipt = verify_receipt(view.receipt, self._people.trust)
        self._record["losses"] = [loss_row(event) for event in events if "step" in event.figures]
        self._record["events"] = events
        self._record["meter"] = receipt.meter
        self._record["receipt"] = receipt_row(receipt, card.key_id)

    async def _after(self) -> None:
        exam, student = await self._exam(()), self._record["student"]
        student["after"] = contest.shares(exam)
        student["mixed"] = contest.shares(contest.part(exam, self._mixed))
        traces = [trace for p in self._packets.values() for trace in p.packet.traces]
        shown = {step.concept for trace in traces for step in trace.steps}
        fresh = [item.level == 1 and not shown & set(item.concepts) for item in self._probes.items]
        unseen = contest.part(exam, fresh)
        student["facts_never_shown"] = {"count": len(unseen.right), "accuracy": unseen.mean}
        before = student["examples"]
        after = await self._answers([row["question"] for row in before])
        student["examples"] = [
            {
                "question": old["question"],
                "before": old["completion"],
                "after": new["completion"],
                "answer": self._domain.solve(old["question"]).answer,
            }
            for old, new in zip(before, after, strict=True)
        ]
        self._record["retention"] = exam.mean
        console.say(f"after: {exam.mean:.3f}; mixed chains: {contest.mean(student['mixed']):.3f}")

    async def _poisoned(self) -> None:
        name, _ = LIAR
        questions = self._samples(self._per_level // 4)
        before, head = await self._answers(questions), await self._head()
        address = await self._stage.start(self._people.settings[name], broker="")
        view, _ = await self._transfer([f"{name}@{address}"])
        after = await self._answers(questions)
        self._record["poisoned"] = {
            "agent": name,
            **verdict_row(view),
            "head_moved": await self._head() != head,
            "answers_identical": before == after,
            "answers_compared": len(questions),
        }

    async def _tampered(self) -> None:
        head, teacher, people = await self._head(), next(iter(TEACHERS)), self._people
        between = TamperingRelay(
            self._addresses[teacher], serves_as=people.tls(teacher), dials_as=people.tls("student")
        )
        async with between as relay:
            view, events = await self._transfer([f"{teacher}@{relay.address}"])
        self._record["tampered"] = {
            **verdict_row(view),
            "refused_before_parse": {event.state for event in events} <= UNREAD,
            "head_moved": await self._head() != head,
            "flipped": relay.flipped,
        }

    async def _transfer(self, teachers: Sequence[str]) -> tuple[TransferView, list[Event]]:
        transfer = await self._student.learn(DOMAIN, teachers=teachers, timeout_s=CALL_S)
        events = []
        async for event in self._student.watch(transfer, timeout_s=TRANSFER_S):
            events.append(event)
            show_event(event)
        return await self._student.transfer(transfer, timeout_s=CALL_S), events

    async def _exam(self, examples: Iterable[str]) -> Exam:
        found = await self._student.examine(
            DOMAIN,
            per_level=self._per_level,
            seed=EXAM_SEED,
            examples=tuple(examples),
            exclude=self._exclude,
            timeout_s=EXAM_S,
        )
        if found.questions != tuple(item.question for item in self._probes.items):
            raise ProtocolError(
                "expected the student to draw the demo's problems, found others; both must run the"
                " same version"
            )
        return found.exam

    async def _answers(self, questions: Sequence[str]) -> list[Record]:
        found = await self._student.answer(DOMAIN, questions, timeout_s=EXAM_S)
        return [{"question": a.question, "completion": a.completion} for a in found]

    async def _head(self) -> str:
        _, state = await self._student.describe_student(timeout_s=CALL_S)
        return str(state.digest)

    def _samples(self, per_level: int) -> list[str]:
        levels = self._domain.levels
        return [item.question for level in levels for item in self._probes.at(level)[:per_level]]

    @property
    def _mixed(self) -> list[bool]:
        return contest.mixed(self._probes.items, [p.packet for p in self._packets.values()])
