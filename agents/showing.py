"""What the command line says of transfers: what is foretold, what happens, how it ends.

Owns: these texts. Does not own: the commands (cli_student), how text looks (console).
"""

from collections.abc import Sequence
from typing import Final

import typer
from rich.text import Text

from m2kt import symptoms
from m2kt.progress import Event, TransferState
from m2kt.reasons import SENTENCES
from m2kt.symptoms import Diagnosis
from m2kt.verdict import Accepted, Verdict

from . import console
from .views import Foretelling

COLORS: Final = {
    TransferState.COMMITTED: "green",
    TransferState.REJECTED: "yellow",
    TransferState.FAILED: "red",
    TransferState.ROLLED_BACK: "yellow",
}


def show_foretelling(domain: str, told: Foretelling, *, as_json: bool) -> None:
    """What a student expects of each teacher. Exit code 1 if it would refuse one."""
    refused = [its for its in told.foretold if its.reason is not None]
    if as_json:
        rows = [console.plain(its) | {"learns": its.reason is None} for its in told.foretold]
        console.emit({"domain": domain, "threshold": told.threshold, "foretold": rows})
    else:
        figures = ("before", "recognised", "depth", "steadiness", "gain")
        heads = [f"#{'foretold gain' if name == 'gain' else name}" for name in figures]
        shown = console.table("", "teacher", *heads, "it would")
        for its in told.foretold:
            cells = [console.cell(getattr(its.outlook, name, None)) for name in figures]
            shown.add_row(Text(its.teacher), *cells, "refuse" if its.reason else "learn")
        console.out.print(shown)
        for its in refused:
            console.out.print(Text(f"{its.teacher}: {its.reason}. {its.detail}", style="yellow"))
    if refused:
        raise typer.Exit(console.DECLINED)


def show_event(event: Event) -> None:
    """One line on stderr: number, state, message, figures."""
    line = Text(f"{event.number:4d} ", style="dim")
    line.append(f"{event.state.value:<14}", style=COLORS.get(event.state, "cyan"))
    line.append(event.message)
    figures = "  ".join(
        f"{name} {value:.4g}"
        for name, value in sorted(event.figures.items())
        if value and name not in {"step", "phase"}
    )
    line.append(f"  {figures}" if figures else "", style="dim")
    console.err.print(line)


def show_verdict(verdict: Verdict) -> None:
    """The verdict and the exam behind it."""
    if isinstance(verdict, Accepted):
        console.out.print("[bold green]accepted[/bold green]")
    else:
        for reason in verdict.reasons:
            console.out.print(f"[bold yellow]rejected[/bold yellow]: {reason}. {SENTENCES[reason]}")
        for detail in verdict.details:
            console.out.print(Text(f"  {detail}"))
    if verdict.evidence is None:
        return
    shown = console.table("", "level", "#before", "#after")
    for level, before in verdict.evidence.before.items():
        after = verdict.evidence.after.get(level, 0.0)
        shown.add_row(str(level), f"{before:.3f}", f"{after:.3f}")
    console.out.print(shown)
    show_diagnosis(verdict.evidence.diagnosis)


def show_diagnosis(diagnosis: Sequence[Diagnosis]) -> None:
    """What a lesson suffered from: what shows, what was found, what to try."""
    for its in diagnosis:
        console.out.print(Text(f"{its.symptom}. {symptoms.SENTENCES[its.symptom]}", style="yellow"))
        console.out.print(Text(f"  {its.sentence}"))
