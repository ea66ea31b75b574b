"""The demo's page: one self-contained HTML file made from `demo.json` alone.

Owns: what the page says and in which order.
Does not own: the measurements (demo), the plots (plots).
"""

from collections.abc import Iterable, Mapping
from html import escape
from string import Template
from typing import Any, Final

from .plots import Record, accuracy_plot, data_plot, loss_plot, time_plot

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>M2KT demo</title>
<style>
:root { color-scheme: light; }
body { margin: 0; background: #f5f7fa; color: #1c2733;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
section { background: #fff; border: 1px solid #e3e8ee; border-radius: 10px;
  padding: 1.3rem 1.5rem; margin: 1.2rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .8rem;
  margin: 1.4rem 0; }
.tile { background: #fff; border: 1px solid #e3e8ee; border-radius: 10px; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.25rem; line-height: 1.3; white-space: nowrap; }
.tile span { color: #5a6776; font-size: .9rem; }
.good { color: #187a4b; } .bad { color: #b3261e; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; margin: .4rem 0; }
th, td { text-align: left; padding: .34rem .7rem .34rem 0; border-bottom: 1px solid #edf0f4;
  vertical-align: top; }
th { font-weight: 600; color: #5a6776; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: .86em/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 0; white-space: pre-wrap; }
figure { margin: .2rem 0; } svg { width: 100%; height: auto; }
figcaption { color: #5a6776; font-size: .88rem; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$summary</p>
<div class="tiles">$tiles</div>
$sections
</main>
</body>
</html>
""")


def build_page(record: Record) -> str:
    """The page, as HTML without a single external resource.

    Args:
        record: What `demo.json` holds.
    """
    student = record["student"]
    minutes = record["seconds"]["total"] / 60
    teachers = " and ".join(escape(teacher["agent"]) for teacher in record["teachers"])
    summary = (
        f"The student is {escape(student['name'])}, {student['model']['parameters']:,} frozen"
        f" weights. {teachers} sent it one signed packet each, of {record['domain']['name']}."
        f" Measured on this machine in {minutes:.1f} minutes, on"
        f" {record['per_level']} held-out problems for each chain length."
    )
    sections = (
        *(_claims, _results, _answers, _alignment, _data),
        *(_receipt, _poisoned, _tampered, _machine),
    )
    return _PAGE.substitute(
        title="A language model learnt what neither of its teachers knows alone"
        if all(record["acceptance"].values())
        else "A run of the demo in which not every claim held",
        summary=summary,
        tiles="".join(_tiles(record)),
        sections="\n".join(section(record) for section in sections),
    )


def mean(by_level: Mapping[str, float]) -> float:
    """Mean over levels."""
    return sum(by_level.values()) / max(1, len(by_level))


def _tiles(record: Record) -> Iterable[str]:
    student, poisoned, tampered = record["student"], record["poisoned"], record["tampered"]
    yield _tile(f"{mean(student['before']):.2f} → {mean(student['after']):.2f}", "right answers")
    yield _tile(f"{mean(student['mixed']):.2f}", "on chains that neither teacher can do")
    used = record["meter"]
    yield _tile(f"{used['labels']} · {used['logits']}", "labels · logits")
    declined = not poisoned["head_moved"] and poisoned["answers_identical"]
    yield _tile("declined" if declined else "LEARNT", "the teacher of wrong answers", declined)
    refused = tampered["refused_before_parse"]
    yield _tile("refused" if refused else "READ", "the tampered stream", refused)
    yield _tile(f"{record['peak_rss_mib'] / 1024:.1f} GiB", "peak memory, all processes")


def _tile(value: str, meaning: str, good: bool | None = None) -> str:
    kind = "" if good is None else ' class="good"' if good else ' class="bad"'
    return f'<div class="tile"><b{kind}>{escape(value)}</b><span>{escape(meaning)}</span></div>'


def _claims(record: Record) -> str:
    rows = [
        [
            claim,
            _Html(f'<span class="{"good" if held else "bad"}">{"yes" if held else "NO"}</span>'),
        ]
        for claim, held in record["acceptance"].items()
    ]
    return _section("What this run shows", "", ["", ""], rows, numeric=False)


def _results(record: Record) -> str:
    student, teachers = record["student"], record["teachers"]
    rows: list[tuple[str, Mapping[str, float], Mapping[str, float]]] = [
        ("student before, zero-shot", student["before_zero_shot"], {}),
        ("student before, four-shot", student["before_four_shot"], {}),
        *((f"{t['agent']} (knows {t['knows']})", t["accuracy"], t["mixed"]) for t in teachers),
        ("student after", student["after"], student["mixed"]),
    ]
    levels, mixed = sorted(student["after"], key=int), sorted(student["mixed"], key=int)
    head = ["", *levels, "mean", *(f"mixed {level}" for level in mixed)]
    body = [
        [name, *_shares(found, levels), f"{mean(found):.3f}", *_shares(both, mixed)]
        for name, found, both in rows
    ]
    unseen = student["facts_never_shown"]
    note = (
        "<p>The same problems for all. None with two or more operations is in a trace that was"
        f" sent; of the single facts {unseen['count']} are in none, and of those the student gets"
        f" {_percent(unseen)} right. Four-shot means that four traces of the packets"
        " stood before each problem. A mixed chain has operations"
        f" of every teacher in it. Retention, as a share of a perfect composition of the teachers:"
        f" <b>{record['retention']:.3f}</b>.</p>"
    )
    figure = _figure(accuracy_plot(record), "Share of right answers by length of the chain.")
    return _section("What it could do before, and what it can do now", note + figure, head, body)


def _answers(record: Record) -> str:
    head = ["question", "before", "after", "right answer"]
    body = [
        [row["question"], _pre(row["before"]), _pre(row["after"]), row["answer"]]
        for row in record["student"]["examples"]
    ]
    note = "<p>What the student wrote, word for word. The first problems of the exam.</p>"
    return _section("In its own words", note, head, body, numeric=False)


def _alignment(record: Record) -> str:
    note = (
        "<p>Only the Concept Alignment Layer is trained; the language model is as it was. First its"
        " projection learns to read results out of the teachers' concepts, then the student"
        " rehearses problems that it composes itself.</p>"
    )
    figure = _figure(loss_plot(record), "Terms of the loss, as the student reported them.")
    return _section("Alignment", note + figure)


def _data(record: Record) -> str:
    head = ["counted", *(t["agent"] for t in record["teachers"]), "transfer, in all"]
    packets = [teacher["packet"] for teacher in record["teachers"]]
    body = [
        [key.replace("_", " "), *(_count(p["meter"].get(key)) for p in packets), _count(value)]
        for key, value in record["meter"].items()
    ]
    figure = _figure(
        data_plot(record),
        "The dashed line is the paper's claim, held against what the teachers themselves were"
        " trained on. Distillation of the same student is run by make bench, not here.",
    )
    return _section("Data used", figure, head, body)


def _receipt(record: Record) -> str:
    receipt = record["receipt"]
    rows = [[key.replace("_", " "), _code(value)] for key, value in receipt.items()]
    note = "<p>Signed by the student, and sent to both teachers and the broker.</p>"
    return _section("The receipt", note, ["field", "value"], rows, numeric=False)


def _poisoned(record: Record) -> str:
    poisoned = record["poisoned"]
    reasons = ", ".join(poisoned["reasons"])
    rows = [
        ["verdict", f"{poisoned['verdict']} ({reasons})"],
        ["why", _pre("\n".join(poisoned["details"]))],
        ["HEAD moved", _yes(poisoned["head_moved"])],
        ["answers bit-identical to before", _yes(poisoned["answers_identical"])],
        ["answers compared", _count(poisoned["answers_compared"])],
    ]
    note = (
        f"<p>{escape(poisoned['agent'])} answers with the wrong numbers. Its key is trusted and its"
        " packet well-formed: only what it says is false.</p>"
    )
    return _section("A teacher of wrong answers", note, ["", ""], rows, numeric=False)


def _tampered(record: Record) -> str:
    tampered = record["tampered"]
    rows = [
        ["refused before anything was parsed", _yes(tampered["refused_before_parse"])],
        ["reason", ", ".join(tampered["reasons"])],
        ["what the student said", _pre("\n".join(tampered["details"]))],
        ["bit flipped", tampered["flipped"]],
        ["HEAD moved", _yes(tampered["head_moved"])],
    ]
    note = "<p>Somebody on the way flips one bit of one chunk of a teacher's stream.</p>"
    return _section("A tampered stream", note, ["", ""], rows, numeric=False)


def _machine(record: Record) -> str:
    head = ["agent", "role", "address", "model", "weights"]
    body = [
        [a["agent"], a["role"], _code(a["address"]), a["model"], _count(a["parameters"])]
        for a in record["agents"]
    ]
    rows = "".join(
        f"<tr><th>{escape(key.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for key, value in record["machine"].items()
    )
    figure = _figure(time_plot(record), "Phases of the demo.")
    return _section(
        "Agents, machine, time", f"<table>{rows}</table>{figure}", head, body, numeric=False
    )


def _section(
    title: str,
    text: str,
    head: Iterable[str] = (),
    body: Iterable[Iterable[str]] = (),
    *,
    numeric: bool = True,
) -> str:
    columns, rows = list(head), [list(row) for row in body]
    kind = ' class="n"' if numeric else ""
    table = ""
    if columns:
        kinds = ["", *(kind for _ in columns[1:])]
        top = "".join(f"<th{k}>{escape(c)}</th>" for k, c in zip(kinds, columns, strict=True))
        lines = "".join(
            "<tr>"
            + "".join(f"<td{k}>{_cell(c)}</td>" for k, c in zip(kinds, row, strict=True))
            + "</tr>"
            for row in rows
        )
        header = f"<tr>{top}</tr>" if any(columns) else ""
        table = f'<div class="scroll"><table>{header}{lines}</table></div>'
    return f"<section><h2>{escape(title)}</h2>{text}{table}</section>"


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _cell(value: str) -> str:
    return value if isinstance(value, _Html) else escape(str(value))


def _pre(text: str) -> _Html:
    return _Html(f"<pre>{escape(text)}</pre>")


def _code(value: object) -> _Html:
    parts = value if isinstance(value, list | tuple) else [value]
    return _Html("<br>".join(f"<code>{escape(str(part))}</code>" for part in parts))


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _shares(found: Mapping[str, float], levels: Iterable[str]) -> list[str]:
    return [f"{found[level]:.3f}" if level in found else "" for level in levels]


def _percent(part: Mapping[str, float]) -> str:
    return f"{100 * part['accuracy']:.0f} %" if part["count"] else "none"


def _count(value: Any) -> str:  # noqa: ANN401
    return f"{value:,}" if isinstance(value, int | float) else ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
