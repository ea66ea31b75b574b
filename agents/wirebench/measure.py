"""What the wire costs: one run, everything as ratios within it.

Owns: `measure`. Does not own: the ways to send (streams), the processes (ends), the page.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, final

from m2kt.bench.experiments.experiment import Claim, Findings, Point, Scope
from m2kt.identity import AgentId
from m2kt.progress import Progress, Report

from ..certificates import Authority
from ..settings import TlsFiles
from .encodings import encodings_of
from .ends import Ends, Run
from .fanout import lectures_for
from .flower import flower_mb_per_s
from .load import MIB, made
from .object_store import object_store
from .shown import (
    SLOW_S,
    Ways,
    chunks_plot,
    crowd_plot,
    memory_table,
    slow_plot,
    small_table,
    ways_table,
)

ABOUT: Final = (
    "The same bytes over gRPC on 127.0.0.1, sender and receiver each a process of its own, ways in"
    " turn within every round; medians of the rounds. Ours is what a teacher streams: a signed"
    " manifest, then chunks; the receiver holds each against the manifest and puts it into memory"
    " that it has used before. Plain protobuf is generated messages, each chunk with its SHA-256"
    " and a signature of that; its processes give memory back as the C library does, or, where it"
    " says so, as an agent does."
)
LIMITS: Final = (
    "One machine and its loopback: no round trips, no losses, no other network card.",
    "Sender and receiver share the processors: a receiver on a machine of its own is faster.",
    "Memory that is used for the first time costs more than anything else here: `spooled` pays for"
    " the pages of a new file, and so does whoever does not use a buffer again.",
)


@final
@dataclass(frozen=True, slots=True)
class Way:
    """A way to send, as a run has it.

    Attributes:
        how: A key of `RECEIVERS`.
        tls: Whether over mutual TLS.
        tuned: Whether both ends keep freed memory; else they are as the C library makes them.
    """

    how: str
    tls: bool = False
    tuned: bool = True


PLAIN: Final = "plain protobuf"
PLAIN_TUNED: Final = "plain protobuf, our allocator"
WAYS: Final = {
    "raw": Way("raw"),
    "ours": Way("ours"),
    "spooled": Way("spooled"),
    PLAIN: Way("naive", tuned=False),
    PLAIN_TUNED: Way("naive"),
    "raw, mutual TLS": Way("raw", tls=True),
    "ours, mutual TLS": Way("ours", tls=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is sent.

    Attributes:
        mib: Payload of a run.
        rounds: Runs of each way.
        chunks_kib: Lengths of a chunk.
        students: Streams at a time.
        packets: Small packets of a run.
        large_mib: Payload of the run whose memory is watched.
        slow_mib: Payload for the receiver that sleeps after each chunk.
    """

    mib: int = 256
    rounds: int = 15
    chunks_kib: tuple[int, ...] = (64, 256, 512, 1024, 2048, 4096)
    students: tuple[int, ...] = (1, 2, 5, 10)
    packets: int = 10_000
    large_mib: int = 2048
    slow_mib: int = 64

    def packets_of(self, way: str) -> int:
        """Small packets of a run: fewer where each has a call of its own."""
        return self.packets if way == "small" else self.packets // 5


QUICK: Final = Plan(
    mib=64,
    rounds=3,
    chunks_kib=(256, 1024),
    students=(1, 4),
    packets=2000,
    large_mib=512,
    slow_mib=16,
)


