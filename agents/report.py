"""The demo's page: one self-contained HTML file made from `demo.json` alone.

Owns: what the page says and in which order.
Does not own: the measurements (demo), the plots (plots), the shell around both (page).
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .page import Html, code, facts, figure, page, pre, section, table, tile
from .plots import Record, accuracy_plot, data_plot, loss_plot, time_plot


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
        f" weights. {teachers} sent it one signed packet each, of"
        f" {escape(record['domain']['name'])}. Measured on this machine in {minutes:.1f} minutes,"
        f" on {record['per_level']} held-out problems for each chain length."
    )
    parts = (
        *(_claims, _results, _answers, _alignment, _data),
        *(_receipt, _poisoned, _tampered, _machine),
    )
    return page(
        "M2KT demo",
        "A language model learnt what neither of its teachers knows alone"
        if all(record["acceptance"].values())
        else "A run of the demo in which not every claim held",
        summary,
        tiles=_tiles(record),
        sections=[part(record) for part in parts],
    )


def mean(by_level: Mapping[str, float]) -> float:
    """Mean over levels."""
    return sum(by_level.values()) / max(1, len(by_level))


def _tiles(record: Record) -> Iterable[str]:
    student, poisoned, tampered = record["student"], record["poisoned"], record["tampered"]
    yield tile(f"{mean(student['before']):.2f} → {mean(student['after']):.2f}", "right answers")
    yield tile(f"{mean(student['mixed']):.2f}", "on chains that neither teacher can do")
    used = record["meter"]
    yield tile(f"{used['labels']} · {used['logits']}", "labels · logits")
    declined = not poisoned["head_moved"] and poisoned["answers_identical"]
    yield tile("declined" if declined else "LEARNT", "the teacher of wrong answers", declined)
    refused = tampered["refused_before_parse"]
    yield tile("refused" if refused else "READ", "the tampered stream", refused)
    yield tile(f"{record['peak_rss_mib'] / 1024:.1f} GiB", "peak memory, all processes")


def _claims(record: Record) -> str:
    rows = [
        [
            claim,
            Html(f'<span class="{"good" if held else "bad"}">{"yes" if held else "NO"}</span>'),
        ]
        for claim, held in record["acceptance"].items()
    ]
    return section("What this run shows", table(["", ""], rows, numeric=False))


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
    plot = figure(accuracy_plot(record), "Share of right answers by length of the chain.")
    title = "What it could do before, and what it can do now"
    return section(title, note, plot, table(head, body))


def _answers(record: Record) -> str:
    head = ["question", "before", "after", "right answer"]
    body = [
        [row["question"], pre(row["before"]), pre(row["after"]), row["answer"]]
        for row in record["student"]["examples"]
    ]
    note = "<p>What the student wrote, word for word. The first problems of the exam.</p>"
    return section("In its own words", note, table(head, body, numeric=False))


def _alignment(record: Record) -> str:
    note = (
        "<p>Only the Concept Alignment Layer is trained; the language model is as it was. First its"
        " projection learns to read results out of the teachers' concepts, then the student"
        " rehearses problems that it composes itself.</p>"
    )
    plot = figure(loss_plot(record), "Terms of the loss, as the student reported them.")
    return section("Alignment", note, plot)


def _data(record: Record) -> str:
    head = ["counted", *(t["agent"] for t in record["teachers"]), "transfer, in all"]
    packets = [teacher["packet"] for teacher in record["teachers"]]
    body = [
        [key.replace("_", " "), *(_count(p["meter"].get(key)) for p in packets), _count(value)]
        for key, value in record["meter"].items()
    ]
    plot = figure(
        data_plot(record),
        "The dashed line is the paper's claim, held against what the teachers themselves were"
        " trained on. Distillation of the same student is run by make bench, not here.",
    )
    return section("Data used", plot, table(head, body))


def _receipt(record: Record) -> str:
    receipt = record["receipt"]
    rows = [[key.replace("_", " "), code(value)] for key, value in receipt.items()]
    note = "<p>Signed by the student, and sent to both teachers and the broker.</p>"
    return section("The receipt", note, table(["field", "value"], rows, numeric=False))


def _poisoned(record: Record) -> str:
    poisoned = record["poisoned"]
    reasons = ", ".join(poisoned["reasons"])
    rows = [
        ["verdict", f"{poisoned['verdict']} ({reasons})"],
        ["why", pre("\n".join(poisoned["details"]))],
        ["HEAD moved", _yes(poisoned["head_moved"])],
        ["answers bit-identical to before", _yes(poisoned["answers_identical"])],
        ["answers compared", _count(poisoned["answers_compared"])],
    ]
    note = (
        f"<p>{escape(poisoned['agent'])} answers with the wrong numbers. Its key is trusted and its"
        " packet well-formed: only what it says is false.</p>"
    )
    return section("A teacher of wrong answers", note, table(["", ""], rows, numeric=False))


def _tampered(record: Record) -> str:
    tampered = record["tampered"]
    rows = [
        ["refused before anything was parsed", _yes(tampered["refused_before_parse"])],
        ["reason", ", ".join(tampered["reasons"])],
        ["what the student said", pre("\n".join(tampered["details"]))],
        ["bit flipped", tampered["flipped"]],
        ["HEAD moved", _yes(tampered["head_moved"])],
    ]
    note = (
        "<p>Somebody on the way, who holds the certificates of both ends, flips one bit of one"
        " chunk of a teacher's stream.</p>"
    )
    return section("A tampered stream", note, table(["", ""], rows, numeric=False))


def _machine(record: Record) -> str:
    head = ["agent", "role", "address", "model", "weights"]
    body = [
        [a["agent"], a["role"], code(a["address"]), a["model"], _count(a["parameters"])]
        for a in record["agents"]
    ]
    plot = figure(time_plot(record), "Phases of the demo.")
    machine = facts(record["machine"].items())
    return section("Agents, machine, time", machine, plot, table(head, body, numeric=False))


def _shares(found: Mapping[str, float], levels: Iterable[str]) -> list[str]:
    return [f"{found[level]:.3f}" if level in found else "" for level in levels]


def _percent(part: Mapping[str, float]) -> str:
    return f"{100 * part['accuracy']:.0f} %" if part["count"] else "none"


def _count(value: Any) -> str:  # noqa: ANN401
    return f"{value:,}" if isinstance(value, int | float) else ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
