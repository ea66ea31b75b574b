"""What the page of a comparison says first: a paragraph and tiles, and the figures in them.

Owns: the summary, and the words for figures that the whole page uses.
Does not own: the sections (transfer_page).
"""

from collections.abc import Iterable, Mapping
from html import escape
from statistics import fmean
from typing import Any, Final

from m2kt.bench.comparison import FEW, OURS

from .page import tile
from .plots import Record
from .transfer_plots import Rows

FEW_SHOWN: Final = f"{100 * FEW:.0f} %"
"""Of the facts, in words."""
AXES: Final = {"examples": "traces", "tokens": "trace_tokens", "bytes": "bytes"}
"""What theirs is called, and ours."""


def summary(record: Record) -> str:
    """The paragraph, as HTML."""
    said = [f"{escape(record['student'])}, frozen, learnt from packets, one domain at a time."]
    if "domains" in record:
        found, (worst, its) = means(record), worst_of(record)
        said.append(
            f"In the mean over {len(record['domains'])} domains it went from"
            f" {share(found['before'])} to {share(found['after'])} right answers, where the"
            f" teachers have {share(found['teacher'])}: a mean retention of"
            f" {share(found['retention'])}. Worst is {escape(worst)} with {share(its['after'])}."
        )
    if "controls" in record:
        name, control = highest_control(record)
        said.append(
            f"When traces show {FEW_SHOWN} of the facts, the packet as it is gives"
            f" {share(record['controls'][OURS]['accuracy'])}, and the highest of its controls,"
            f" {escape(name)}, {share(control)}."
        )
    if "reduction" in record:
        reduction = record["reduction"]
        less = ", ".join(f"{reduced(reduction, key)} in {key}" for key in AXES)
        end = "" if reduction["reached"] else " (lower bounds: it never matched ours)"
        said.append(
            f"Against {escape(reduction['against'])} on {escape(record['compared'])} the"
            f" reduction is {less}{end}."
        )
    return " ".join([*said, seeds_of(record)])


def tiles(record: Record) -> Iterable[str]:
    """The tiles, as HTML."""
    if "domains" in record:
        found, (worst, its) = means(record), worst_of(record)
        yield tile(share(found["retention"]), "mean retention")
        yield tile(share(found["after"]), "right answers after, mean over domains")
        yield tile(share(its["after"]), f"right answers after, worst domain: {worst}")
    if "reduction" in record:
        reduction = record["reduction"]
        for key in AXES:
            note = f"reduction in {key}, against {reduction['against']}"
            yield tile(reduced(reduction, key), note)
    if "controls" in record:
        name, control = highest_control(record)
        yield tile(share(control), f"highest control: {name}")


def means(record: Record) -> dict[str, float | None]:
    """Over domains; None if no domain has one."""
    rows = list(record["domains"].values())
    found: dict[str, float | None] = {}
    for key in ("before", "after", "teacher", "retention"):
        values = [row[key] for row in rows if row[key] is not None]
        found[key] = fmean(values) if values else None
    return found


def worst_of(record: Record) -> tuple[str, Mapping[str, Any]]:
    """The domain with the lowest accuracy after."""
    domains: Rows = record["domains"]
    return min(domains.items(), key=lambda pair: float(pair[1]["after"]))


def highest_control(record: Record) -> tuple[str, float]:
    """What came closest to the packet as it is."""
    others = {way: its["accuracy"] for way, its in record["controls"].items() if way != OURS}
    return max(others.items(), key=lambda pair: float(pair[1]))


def reduced(reduction: Mapping[str, Any], key: str) -> str:
    """A reduction in words."""
    return f"{'' if reduction['reached'] else '≥ '}{100 * reduction[key]:.2f} %"


def seeds_of(record: Record) -> str:
    """What the intervals are over."""
    count = len(record["seeds"])
    if count == 1:
        return "One seed: intervals of 95 % are over problems alone, none is over seeds."
    return f"{count} seeds; intervals of 95 % are over seeds and problems."


def share(value: float | None) -> str:
    """A share in words."""
    return "none" if value is None else f"{value:.3f}"
