"""The page of a comparison of transfers: one self-contained HTML file made from its record alone.

Owns: what the page says and in which order, what it says is not shown.
Does not own: the record (m2kt.bench.transfer), its summary (transfer_summary), the plots
(transfer_plots), the shell (page).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any, Final

from m2kt.bench.comparison import OURS

from .page import code, facts, figure, page, section, table
from .plots import Record
from .transfer_plots import (
    Rows,
    bars_plot,
    baselines_plot,
    convergence_plot,
    curves_plot,
    domains_plot,
    ratios_plot,
)
from .transfer_summary import AXES, FEW_SHOWN, reduced, seeds_of, share, summary, tiles

MEANING: Final[Mapping[str, str]] = {
    "zero_shot": "no packet, the problem alone",
    "four_shot": "no packet, four traces before each problem",
    "with_c": "the packet as it is",
    "without_c": "its traces alone",
    "shuffled_c": "each concept has the embedding of another",
    "random_c": "embeddings drawn at random, with the mean and spread of the real ones",
    "untrained_c": "embeddings of the teacher before its training",
    "wrong_facts": "the facts that traces show are dealt out anew",
}
"""What a packet is, by the name of its control."""


def build_transfer_page(record: Record) -> str:
    """The page, as HTML without a single external resource.

    Args:
        record: As `m2kt bench transfer` writes it; a part that it does not have has no section.
    """
    parts: tuple[tuple[str, Callable[[Record], str]], ...] = (
        ("domains", _domains),
        ("controls", _controls),
        ("reveal", _reveal),
        ("baselines", _baselines),
        ("reduction", _reduction),
        ("layers", _layers),
        ("geometry", _geometry),
        ("ablations", _ablations),
        ("ingest", _ingest),
    )
    return page(
        "M2KT transfer",
        "What transfer reaches, and what carries it",
        summary(record),
        tiles=tiles(record),
        sections=[
            *(part(record) for key, part in parts if record.get(key)),
            _limits(record),
            _origin(record),
        ],
    )


def _domains(record: Record) -> str:
    domains: Rows = record["domains"]
    ways = list(next(iter(domains.values()))["before_by_way"])
    head = ["domain", "teacher", *(way.replace("_", "-") for way in ways), "after", "95 %"]
    head += [*(f"seed {seed}" for seed in record["seeds"]), "retention", "seconds to learn"]
    body = [
        [
            *(name, share(its["teacher"]), *(share(its["before_by_way"][way]) for way in ways)),
            *(share(its["after"]), _interval(its), *map(share, its["by_seed"])),
            *(share(its["retention"]), f"{its['learning_s']:.1f}"),
        ]
        for name, its in domains.items()
    ]
    note = (
        "<p>The same held-out problems for all. Before is the better of zero-shot and four-shot."
        " Where a domain has several teachers, each is asked for its own facts, and these are"
        " composed without a mistake. Retention is after, by teacher. The interval is that of"
        " after.</p>"
    )
    plot = figure(domains_plot(domains), "From before to after, beside the teacher.")
    levels = _grid({name: its["by_level"] for name, its in domains.items()}, share)
    used = _grid({name: its["meter"] for name, its in domains.items()}, _count)
    return section(
        "What transfer reaches",
        *(note, plot, table(head, body)),
        *("<p>After, by level:</p>", levels),
        *("<p>What the first seed's transfer consumed:</p>", used),
    )


def _controls(record: Record) -> str:
    controls = record["controls"]
    names = list(dict.fromkeys(name for its in controls.values() for name in its["domains"]))
    groups = {
        name: {way: its["domains"][name] for way, its in controls.items() if name in its["domains"]}
        for name in names
    }
    head = ["", "mean", *(column for name in names for column in (name, "95 %"))]
    body = []
    for way, its in controls.items():
        row = [f"{way}: {MEANING.get(way, '')}".removesuffix(": "), share(its["accuracy"])]
        for name in names:
            found = its["domains"].get(name)
            row += [share(found["accuracy"]), _interval(found)] if found else ["", ""]
        body.append(row)
    note = (
        f"<p>Traces show {FEW_SHOWN} of the facts. What a packet is said to carry is taken out of"
        " it; all else is the same. What is left would have been learnt without it. Zero-shot and"
        " four-shot have no packet; the four traces are drawn from those of all facts.</p>"
    )
    plot = figure(bars_plot(groups, "right answers by control"), "With intervals of 95 %.")
    return section("What carries it", note, plot, table(head, body))


def _reveal(record: Record) -> str:
    where = f" of {escape(record['curved'])}" if "curved" in record else ""
    note = (
        f"<p>The fewer facts{where} traces show, the more has to come from elsewhere. On the right,"
        " only problems that need a fact which no trace shows.</p>"
    )
    return section("How few facts are enough", note, *_curves(record["reveal"], "share of facts"))


def _geometry(record: Record) -> str:
    its = record.get("related")
    who = f" ({escape(its['domain'])}, learnt by {escape(its['student'])})" if its else ""
    note = (
        f"<p>Here{who} the packet's concepts are no facts: only the places of things in the"
        " teacher's representation. What no trace shows has to be worked out from these.</p>"
    )
    return section("What geometry carries", note, *_curves(record["geometry"], "geometry"))


def _curves(curves: Mapping[str, Rows], what: str) -> Iterable[str]:
    """Plot and tables of curves."""
    caption = ", ".join(f"{way}: {MEANING[way]}" for way in _ways(curves) if way in MEANING)
    yield figure(curves_plot(curves, f"right answers by {what}"), caption)
    shares = {share: curves[share] for share in sorted(curves, key=float)}
    yield _grid(shares, lambda its: f"{share(its['accuracy'])} ({_interval(its)})")
    if any(its.get("unseen") is not None for rows in curves.values() for its in rows.values()):
        yield "<p>Problems that need a fact which no trace shows:</p>"
        yield _grid(shares, lambda its: share(its.get("unseen")))


def _baselines(record: Record) -> str:
    baselines: Rows = record["baselines"]
    domain, traces = record["compared"], record["reduction"]["ours"]["traces"]
    lines = "".join(f"<p>{escape(name)}: {_matched(its)}</p>" for name, its in baselines.items())
    note = (
        f"<p>Other ways to teach the same student {escape(domain)}, with the same adapters, against"
        f" what ours reached with {FEW_SHOWN} of the facts shown. One run each, no interval.</p>"
    )
    plot = figure(
        baselines_plot(baselines, traces, domain), "Dashed: what ours reached with its traces."
    )
    shares, tokens = (
        {name: its[key] for name, its in baselines.items()} for key in ("accuracy_at", "tokens_at")
    )
    return section(
        "What else it would have taken",
        *(note, lines, plot),
        *("<p>Right answers by number of examples:</p>", _grid(shares, share)),
        *("<p>Tokens in these examples:</p>", _grid(tokens, _count)),
    )


def _matched(its: Mapping[str, Any]) -> str:
    count, ours = its["examples_to_match"], f"{its['to_match']:.3f}"
    if count is None:
        most = max(int(tried) for tried in its["accuracy_at"])
        return f"{ours} was not reached at {most:,} examples, the most that were tried."
    return f"{ours} was reached at {count:,} examples, the fewest of those tried that did."


def _reduction(record: Record) -> str:
    its = record["reduction"]
    ours, theirs, against = its["ours"], its["theirs"], its["against"]
    body = [[key, _count(ours[AXES[key]]), _count(theirs[key]), reduced(its, key)] for key in AXES]
    note = (
        f"<p>1 - ours / theirs. {escape(against)} reached ours at {theirs['examples']:,} examples,"
        " the fewest of those tried that did.</p>"
        if its["reached"]
        else f"<p>Not reached at {theirs['examples']:,} examples: {escape(against)} never matched"
        " ours, so 1 - ours / theirs is a lower bound.</p>"
    )
    more = f"<p>Ours counts traces as examples; {ours['concepts']:,} concepts are in its bytes.</p>"
    head = ["", "ours", against, "reduction"]
    return section("How much less data", note, more, table(head, body))


def _layers(record: Record) -> str:
    note = (
        f"<p>Traces show {FEW_SHOWN} of the facts. A teacher's last state is nearly its answer."
        " Here concepts are read from inside it: -1 is the last state, -2 that before the last"
        " layer.</p>"
    )
    return section("Where concepts are read", note, *_bars(record["layers"], "layer"))


def _ablations(record: Record) -> str:
    note = (
        f"<p>Traces show {FEW_SHOWN} of the facts. Concepts_0.5: C holds half of those that no"
        " trace shows; exemplars_4: each is the mean of 4 states; readout_10: so many steps of"
        " phase A. L_geo is what phase A left of its loss.</p>"
    )
    rows = record["ablations"]
    named = {name: re.fullmatch(r"readout_([1-9]\d{0,5})", name) for name in rows}
    steps = {int(found[1]): rows[name] for name, found in named.items() if found}
    plot = figure(convergence_plot(steps), "L_geo, and what comes of it.") if steps else ""
    return section("What each part is for", note, *_bars(rows, "ablation"), plot)


def _bars(rows: Rows, what: str) -> Iterable[str]:
    """Plot and table of rows."""
    yield figure(bars_plot({"": rows}, f"right answers by {what}"), "With intervals of 95 %.")
    body = [
        [
            *(name, share(its["accuracy"]), _interval(its), share(its.get("unseen"))),
            f"{its['loss_geometry']:.4f}" if "loss_geometry" in its else "",
        ]
        for name, its in rows.items()
    ]
    yield table([what, "right answers", "95 %", "on facts in no trace", "L_geo"], body)


def _ingest(record: Record) -> str:
    its = record["ingest"]
    ratios = {name: ratio for name, ratio in its.items() if name.startswith("vs_")}
    bounds = its["lower_bounds"]
    rows = [
        *((n, f"{'≥ ' if n in bounds else ''}{ratio:.2f}") for n, ratio in ratios.items()),
        ("tokens a second", f"{its['tokens_per_s']:,.0f}"),
        ("MFU, by the measured bf16 matmul peak", f"{100 * its['mfu']:.2f} %"),
    ]
    note = (
        "<p>Seconds of others to the same accuracy, by those of alignment: above 1 alignment is"
        " faster. Who did not get there has a lower bound.</p>"
    )
    plot = figure(ratios_plot(ratios, bounds), "Clocks stand still during exams.")
    return section("How fast it is learnt", note, plot, facts(rows))


def _limits(record: Record) -> str:
    """What nobody may read out of the figures."""
    said = [
        f"{seeds_of(record)} Teachers are always the same ones: how far others would differ is in"
        " no interval.",
        "Before, teacher and the baselines are one run each.",
        "The level of guessing is in no figure: 1 / the number of possible answers, or more where"
        " some are frequent. Zero-shot does not stand for it.",
        *_where(record),
        f"One student, {record['student']}: of other or larger ones this says nothing.",
    ]
    lines = "".join(f"<li>{escape(line)}</li>" for line in said)
    return section("What is not shown", f"<ul>{lines}</ul>")


def _where(record: Record) -> Iterable[str]:
    if "compared" in record:
        yield f"Other ways were tried on {record['compared']} alone."
    if "controls" in record:
        names = ", ".join(record["controls"][OURS]["domains"])
        yield f"Controls were run on {names}; the mean over these has no interval."


def _origin(record: Record) -> str:
    machine = dict(record["machine"])
    versions = machine.pop("versions", {})
    rows: list[tuple[str, object]]
    rows = [(key, code(record[key])) for key in ("command", "ended_at", "format") if key in record]
    rows += [("student", record["student"]), ("seeds", ", ".join(map(str, record["seeds"])))]
    rows += [*machine.items(), *((f"version of {name}", its) for name, its in versions.items())]
    return section("Where it comes from", facts(rows))


def _ways(curves: Mapping[str, Rows]) -> list[str]:
    return list(dict.fromkeys(way for rows in curves.values() for way in rows))


def _grid(rows: Mapping[str, Mapping[str, Any]], show: Callable[[Any], str]) -> str:
    """A table of `rows`, with a column for each key of any of them; numbers in their order."""
    columns = list(dict.fromkeys(key for its in rows.values() for key in its))
    names = [column.replace("_", " ") for column in columns]
    if all(column.isdecimal() for column in columns):
        columns = sorted(columns, key=int)
        names = [f"{int(column):,}" for column in columns]
    body = [
        [name, *(show(its[column]) if column in its else "" for column in columns)]
        for name, its in rows.items()
    ]
    return table(["", *names], body)


def _count(value: float) -> str:
    return f"{value:,}"


def _interval(its: Mapping[str, Any]) -> str:
    low, high = its["interval"]
    return f"{low:.3f} to {high:.3f}"
