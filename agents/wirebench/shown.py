"""What the page of the wire shows: tables and plots of what was measured.

Owns: its tables and plots. Does not own: measuring (measure), the page itself.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from m2kt.bench.experiments.experiment import Plot, Point, Table

from .ends import Run
from .load import MIB
from .streams import SMALL_BYTES

Ways = Mapping[str, Sequence[Run]]
"""Runs of each way, by its name."""

SLOW_S: Final = 0.02
"""Seconds that a slow receiver sleeps after each chunk."""


def ways_table(runs: Ways) -> Table:
    """Rate and processor time of each way."""
    rows = []
    for way, its in runs.items():
        size = sum(run.length for run in its) / 1e9
        rows.append(
            (
                way,
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


def small_table(runs: Mapping[str, Run], packets_of: Callable[[str], int]) -> Table:
    """How many packets a second, by way; `packets_of` a way is how many were sent."""
    names = {"small": "one stream", "unary": "a call for each"}
    return Table(
        title=f"Packets of {SMALL_BYTES:,} bytes",
        head=("how", "packets/s", "CPU us, sender", "CPU us, receiver"),
        rows=tuple(
            (
                names[way],
                packets_of(way) / run.wall_s,
                run.sender.cpu_s / packets_of(way) * 1e6,
                run.receiver.cpu_s / packets_of(way) * 1e6,
            )
            for way, run in runs.items()
        ),
        note="Each is signed when it is sent, and verified, admitted and held against its manifest"
        " when it comes.",
    )


def memory_table(large: Run) -> Table:
    """What both ends held while a large packet was on its way."""
    ends = (("sender", large.sender), ("receiver", large.receiver))
    return Table(
        title=f"Anonymous memory while {large.length / MIB:,.0f} MiB stream into a file",
        head=("process", "MiB before", "MiB at most", "MiB more"),
        rows=tuple((name, its.before_mib, its.peak_mib, its.grown_mib) for name, its in ends),
        note="Both processes are new: what they had before is Python, its libraries, gRPC.",
    )


def chunks_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    """Rate by length of a chunk, by way."""
    return Plot(
        title="Rate by length of a chunk",
        x="KiB",
        y="MB/s",
        series=series,
        log_x=True,
        note="Median, least and most of three runs.",
    )


def crowd_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    """Rate by number of students."""
    return Plot(
        title="Rate by number of students",
        x="students at a time",
        y="MB/s, all together",
        series=series,
        note="All students are in one process, each on a connection of its own.",
    )


def slow_plot(series: Mapping[str, Sequence[Point]]) -> Plot:
    """Chunks handed over and chunks asked for, over time."""
    return Plot(
        title="A slow receiver slows the sender",
        x="seconds",
        y="chunk of 1 MiB",
        series=series,
        note=f"The receiver sleeps {SLOW_S * 1000:.0f} ms after each chunk. How far the sender is"
        " ahead is what lies in the buffers between them.",
    )