def measure(scope: Scope, report: Report) -> Findings:
    """Runs all of it.

    Raises:
        M2KTError: a process failed, or Flower could not be had.
    """
    plan = QUICK if scope.quick else Plan()
    scope.cells.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scope.cells))
    try:
        return _Bench(plan, folder, scope, report).findings()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Bench:
    def __init__(self, plan: Plan, folder: Path, scope: Scope, report: Report) -> None:
        self._plan, self._folder, self._scope, self._report = plan, folder, scope, report

    def findings(self) -> Findings:
        authority = Authority(self._folder / "certs")
        names = ("sender", "receiver")
        tls = {name: authority.issue(AgentId(name), hosts=["127.0.0.1"]) for name in names}
        with Ends(self._folder, tls) as ends:
            with Ends(self._folder, tls, tuned=False) as plain:
                ways = self._ways({True: ends, False: plain})
            small = self._small(ends)
            chunks = self._chunks(ends)
            crowd = self._crowd(ends)
            slow = self._slow(ends)
        large = self._large(tls)
        encodings = encodings_of(self._scope, self._report, quick=self._scope.quick)
        figures = self._figures(ways, small, large)
        return Findings(
            about=ABOUT,
            claims=_claims(figures),
            figures=figures,
            tables=(
                ways_table(ways),
                small_table(small, self._plan.packets_of),
                memory_table(large),
                self._lending.table(),
                encodings.table(),
            ),
            plots=(chunks_plot(chunks), crowd_plot(crowd), slow_plot(slow)),
            limits=LIMITS,
            student=encodings.student,
            seeds=encodings.seeds,
        )

    def _figures(self, ways: Ways, small: Mapping[str, Run], large: Run) -> dict[str, Any]:
        """The figures at the top of the record, and those that two ends alone do not give."""
        students = max(self._plan.students)
        self._say(f"{students} students ask one teacher")
        lectures = lectures_for(students, self._folder)
        self._say("the object store of a node")
        self._lending = object_store(self._folder, mib=self._plan.mib, rounds=self._plan.rounds)
        self._say("Flower")
        flower = flower_mb_per_s(
            self._scope.cells / "flower", mib=self._plan.mib, rounds=min(3, self._plan.rounds)
        )
        costs = {way: median(run.cpu_s_per_gb for run in runs) for way, runs in ways.items()}
        ours = median(run.mb_per_s for run in ways["ours"])
        return {
            "fraction_of_raw_grpc": _ratio(ways, "ours", "raw"),
            "fraction_of_raw_grpc_spooled": _ratio(ways, "spooled", "raw"),
            "vs_naive_protobuf": _ratio(ways, "ours", PLAIN),
            "vs_naive_protobuf_with_our_allocator": _ratio(ways, "ours", PLAIN_TUNED),
            "vs_flower": ours / median(flower),
            "mtls_cost_ratio": costs["ours, mutual TLS"] / costs["ours"],
            "tls_alone_cost_ratio": costs["raw, mutual TLS"] / costs["raw"],
            "small_packets_per_s": {
                name: self._plan.packets_of(name) / run.wall_s for name, run in small.items()
            },
            "peak_rss_mib": {
                "sender": large.sender.grown_mib,
                "receiver": large.receiver.grown_mib,
            },
            "fanout": {"students": students, "encode_count": lectures},
            "object_store_ratio": self._lending.ratio,
            "flower_mb_per_s": flower,
        }

    def _say(self, what: str) -> None:
        self._report(Progress(what))

    def _ways(self, ends: Mapping[bool, Ends]) -> dict[str, list[Run]]:
        """Runs of each way, in turn; `ends` by whether they are tuned."""
        found: dict[str, list[Run]] = {name: [] for name in WAYS}
        for pair in ends.values():
            pair.offer(self._plan.mib * MIB, MIB)
        for number in range(self._plan.rounds + 1):
            for name, way in WAYS.items():
                self._say(f"round {number}: {name}")
                run, _ = ends[way.tuned].run(way.how, tls=way.tls)
                if number:  # the first round warms up
                    found[name].append(run)
        return found

    def _small(self, ends: Ends) -> dict[str, Run]:
        self._say("small packets")
        ends.offer(64 * MIB, MIB)
        return {
            way: ends.run(way, packets=self._plan.packets_of(way))[0] for way in ("small", "unary")
        }

    def _chunks(self, ends: Ends) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {"raw": [], "ours": []}
        for kib in self._plan.chunks_kib:
            self._say(f"chunks of {kib} KiB")
            ends.offer(self._plan.mib * MIB, kib << 10)
            for way, points in found.items():
                rates = [ends.run(way)[0].mb_per_s for _ in range(3)]
                points.append(Point(x=float(kib), y=median(rates), low=min(rates), high=max(rates)))
        return found

    def _crowd(self, ends: Ends) -> dict[str, list[Point]]:
        ends.offer(self._plan.mib * MIB // 4, MIB)
        points = []
        for count in self._plan.students:
            self._say(f"{count} students at a time")
            rates = [ends.run("ours", streams=count)[0].mb_per_s for _ in range(3)]
            points.append(Point(x=float(count), y=median(rates), low=min(rates), high=max(rates)))
        return {"ours, all students together": points}

    def _slow(self, ends: Ends) -> dict[str, list[Point]]:
        self._say("a slow receiver")
        ends.offer(self._plan.slow_mib * MIB, MIB)
        _, progress = ends.run("ours", pause_s=SLOW_S)
        sent = [Point(x=at, y=float(chunk)) for at, chunk in progress]
        due = [Point(x=at, y=min(self._plan.slow_mib - 1.0, at / SLOW_S)) for at, _ in progress]
        return {"handed to gRPC by the sender": sent, "asked for by the receiver at most": due}

    def _large(self, tls: Mapping[str, TlsFiles]) -> Run:
        """Between two processes that have done nothing before, and so have no freed memory."""
        self._say(f"{self._plan.large_mib} MiB, spooled")
        length = self._plan.large_mib * MIB
        made(self._folder / f"{length}.payload", length, MIB)
        with Ends(self._folder, tls) as ends:
            ends.offer(length, MIB)
            return ends.run("spooled")[0]


def _ratio(runs: Ways, one: str, other: str) -> float:
    """Median over rounds of how much faster `one` was than `other` in the same round."""
    pairs = zip(runs[one], runs[other], strict=True)
    return median(first.mb_per_s / second.mb_per_s for first, second in pairs)


def _claims(figures: Mapping[str, Any]) -> tuple[Claim, ...]:
    small, peak = figures["small_packets_per_s"], figures["peak_rss_mib"]
    tls, encoded = figures["tls_alone_cost_ratio"], figures["fanout"]["encode_count"]
    least = (
        ("share of what gRPC itself reaches, digests included", "fraction_of_raw_grpc", 0.65),
        ("times as fast as plain protobuf with digest and signature", "vs_naive_protobuf", 2.5),
        (
            "times as fast as the same between processes with our allocator",
            "vs_naive_protobuf_with_our_allocator",
            2.5,
        ),
        ("times as fast as Flower's message path", "vs_flower", 2.0),
        ("times as fast through the object store of a node", "object_store_ratio", 2.0),
    )
    most = (
        ("processor time over mutual TLS beside that without", figures["mtls_cost_ratio"], tls),
        ("MiB of its own memory that a sender holds at most", peak["sender"], 64.0),
        ("MiB of its own memory that a receiver holds at most", peak["receiver"], 64.0),
        ("times that a packet is encoded for all students of a teacher", float(encoded), 1.0),
    )
    return (
        *(Claim(what=what, found=figures[key], bound=bound) for what, key, bound in least),
        Claim(
            what="packets of 10 kB a second on one stream, each signature verified",
            found=small["small"],
            bound=2500.0,
        ),
        *(Claim(what=what, found=its, bound=bound, at_least=False) for what, its, bound in most),
    )
