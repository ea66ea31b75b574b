"""The demo's plots, each a function from the record of a demo to inline SVG.

Owns: how plots look, those of others too: `STYLE`, colours, `svg_of`.
Does not own: the figures (demo), the page around them (report).
"""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Record = Mapping[str, Any]
"""What `demo.json` holds."""

INK: Final = "#1c2733"
FAINT: Final = "#8a97a6"
GRID: Final = "#e6eaef"
BEFORE: Final = ("#d5dbe3", "#aeb8c5")
TEACHERS: Final = ("#e39a3b", "#45a07c", "#b07aa1", "#76b7b2")
STUDENT: Final = "#2563c9"
LOSSES: Final = ("#2563c9", "#e39a3b", "#45a07c", "#c44e68", "#6b7a8c")

STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.0,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
"""How matplotlib draws; the page around has the background and the fonts."""


def accuracy_plot(record: Record) -> str:
    """Accuracy by chain length: all operations, and chains that mix both teachers' operations."""
    student, teachers = record["student"], record["teachers"]
    left = [
        ("student before, zero-shot", BEFORE[0], student["before_zero_shot"]),
        ("student before, four-shot", BEFORE[1], student["before_four_shot"]),
        *((t["agent"], color, t["accuracy"]) for t, color in zip(teachers, TEACHERS, strict=False)),
        ("student after", STUDENT, student["after"]),
    ]
    right = [
        *((t["agent"], color, t["mixed"]) for t, color in zip(teachers, TEACHERS, strict=False)),
        ("student after", STUDENT, student["mixed"]),
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.5))
        axes = figure.subplots(1, 2, width_ratios=(1.45, 1), sharey=True)
        _grouped_bars(axes[0], left)
        axes[0].set(title="All three operations", xlabel="operations in the chain")
        axes[0].set_ylabel("share of right answers")
        _grouped_bars(axes[1], right)
        axes[1].set(title="Chains that need both teachers", xlabel="operations in the chain")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=8.5)
        figure.tight_layout(rect=(0, 0.09, 1, 1))
        return svg_of(figure, "accuracy by chain length, before and after, and of each teacher")


def loss_plot(record: Record) -> str:
    """The terms of the loss against the step of training, one panel for each phase."""
    phases: dict[str, list[Record]] = {}
    for row in record["losses"]:
        phases.setdefault(row["phase"], []).append(row)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1))
        axes = figure.subplots(1, max(1, len(phases)), squeeze=False)[0]
        for axis, (phase, rows) in zip(axes, phases.items(), strict=False):
            _lines(axis, rows)
            axis.set(title=phase, xlabel="step")
        axes[0].set_ylabel("loss")
        figure.tight_layout()
        return svg_of(figure, "loss terms during alignment")


def data_plot(record: Record) -> str:
    """Examples that the teachers were trained on, against what the student was given."""
    teachers, meter = record["teachers"], record["meter"]
    bars = [
        *((f"{t['agent']}: labelled chains", t["trained_on"], FAINT) for t in teachers),
        ("student: traces, without labels", meter["traces"], STUDENT),
        ("student: labels", meter["labels"], STUDENT),
        ("student: logits", meter["logits"], STUDENT),
    ]
    yardstick = 0.02 * sum(t["trained_on"] for t in teachers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 0.9 + 0.38 * len(bars)))
        axis = figure.subplots()
        names, counts, colors = zip(*bars, strict=True)
        axis.barh(names, counts, color=colors, height=0.62)
        for row, count in enumerate(counts):
            axis.text(max(count, 1) * 1.12, row, f"{count:,}", va="center")
        axis.axvline(yardstick, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        note = f" 98 % less than\n the teachers: {yardstick:,.0f}"
        axis.text(yardstick, len(bars) - 1.5, note, va="center", fontsize=8.5)
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, max(*counts, yardstick, 10) * 8)
        axis.set_xlabel("examples (logarithmic)")
        axis.invert_yaxis()
        figure.tight_layout()
        return svg_of(figure, "examples used by teachers and student")


def time_plot(record: Record) -> str:
    """Seconds of each phase, one bar after the other."""
    phases = {k: v for k, v in record["seconds"].items() if k != "total"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 0.8 + 0.3 * len(phases)))
        axis = figure.subplots()
        begun = 0.0
        for name, seconds in phases.items():
            axis.barh([name], [seconds], left=begun, color=STUDENT, height=0.6)
            axis.text(begun + seconds, name, f" {seconds:.0f} s", va="center", fontsize=9)
            begun += seconds
        axis.set_xlim(0, begun * 1.08 + 1)
        axis.set_xlabel("seconds since the start")
        axis.invert_yaxis()
        figure.tight_layout()
        return svg_of(figure, "seconds of each phase")


def _grouped_bars(axis: Axes, series: Sequence[tuple[str, str, Mapping[str, float]]]) -> None:
    levels = sorted({level for _, _, found in series for level in found}, key=int)
    width = 0.84 / len(series)
    for index, (name, color, found) in enumerate(series):
        offset = (index - (len(series) - 1) / 2) * width
        heights = [found.get(level, 0.0) for level in levels]
        places = [row + offset for row in range(len(levels))]
        axis.bar(places, heights, width=width * 0.94, color=color, label=name)
    axis.set_xticks(range(len(levels)), levels)
    axis.set_ylim(0, 1.04)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)


def _lines(axis: Axes, rows: Sequence[Record]) -> None:
    names = sorted({name for row in rows for name in row if name.startswith("loss")})
    for name, color in zip(names, LOSSES, strict=False):
        points = [(row["step"], row[name]) for row in rows if name in row]
        steps, values = zip(*points, strict=True)
        label = name.removeprefix("loss_")
        axis.plot(steps, values, color=color, label=label, linewidth=1.6)
    positive = [row[name] for row in rows for name in names if row.get(name, 0) > 0]
    if positive and max(positive) > 50 * min(positive):
        axis.set_yscale("log")
    axis.grid(color=GRID, linewidth=0.8)
    if names:
        axis.legend(fontsize=8.5)


def svg_of(figure: Figure, description: str) -> str:
    """The figure as an `<svg>` element that says to a screen reader what it shows."""
    raw = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": description}):
        figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None})
    text = raw.getvalue()
    body = text[text.index("<svg") :]
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
