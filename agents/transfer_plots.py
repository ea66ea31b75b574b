"""The plots of a comparison of transfers, each a function from a part of its record to inline SVG.

An interval is drawn as a thin line; where the record has none, there is none.

Owns: how the figures of `m2kt bench transfer` look.
Does not own: the figures (m2kt.bench.transfer), style (plots), the page (transfer_page).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import BEFORE, FAINT, GRID, INK, LOSSES, STUDENT, STYLE, TEACHERS, svg_of

Rows = Mapping[str, Mapping[str, Any]]
"""By name: `accuracy`, `interval` and what else was found."""

WIDTH: Final = 9.2
COLORS: Final = (STUDENT, *TEACHERS)
SMALL: Final = 8.5
_STYLE: Final[dict[str, Any]] = {**STYLE, "text.parse_math": False}  # a name may hold a `$`
_MARKS: Final = "osD^v"
_SHARE: Final = "share of right answers"
_PANELS: Final = ("All problems, band: 95 %", "Problems that need a fact which no trace shows")


def domains_plot(domains: Rows) -> str:
    """The student before and after, and its teachers: a line for each domain."""
    rows = range(len(domains))
    its = list(domains.values())
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 1.4 + 0.42 * len(its)))
        axis = figure.subplots()
        before, after = [row["before"] for row in its], [row["after"] for row in its]
        axis.hlines(rows, before, after, color=BEFORE[0], linewidth=5, zorder=1)
        axis.scatter(before, rows, color=BEFORE[1], s=48, label="student before", zorder=2)
        teachers = [row["teacher"] for row in its]
        axis.scatter(
            teachers, rows, color=TEACHERS[0], marker="|", s=300, linewidth=2.5, label="teacher"
        )
        for row, found in zip(rows, its, strict=True):
            _interval(axis, found["interval"], row)
        axis.scatter(after, rows, color=STUDENT, s=48, label="student after, 95 %", zorder=4)
        _share_axis(axis, list(domains))
        _legend(figure)
        return svg_of(figure, "right answers by domain: student before and after, and its teachers")


def bars_plot(groups: Mapping[str, Rows], description: str) -> str:
    """A bar with its interval for each row, one color for each group.

    Args:
        groups: Rows by the name of their group; the same rows in each.
        description: What a screen reader says.
    """
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows))
    height = 0.8 / len(groups) if len(groups) > 1 else 0.6
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 1.3 + len(names) * max(0.36, 0.22 * len(groups))))
        axis = figure.subplots()
        for index, (group, rows) in enumerate(groups.items()):
            offset = (index - (len(groups) - 1) / 2) * height
            found = [(names.index(name) + offset, its) for name, its in rows.items()]
            places, shares = [place for place, _ in found], [its["accuracy"] for _, its in found]
            color = COLORS[index % len(COLORS)]
            axis.barh(places, shares, height=0.92 * height, color=color, label=group)
            for place, its in found:
                _interval(axis, its["interval"], place)
                end = max(its["accuracy"], its["interval"][1])
                axis.text(end + 0.012, place, f"{its['accuracy']:.3f}", va="center", fontsize=SMALL)
        _share_axis(axis, names)
        _legend(figure, shown=len(groups) > 1)
        return svg_of(figure, description)


def curves_plot(curves: Mapping[str, Rows], description: str) -> str:
    """Accuracy against the share of facts shown: on all problems, and where an unseen one counts.

    Args:
        curves: By share, as text: rows by the name of their curve.
        description: What a screen reader says.
    """
    shares = sorted(curves, key=float)
    names = list(dict.fromkeys(name for rows in curves.values() for name in rows))
    both = any(its.get("unseen") is not None for rows in curves.values() for its in rows.values())
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 3.9))
        axes = figure.subplots(1, 2 if both else 1, sharey=True, squeeze=False)[0]
        for index, name in enumerate(names):
            found = [(float(s), curves[s][name]) for s in shares if name in curves[s]]
            _curve(axes, index, name, found)
        axes[0].set_ylabel(_SHARE)
        for axis, title in zip(axes, _PANELS, strict=False):
            axis.set(title=title, xlabel="share of the facts that traces show")
            axis.set_ylim(-0.03, 1.04)
            _shown_axis(axis, shares)
            axis.grid(color=GRID, linewidth=0.8)
        _legend(figure)
        return svg_of(figure, description)


def convergence_plot(rows: Mapping[int, Mapping[str, Any]]) -> str:
    """What is left of L_geo after so many steps of phase A, and the accuracy that this leads to.

    Args:
        rows: By the number of steps: `loss_geometry`, `accuracy` and `interval`.
    """
    steps = sorted(rows)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 3.4))
        left, right = figure.subplots(1, 2)
        losses = [rows[count]["loss_geometry"] for count in steps]
        left.plot(steps, losses, marker="o", color=LOSSES[0], linewidth=1.8)
        left.set(yscale="log", title="L_geo that is left (logarithmic)")
        left.yaxis.set_major_formatter("{x:g}")
        _curve([right], 1, "", [(count, rows[count]) for count in steps])
        right.set(ylim=(-0.03, 1.04), title="Right answers after phase B, band: 95 %")
        for axis in (left, right):
            _count_axis(axis, steps)
            axis.set_xlabel("steps of phase A (logarithmic)")
            axis.grid(color=GRID, linewidth=0.8)
        figure.tight_layout()
        return svg_of(figure, "L_geo and right answers by steps of phase A")


def baselines_plot(baselines: Rows, traces: int, domain: str) -> str:
    """Accuracy of other ways against the number of examples, beside what ours reached.

    Args:
        baselines: By name: `accuracy_at` numbers of examples, and `to_match`.
        traces: That ours was given.
        domain: On which all were run.
    """
    ours = next(iter(baselines.values()))["to_match"]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 4.0))
        axis = figure.subplots()
        axis.axhline(ours, color=STUDENT, linewidth=1.2, linestyle=(0, (4, 3)))
        axis.plot(
            [traces], [ours], "*", color=STUDENT, markersize=15, label=f"ours: {traces:,} traces"
        )
        ticks = {traces}
        for index, (name, its) in enumerate(baselines.items()):
            found = sorted((int(count), mean) for count, mean in its["accuracy_at"].items())
            found = [(count, mean) for count, mean in found if count > 0]  # a logarithm has no 0
            ticks |= {count for count, _ in found}
            color, marker = TEACHERS[index % len(TEACHERS)], _MARKS[index % len(_MARKS)]
            x, y = [count for count, _ in found], [mean for _, mean in found]
            axis.plot(x, y, marker=marker, color=color, linewidth=1.8, label=name)
        _count_axis(axis, sorted(ticks))
        axis.set(ylim=(-0.03, 1.08), ylabel=_SHARE, title=domain)
        axis.set_xlabel("examples (logarithmic)")
        axis.grid(color=GRID, linewidth=0.8)
        _legend(figure)
        return svg_of(figure, f"right answers on {domain} by number of examples")


def ratios_plot(ratios: Mapping[str, float], lower_bounds: Sequence[str]) -> str:
    """How many times as long as ours others took to the same accuracy."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(ratios)))
        axis = figure.subplots()
        rows = range(len(ratios))
        axis.barh(rows, list(ratios.values()), height=0.6, color=FAINT)
        for row, (name, ratio) in zip(rows, ratios.items(), strict=True):
            text = f"{'≥ ' if name in lower_bounds else ''}{ratio:.2f}"
            around = {"color": "white", "pad": 1}
            place: dict[str, Any] = {
                "xytext": (6, 0),
                "textcoords": "offset points",
                "va": "center",
            }
            axis.annotate(text, (ratio, row), bbox=around, **place)
        axis.axvline(1, color=STUDENT, linewidth=1.4, linestyle=(0, (4, 3)))
        axis.set_yticks(rows, [name.removeprefix("vs_") for name in ratios])
        axis.set_xlim(0, 1.18 * max(1.0, *ratios.values()))
        axis.set_xlabel("their seconds, by ours (dashed: as fast as ours)")
        axis.invert_yaxis()
        figure.tight_layout()
        return svg_of(figure, "seconds of other ways by ours, to the same accuracy")


