"""What the wire costs: one run, everything as ratios within it.

Owns: `measure`. Does not own: the ways to send (streams), the processes (ends), the page.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from m2kt.bench.experiments.experiment import Claim, Findings, Plot, Point, Scope, Table
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
from .streams import SMALL_BYTES

ABOUT: Final = (
    "The same bytes over gRPC on 127.0.0.1, sender and receiver each a process of its own, ways in"
    " turn within every round; medians of the rounds. Ours is what a teacher streams: a signed"
    " manifest, then chunks; the receiver holds each against the manifest and puts it into memory"
    " that it has used before."
)
LIMITS: Final = (
    "One machine and its loopback: no round trips, no losses, no other network card.",
    "Sender and receiver share the processors: a receiver on a machine of its own is faster.",
    "Memory that is used for the first time costs more than anything else here: `spooled` pays for"
    " the pages of a new file, and so does whoever does not use a buffer again.",
)
Way = tuple[str, bool]
"""A key of `RECEIVERS`, and whether it is over mutual TLS."""
Ways = Mapping[Way, Sequence[Run]]

SLOW_S: Final = 0.02
"""Seconds that a slow receiver sleeps after each chunk."""
WAYS: Final = (
    ("raw", False),
    ("ours", False),
    ("spooled", False),
    ("naive", False),
    ("raw", True),
    ("ours", True),
)


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
            ways = self._ways(ends)
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
                _ways_table(ways),
                _small_table(small, self._plan),
                _memory_table(large),
                self._lending.table(),
                encodings.table(),
            ),
            plots=(_chunks_plot(chunks), _crowd_plot(crowd), _slow_plot(slow)),
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
        ours = median(run.mb_per_s for run in ways["ours", False])
        return {
            "fraction_of_raw_grpc": _ratio(ways, ("ours", False), ("raw", False)),
            "fraction_of_raw_grpc_spooled": _ratio(ways, ("spooled", False), ("raw", False)),
            "vs_naive_protobuf": _ratio(ways, ("ours", False), ("naive", False)),
            "vs_flower": ours / median(flower),
            "mtls_cost_ratio": costs["ours", True] / costs["ours", False],
            "tls_alone_cost_ratio": costs["raw", True] / costs["raw", False],
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

    def _ways(self, ends: Ends) -> dict[Way, list[Run]]:
        found: dict[Way, list[Run]] = {way: [] for way in WAYS}
        ends.offer(self._plan.mib * MIB, MIB)
        for number in range(self._plan.rounds + 1):
            for way, secure in WAYS:
                self._say(f"round {number}: {way}{' over TLS' if secure else ''}")
                run, _ = ends.run(way, tls=secure)
                if number:  # the first round warms up
                    found[way, secure].append(run)
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


def _ratio(runs: Ways, one: Way, other: Way) -> float:
    """Median over rounds of how much faster `one` was than `other` in the same round."""
    pairs = zip(runs[one], runs[other], strict=True)
    return median(first.mb_per_s / second.mb_per_s for first, second in pairs)


def _claims(figures: Mapping[str, Any]) -> tuple[Claim, ...]:
    small, peak = figures["small_packets_per_s"], figures["peak_rss_mib"]
    tls, encoded = figures["tls_alone_cost_ratio"], figures["fanout"]["encode_count"]
    least = (
        ("share of what gRPC itself reaches, digests included", "fraction_of_raw_grpc", 0.65),
        ("times as fast as plain protobuf with digest and signature", "vs_naive_protobuf", 2.5),
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


def _ways_table(runs: Ways) -> Table:
    rows = []
    for (way, secure), its in runs.items():
        size = sum(run.length for run in its) / 1e9
        rows.append(
            (
                f"{way}, mutual TLS" if secure else way,
                median(run.mb_per_s for run in its),
                min(run.mb_per_s for run in its),
                max(run.mb_per_s for run in its),
                sum(run.sender.cpu_s for run in its) / size,
                sum(run.receiver.cpu_s for run in its) / size,
            )
        )
    return Table(
        title="One stream",
        head=("way", "MB/s", "least", "most", "CPU s/GB, sender", "CPU s/GB, receiver"),
        rows=tuple(rows),
        note="GB and MB are 1e9 and 1e6 bytes. Rates differ from round to round as the machine"
        " does; processor time is steadier.",
    )


def _small_table(runs: Mapping[str, Run], plan: Plan) -> Table:
    names = {"small": "one stream", "unary": "a call for each"}
    return Table(
        title=f"Packets of {SMALL_BYTES:,} bytes",
        head=("how", "packets/s", "CPU us, sender", "CPU us, receiver"),
        rows=tuple(
            (
                names[way],
                plan.packets_of(way) / run.wall_s,
                run.sender.cpu_s / plan.packets_of(way) * 1e6,
                run.receiver.cpu_s / plan.packets_of(way) * 1e6,
            )
            for way, run in runs.items()
        ),
        note="Each is signed when it is sent, and verified, admitted and held against its manifest"
        " when it comes.",
    )


def _memory_table(large: Run) -> Table:
    ends = (("sender", large.sender), ("receiver", large.receiver))
    return Table(
        title=f"Anonymous memory while {large.length / MIB:,.0f} MiB stream into a file",
        head=("process", "MiB before", "MiB at most", "MiB more"),
        rows=tuple((name, its.before_mib, its.peak_mib, its.grown_mib) for name, its in ends),
        note="Both processes are new: what they had before is Python, its libraries, gRPC.",
    )


def _chunks_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    return Plot(
        title="Rate by length of a chunk",
        x="KiB",
        y="MB/s",
        series=series,
        log_x=True,
        note="Median, least and most of three runs.",
    )


def _crowd_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    return Plot(
        title="Rate by number of students",
        x="students at a time",
        y="MB/s, all together",
        series=series,
        note="All students are in one process, each on a connection of its own.",
    )


def _slow_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    return Plot(
        title="A slow receiver slows the sender",
        x="seconds",
        y="chunk of 1 MiB",
        series=series,
        note=f"The receiver sleeps {SLOW_S * 1000:.0f} ms after each chunk. How far the sender is"
        " ahead is what lies in the buffers between them.",
    )
