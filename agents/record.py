"""The demo's record in rows: values of ours as `demo.json` has them; and its end on the screen.

Owns: the shape of each part of the record. Does not own: the order of events (demo).
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from rich.text import Text

from m2kt import __version__
from m2kt.identity import AgentCard
from m2kt.packet import AuthenticPacket
from m2kt.progress import Event
from m2kt.verdict import Accepted, Receipt

from . import console
from .contest import mean
from .views import TransferView

Row = dict[str, Any]
PHASES: Final = {0.0: "phase A: reading out", 1.0: "phase B: rehearsing"}


def machine() -> Row:
    """What the demo ran on."""
    return {
        "processors": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "m2kt": __version__,
    }


def agent_row(card: AgentCard) -> Row:
    """An agent as it introduced itself."""
    model = card.model
    return {
        "agent": card.agent,
        "role": card.role.value,
        "address": card.address,
        "key_id": card.key_id,
        "model": "" if model is None else f"{model.family}, width {model.hidden_size}",
        "parameters": None if model is None else model.parameters,
    }


def packet_row(packet: AuthenticPacket) -> Row:
    """A packet as the demo read it along."""
    content = packet.packet
    shown = {step.concept for trace in content.traces for step in trace.steps}
    return {
        "packet_id": packet.packet_id,
        "content_digest": packet.content_digest,
        "signers": packet.signers,
        "concepts": len(content.concepts),
        "concepts_in_traces": len(shown),
        "traces": len(content.traces),
        "width": content.width,
        "layer": content.provenance.layer,
        "bytes": packet.bytes_on_wire,
        "meter": content.provenance.meter,
    }


def verdict_row(view: TransferView) -> Row:
    """How a transfer ended."""
    verdict = view.verdict
    row: Row = {"state": view.state.value}
    if verdict is None or isinstance(verdict, Accepted):
        kind = "none" if verdict is None else "accepted"
        return row | {"verdict": kind, "reasons": [], "details": []}
    return row | {
        "verdict": "rejected",
        "reasons": [reason.value for reason in verdict.reasons],
        "details": verdict.details,
    }


def receipt_row(receipt: Receipt, key_id: str) -> Row:
    """A receipt whose signature by `key_id` was checked."""
    return {
        "transfer": receipt.transfer,
        "verdict": "accepted" if isinstance(receipt.verdict, Accepted) else "rejected",
        "teachers": receipt.teachers,
        "packets": receipt.packets,
        "head_before": receipt.head_before,
        "head_after": receipt.head_after,
        "probe_items": receipt.probe_items,
        "signed_by": key_id,
    }


def loss_row(event: Event) -> Row:
    """The terms of the loss at one step. A term that a phase does not have is left out."""
    terms = {
        name: value
        for name, value in event.figures.items()
        if name.startswith("loss_") and value != 0.0
    }
    phase = PHASES[event.figures.get("phase", 0.0)]
    return {"phase": phase, "step": int(event.figures["step"]), **terms}


def tell(record: Mapping[str, Any], out: Path) -> None:
    """The outcome, on stderr."""
    student = record["student"]
    console.say("")
    shown = console.table(
        "share of right answers", "", *(f"#{level}" for level in student["after"])
    )
    rows = {
        "student before": student["before"],
        **{f"{teacher['agent']} alone": teacher["accuracy"] for teacher in record["teachers"]},
        "student after": student["after"],
        "student after, mixed": student["mixed"],
    }
    for name, found in rows.items():
        shares = (f"{found[level]:.3f}" if level in found else "" for level in student["after"])
        shown.add_row(name, *shares)
    console.err.print(shown)
    for claim, held in record["acceptance"].items():
        mark = Text("held ", style="green") if held else Text("FAILED ", style="bold red")
        console.err.print(mark + Text(claim))
    console.say(
        f"{mean(student['before']):.3f} before, {mean(student['after']):.3f} after,"
        f" {record['seconds']['total']:.0f} s; see {out / 'demo.html'}"
    )