def _curve(
    axes: Sequence[Axes], index: int, name: str, found: Sequence[tuple[float, Mapping[str, Any]]]
) -> None:
    """Accuracy with its band in the first panel; in the second, if any, that on unseen facts."""
    color, marker = LOSSES[index % len(LOSSES)], _MARKS[index % len(_MARKS)]
    look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.8}
    x = [place for place, _ in found]
    low, high = zip(*(its["interval"] for _, its in found), strict=True)
    axes[0].fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
    axes[0].vlines(x, low, high, color=color, alpha=0.4, linewidth=1)
    axes[0].plot(x, [its["accuracy"] for _, its in found], label=name, **look)
    unseen = [(x, its["unseen"]) for x, its in found if its.get("unseen") is not None]
    if unseen:
        axes[-1].plot([x for x, _ in unseen], [y for _, y in unseen], **look)


def _interval(axis: Axes, interval: Sequence[float], row: float) -> None:
    low, high = interval
    axis.hlines(row, low, high, color=INK, linewidth=1.4, zorder=3)
    axis.scatter([low, high], [row, row], color=INK, marker="|", s=40, linewidth=1.4, zorder=3)


def _share_axis(axis: Axes, names: Sequence[str]) -> None:
    """Shares from left to right, a row for each name, the first on top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(-0.02, 1.09)
    axis.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axis.set_xlabel(_SHARE)
    axis.grid(axis="x", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)


def _shown_axis(axis: Axes, shares: Sequence[str]) -> None:
    """Ticks at the shares, in their order, but for those that would overlap."""
    low, high = float(shares[0]), float(shares[-1])
    span, shown = high - low or 1.0, [shares[0]]
    for share in shares[1:]:
        if float(share) - float(shown[-1]) > 0.08 * span:
            shown.append(share)
    axis.set_xticks([float(share) for share in shown], shown)
    axis.set_xlim(low - 0.05 * span, high + 0.05 * span)


def _count_axis(axis: Axes, counts: Sequence[int]) -> None:
    """A logarithmic axis whose ticks are the counts, but for those that would overlap."""
    axis.set_xscale("log")
    axis.minorticks_off()
    shown: list[int] = []
    for count in counts:
        if not shown or count > 1.5 * shown[-1]:
            shown.append(count)
    axis.set_xticks(shown, [f"{count:,}" for count in shown])
    axis.set_xlim(0.6 * counts[0], 1.7 * counts[-1])


def _legend(figure: Figure, *, shown: bool = True) -> None:
    """What the colors mean, under the plot; then everything finds its place."""
    if not shown:
        figure.tight_layout()
        return
    pairs = [axis.get_legend_handles_labels() for axis in figure.axes]
    labelled = [(h, label) for hs, ls in pairs for h, label in zip(hs, ls, strict=True)]
    handles, labels = zip(*labelled, strict=True)
    figure.legend(handles, labels, loc="lower center", ncols=min(5, len(labels)), fontsize=SMALL)
    room = 0.32 / figure.get_figheight()
    figure.tight_layout(rect=(0, room, 1, 1))
