"""The heat map of a lesson: concepts by voters, what each said and what became of it.

Owns: `heat_map`. Does not own: the page around it (conflict_page), how plots look (plots).
"""

from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from m2kt.consensus import Consensus, Fate, Opinion

from .plots import FAINT, INK, STYLE, svg_of

MOST_ROWS: Final = 60
"""Concepts that a map shows."""
READABLE: Final = 40
"""Columns up to which what a voter says is written into its cell."""
ABSENT: Final = "does not have it"
KINDS: Final = {
    ABSENT: "#ffffff",
    "has a share": "#9cc3ef",
    "no share by the rule": "#e3ecf6",
    "not learnt": "#d5dbe3",
    "outvoted": "#f0b25f",
    "kept out of the lesson": "#e08a86",
}
"""What a cell may be, and its colour."""
_KIND_OF: Final = {
    Fate.USED: "has a share",
    Fate.TRIMMED: "no share by the rule",
    Fate.ABSTAINED: "not learnt",
    Fate.OUTVOTED: "outvoted",
}


def heat_map(consensus: Consensus) -> str:
    """Concepts, the disputed ones first, by voters, as inline SVG."""
    if not consensus.opinions:
        return "<svg></svg>"
    voters = [its.voter for its in consensus.standings]
    disputed = consensus.disputed
    calm = [its for its in consensus.opinions if its not in disputed]
    rows = [*disputed, *sorted(calm, key=lambda its: -its.dispersion)][:MOST_ROWS]
    kinds = list(KINDS)
    cells = [[kinds.index(_kind(opinion, voter)) for voter in voters] for opinion in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 1.6 + 0.24 * len(rows)))
        axis = figure.subplots()
        colours = ListedColormap(list(KINDS.values()))
        axis.imshow(cells, cmap=colours, vmin=0, vmax=len(kinds) - 1, aspect="auto")
        axis.set_xticks(range(len(voters)), voters, rotation=30, ha="left")
        axis.xaxis.tick_top()
        axis.set_yticks(range(len(rows)), [_name(its) for its in rows], fontsize=8)
        axis.set_xticks([n - 0.5 for n in range(1, len(voters))], minor=True)
        axis.set_yticks([n - 0.5 for n in range(1, len(rows))], minor=True)
        axis.grid(which="minor", color="#ffffff", linewidth=1.2)
        axis.tick_params(which="both", length=0)
        axis.spines[:].set_visible(False)
        if len(voters) <= READABLE:
            _write(axis, rows, voters)
        shown = sorted({cell for row in cells for cell in row})
        patches = [Patch(color=KINDS[kinds[n]], label=kinds[n]) for n in shown if n]
        axis.legend(handles=patches, loc="upper left", bbox_to_anchor=(0, 0), ncols=3, fontsize=8.5)
        figure.set_layout_engine("tight")
        return svg_of(figure, f"What {len(voters)} voters said of {len(rows)} concepts")


def _name(opinion: Opinion) -> str:
    return f"{opinion.concept}  ({opinion.decision.value})"


def _kind(opinion: Opinion, voter: str) -> str:
    fate = next((its.fate for its in opinion.voices if its.voter == voter), None)
    return ABSENT if fate is None else _KIND_OF.get(fate, "kept out of the lesson")


def _write(axis: mpl.axes.Axes, rows: Sequence[Opinion], voters: Sequence[str]) -> None:
    for row, opinion in enumerate(rows):
        for voice in opinion.voices:
            colour = INK if voice.fate is Fate.USED else FAINT if not voice.says else INK
            at = voters.index(voice.voter)
            axis.text(at, row, voice.says, ha="center", va="center", fontsize=8, color=colour)
