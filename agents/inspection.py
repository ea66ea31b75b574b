"""What is inside a packet, in a form that a person can read.

Owns: `opened` and `inspection` (as data), `show` (as tables).
Does not own: whether the packet can be trusted (m2kt.wire, m2kt.screen).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch.nn.functional as F  # noqa: N812 - its usual name
from rich.text import Text
from torch import Tensor

from m2kt.identity import AgentId, agent_id
from m2kt.packet import AuthenticPacket, KnowledgePacket
from m2kt.signing import Envelope, verify_envelope
from m2kt.tested_heads import TestedHead
from m2kt.trust import TrustStore
from m2kt.wire.admission import Expectations, admit
from m2kt.wire.chunks import authenticate
from m2kt.wire.manifest import MANIFEST_TYPE, Manifest, read_message
from m2kt.wire.packets import parse_packet

from . import console

NEIGHBOURS: Final = 3
MEMBERS: Final = 6
"""Facts that a person is told of a found concept; the rest is counted."""

Found = Mapping[str, Any]


def inspection(packet: AuthenticPacket, manifest: Manifest) -> dict[str, Any]:
    """All that a packet says, but for its exemplars: those are told as sizes and spreads."""
    content = packet.packet
    return {
        "packet_id": packet.packet_id,
        "content_digest": packet.content_digest,
        "signers": packet.signers,
        "audience": manifest.audience,
        "issued_at_s": manifest.issued_at_s,
        "expires_at_s": manifest.expires_at_s,
        "provenance": content.provenance,
        "sizes": {
            "on_wire": packet.bytes_on_wire,
            "payload": manifest.payload_bytes,
            "description": manifest.description_bytes,
            "chunks": len(manifest.chunk_digests),
            "tensors": [
                {"name": t.name, "type": t.dtype, "shape": t.shape, "bytes": t.bytes}
                for t in manifest.tensors
            ],
        },
        "symbols": content.symbols,
        "heads": content.heads,
        "concepts": _concepts(content),
        "traces": [
            {
                "question": trace.question,
                "steps": [s.text for s in trace.steps],
                "answer": trace.answer,
            }
            for trace in content.traces
        ],
    }


def opened(envelope: Envelope, payload: bytes) -> dict[str, Any]:
    """The inspection of a packet that is what its signers signed, whoever they are.

    Raises:
        TrustError: a signature does not belong to it.
        PacketError: it is malformed.
    """
    claimed = read_message(envelope.payload)
    teacher, trust = agent_id(claimed.teacher), TrustStore()
    for signature in envelope.signatures:
        trust = trust.enrol(signature.key_id, teacher)
    expected = Expectations(audience=AgentId(claimed.audience), now_s=claimed.issued_at_s)
    verified = verify_envelope(envelope, trust, MANIFEST_TYPE)
    admitted = admit(verified, expected, seen=lambda _: False)
    return inspection(parse_packet(authenticate(admitted, payload)), admitted.manifest)


def _concepts(content: KnowledgePacket) -> list[dict[str, Any]]:
    centred = F.normalize(content.means.float() - content.means.float().mean(0), dim=-1)
    cosines = centred @ centred.T
    cosines.fill_diagonal_(-2.0)
    near = cosines.topk(min(NEIGHBOURS, max(0, len(content.concepts) - 1)))
    spreads = (content.exemplars.float() - content.means.float()[:, None]).norm(dim=-1).mean(-1)
    return [
        {
            "id": concept.id,
            "gloss": concept.gloss,
            "prompt": concept.prompt,
            "members": list(concept.members),
            "norm": float(content.means[row].float().norm()),
            "spread": float(spreads[row]),
            "exemplars": int(content.exemplars.shape[1]),
            "neighbours": _neighbours(content, near.indices[row], near.values[row]),
        }
        for row, concept in enumerate(content.concepts)
    ]


def _neighbours(content: KnowledgePacket, rows: Tensor, cosines: Tensor) -> list[dict[str, Any]]:
    return [
        {"id": content.concepts[int(row)].id, "cosine": float(cosine)}
        for row, cosine in zip(rows, cosines, strict=True)
    ]


def show(found: Found, *, concepts: int, traces: int) -> None:
    """Prints what `inspection` found; at most so many concepts and traces."""
    _show_origin(found)
    _show_sizes(found["sizes"])
    _show_meter(found)
    _show_heads(found["heads"])
    _show_concepts(found["concepts"], concepts)
    shown = console.table(f"traces ({len(found['traces'])})", "question", "steps", "answer")
    for trace in found["traces"][:: max(1, len(found["traces"]) // max(1, traces))][:traces]:
        shown.add_row(
            Text(trace["question"]), Text("  ".join(trace["steps"])), Text(trace["answer"])
        )
    console.out.print(shown)


def _show_origin(found: Found) -> None:
    origin = found["provenance"]
    shown = console.table("provenance", "", "")
    rows = {
        "packet": found["packet_id"],
        "content": found["content_digest"],
        "teacher": origin.teacher,
        "signed by": "\n".join(found["signers"]),
        "for": found["audience"],
        "issued": _time(found["issued_at_s"]),
        "expires": _time(found["expires_at_s"]),
        "extracted": _time(origin.created_at_s),
        "domain": origin.domain,
        "model": f"{origin.family}, weights {origin.weights_digest}",
        "extractor": f"{origin.extractor}, hidden state {origin.layer}, seed {origin.seed}",
        "licence": origin.licence,
        "genre": origin.genre,
        "software": origin.software,
        "symbols": " ".join(found["symbols"]),
    }
    for name, value in rows.items():
        shown.add_row(f"[dim]{name}[/dim]", Text(str(value)))
    console.out.print(shown)


def _show_sizes(sizes: Found) -> None:
    title = f"{sizes['on_wire']:,} bytes on the wire, {sizes['chunks']} chunks"
    shown = console.table(title, "part", "type", "shape", "#bytes")
    shown.add_row("description", "message", "", f"{sizes['description']:,}")
    for tensor in sizes["tensors"]:
        shape = " x ".join(str(length) for length in tensor["shape"])
        shown.add_row(tensor["name"], str(tensor["type"]), shape, f"{tensor['bytes']:,}")
    console.out.print(shown)


def _show_meter(found: Found) -> None:
    counts = console.plain(found["provenance"].meter)
    shown = console.table("what extraction consumed", *(f"#{n.replace('_', ' ')}" for n in counts))
    shown.add_row(*(f"{count:,}" for count in counts.values()))
    console.out.print(shown)


def _show_heads(heads: Sequence[TestedHead]) -> None:
    if not heads:
        return
    passed = sum(head.weight > 0 for head in heads)
    title = f"heads tested ({passed} of {len(heads)} passed)"
    shown = console.table(title, "layer", "#head", "#effect", "#p", "#weight")
    for head in heads:
        figures = (f"{head.effect:.3f}", f"{head.p:.3g}", f"{head.weight:.3f}")
        shown.add_row(str(head.layer), str(head.head), *figures)
    console.out.print(shown)


def _show_concepts(concepts: list[dict[str, Any]], limit: int) -> None:
    title = f"concepts ({len(concepts)}; neighbours by cosine of centred means)"
    found = any(concept["members"] for concept in concepts)
    columns = ("id", "prompt", "#norm", "#spread", "#exemplars", "nearest")
    shown = console.table(title, *columns, *(["made of"] if found else []))
    for concept in concepts[:limit]:
        nearest = ", ".join(f"{_name(n['id'])} {n['cosine']:.2f}" for n in concept["neighbours"])
        shown.add_row(
            Text(concept["id"]),
            Text(concept["prompt"]),
            f"{concept['norm']:.2f}",
            f"{concept['spread']:.2f}",
            str(concept["exemplars"]),
            Text(nearest),
            *([Text(_made_of(concept["members"]))] if found else []),
        )
    console.out.print(shown)


def _made_of(members: Sequence[str]) -> str:
    named = ", ".join(map(_name, members[:MEMBERS]))
    rest = len(members) - MEMBERS
    return f"{named} and {rest} more" if rest > 0 else named


def _name(concept: str) -> str:
    return concept.partition("/")[2] or concept


def _time(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))
