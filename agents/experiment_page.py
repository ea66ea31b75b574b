"""The page of an experiment: one self-contained HTML file made from its record alone.

Owns: what the page says and in which order. Does not own: the record
(m2kt.bench.experiments), the plots (experiment_plots), the shell (page).
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from . import console
from .experiment_plots import experiment_plot
from .page import code, facts, figure, page, section, table, tile

Record = Mapping[str, Any]


def build_experiment_page(record: Record) -> str:
    """The page, as HTML without a single external resource.

    Args:
        record: As `m2kt bench NAME --json FILE` writes it.
    """
    title = record["experiment"].replace("-", " ").capitalize()
    quick = " This was the quick run." if record["quick"] else ""
    return page(
        f"M2KT {record['experiment']}",
        f"{title}: {record['verdict']}",
        escape(record["about"] + quick),
        tiles=[_tile(claim) for claim in record["claims"]],
        sections=[
            _claims(record),
            *(_plot(its) for its in record["plots"]),
            *(_table(its) for its in record["tables"]),
            _limits(record),
            _origin(record),
        ],
    )


def _tile(claim: Record) -> str:
    return tile(f"{claim['found']:.4g}", f"{claim['what']} ({_wanted(claim)})", claim["holds"])


def _wanted(claim: Record) -> str:
    return f"at {'least' if claim['at_least'] else 'most'} {claim['bound']:.4g}"


def _claims(record: Record) -> str:
    body = [
        [its["what"], f"{its['found']:.4g}", _wanted(its), "yes" if its["holds"] else "no"]
        for its in record["claims"]
    ]
    return section("What should hold", table(["", "found", "wanted", "holds"], body))


def _plot(its: Record) -> str:
    return section(its["title"], figure(experiment_plot(its), its["note"]))


def _table(its: Record) -> str:
    body = [[console.cell(cell) for cell in row] for row in its["rows"]]
    note = f"<p>{escape(its['note'])}</p>" if its["note"] else ""
    return section(its["title"], note, table(its["head"], body))


def _limits(record: Record) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in record["limits"])
    return section("What is not shown", f"<ul>{lines}</ul>") if lines else ""


def _origin(record: Record) -> str:
    machine = dict(record["machine"])
    versions = machine.pop("versions", {})
    rows: list[tuple[str, object]]
    rows = [(key, code(record[key])) for key in ("command", "ended_at", "format") if key in record]
    rows += [("student", record["student"]), ("seeds", ", ".join(map(str, record["seeds"])))]
    rows += [*machine.items(), *((f"version of {name}", its) for name, its in versions.items())]
    return section("Where it comes from", facts(rows))
