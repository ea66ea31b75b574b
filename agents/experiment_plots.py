"""The plots of an experiment: series of points on two axes, to inline SVG.

Owns: how any `Plot` looks. Does not own: what it shows (m2kt.bench.experiments), the style (plots).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import FAINT, GRID, INK, STUDENT, STYLE, TEACHERS, svg_of

COLORS: Final = (STUDENT, *TEACHERS, "#c44e68", FAINT, "#8c6d31")
_STYLE: Final[dict[str, Any]] = {**STYLE, "text.parse_math": False}
_MARKS: Final = "osD^vPX*"

Point = Mapping[str, Any]
Points = tuple[Sequence[Point], bool]
"""Points of a series, and whether a line joins them."""


def experiment_plot(plot: Mapping[str, Any]) -> str:
    """One plot of a record."""
    series: Mapping[str, Sequence[Point]] = plot["series"]
    names = list(dict.fromkeys(p["x"] for its in series.values() for p in its))
    named = any(isinstance(name, str) for name in names)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.2, 3.8))
        axis = figure.subplots()
        for index, (name, points) in enumerate(series.items()):
            places = [names.index(p["x"]) if named else p["x"] for p in points]
            shift = 0.12 * (index - (len(series) - 1) / 2) if named else 0.0
            moved = [place + shift for place in places]
            _series(axis, index, name, moved, (points, plot["joined"]))
        if named:
            axis.set_xticks(range(len(names)), names, rotation=20 if len(names) > 5 else 0)
        if plot["level"] is not None:
            axis.axhline(plot["level"], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axis.set(xlabel=plot["x"], ylabel=plot["y"])
        _scales(axis, plot)
        if len(series) > 1:
            axis.legend(fontsize=8.5, ncols=min(4, len(series)))
        figure.tight_layout()
        return svg_of(figure, plot["title"])


def _series(axis: Axes, index: int, name: str, places: Sequence[float], its: Points) -> None:
    points, joined = its
    color, heights = COLORS[index % len(COLORS)], [p["y"] for p in points]
    mark = _MARKS[index % len(_MARKS)]
    if joined:
        small = 3 if len(points) > 20 else 5
        axis.plot(places, heights, color=color, marker=mark, markersize=small, label=name)
    else:
        axis.scatter(places, heights, color=color, marker=mark, s=26, label=name)
    for place, point in zip(places, points, strict=True):
        if point["low"] is not None and point["high"] is not None:
            axis.vlines(place, point["low"], point["high"], color=color, linewidth=1.2)


def _scales(axis: Axes, plot: Mapping[str, Any]) -> None:
    if plot["log_x"]:
        axis.set_xscale("log")
    if plot["log_y"]:
        axis.set_yscale("log")
    axis.grid(color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
