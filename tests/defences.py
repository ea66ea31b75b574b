"""Every defence: the line that is it, what stands there without it, and which tests notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A defence, the line that is it, what stands there without it, and who has to notice."""

    defence: str
    file: str
    line: str
    without: str
    tests: tuple[str, ...]


def attack(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/attacks/test_{name}.py" for name in names)


SIGNING, TRUST, CHUNKS = "m2kt/signing.py", "m2kt/trust.py", "m2kt/wire/chunks.py"
ADMISSION, MANIFEST, SCREEN = "m2kt/wire/admission.py", "m2kt/wire/manifest.py", "m2kt/screen.py"
MUTATIONS = (
    Mutation(
        "signatures are checked",
        SIGNING,
        "        key.verify(signature.signature, message)\n",
        "        pass\n",
        attack("bit_flips", "wrong_key"),
    ),
    Mutation(
        "the type is signed too",
        SIGNING,
        "    if envelope.payload_type != payload_type:\n",
        "    if False:\n",
        attack("type_confusion"),
    ),
    Mutation(
        "envelopes are small",
        SIGNING,
        "    if size > MAX_ENVELOPE_PAYLOAD_BYTES or count > MAX_SIGNATURES:\n",
        "    if False:\n",
        attack("oversize"),
    ),
    Mutation(
        "several signatures are counted",
        SIGNING,
        "    if len(signers) < trust.threshold or len(agents) != 1:\n",
        "    if len(agents) != 1:\n",
        ("tests/unit/test_signing.py", "tests/agents/test_credentials.py"),
    ),
    Mutation(
        "weak keys are refused",
        TRUST,
        "    if len(public_key) != PUBLIC_KEY_BYTES or y >= P or y in SMALL_ORDER_Y"
        " or not _on_curve(y):\n",
        "    if len(public_key) != PUBLIC_KEY_BYTES:\n",
        attack("weak_key"),
    ),
    Mutation(
        "unknown keys are refused",
        SIGNING,
        "        if trust.knows(signature.key_id):\n"
        "            signers[signature.key_id] = trust.agent_of(signature.key_id)\n",
        "        if True:\n"
        "            known = trust.knows(signature.key_id)\n"
        "            signers[signature.key_id] = (\n"
        "                trust.agent_of(signature.key_id) if known else AgentId('teacher')\n"
        "            )\n",
        attack("unknown_key"),
    ),
    Mutation(
        "revoked keys are refused",
        TRUST,
        "        if key_id in self.revoked:\n            raise RevokedKeyError(\n",
        "        if key_id in self.revoked:\n            return AgentId('teacher')\n"
        "            raise RevokedKeyError(\n",
        attack("revoked_key"),
    ),
    Mutation(
        "what a replaced key signs later is refused",
        SIGNING,
        "        if self.until_s < math.inf and not signed_at_s <= self.until_s:",
        "        if False:",
        attack("replaced_key"),
    ),
    Mutation(
        "a manifest is its signer's own",
        MANIFEST,
        "    if manifest.teacher != verified.agent:\n",
        "    if False:\n",
        attack("wrong_key"),
    ),
    Mutation(
        "chunks are held against the manifest",
        CHUNKS,
        "        if len(data) != wanted or digest_of(data) != manifest.chunk_digests[index]:\n",
        "        if False:\n",
        attack("bit_flips", "oversize"),
    ),
    Mutation(
        "chunks come in order, each once",
        CHUNKS,
        "        if index != self._next or self.complete:\n",
        "        if self.complete:\n",
        attack("chunk_order"),
    ),
    Mutation(
        "the whole is held against the manifest",
        CHUNKS,
        "    if len(payload) > manifest.payload_bytes or found != manifest.content_digest:\n",
        "    if False:\n",
        attack("bit_flips"),
    ),
    Mutation(
        "a packet is accepted once",
        ADMISSION,
        "    if seen(packet_id):\n",
        "    if False:\n",
        attack("replayed"),
    ),
    Mutation(
        "a packet is for its audience",
        ADMISSION,
        "    if manifest.audience not in (expectations.audience, BROADCAST):\n",
        "    if False:\n",
        attack("wrong_audience"),
    ),
    Mutation(
        "a packet answers the nonce",
        ADMISSION,
        "    if expectations.nonce is not None and manifest.nonce != expectations.nonce:\n",
        "    if False:\n",
        attack("wrong_nonce"),
    ),
    Mutation(
        "expired packets are refused",
        ADMISSION,
        "    if late_s >= expectations.skew_s:\n",
        "    if False:\n",
        attack("expired"),
    ),
    Mutation(
        "packets of the future are refused",
        ADMISSION,
        "    if ahead_s > expectations.skew_s:\n",
        "    if False:\n",
        attack("not_yet_valid"),
    ),
    Mutation(
        "sizes are checked before anything is made of them",
        MANIFEST,
        "    _require_within(manifest, limits)\n",
        "",
        attack("oversize", "shape_bombs"),
    ),
    Mutation(
        "tensors tile the payload",
        MANIFEST,
        "    require_layout(manifest)\n    return manifest\n",
        "    return manifest\n",
        attack("shape_bombs"),
    ),
    Mutation(
        "numbers are finite",
        SCREEN,
        '    "finite": finite,\n',
        "",
        attack("nan"),
    ),
    Mutation(
        "norms are in proportion",
        SCREEN,
        '    "norms": norms,\n',
        "",
        attack("norms"),
    ),
    Mutation(
        "a concept is the mean of its exemplars",
        SCREEN,
        '    "means": means,\n',
        "",
        attack("mean"),
    ),
    Mutation(
        "traces are worked out again",
        SCREEN,
        "            refuted += domain.faults(trace)[:1] if rules.check_traces else ()\n",
        "            pass\n",
        attack("refuted_traces"),
    ),
    Mutation(
        "denied concepts are not learnt",
        SCREEN,
        "            if fnmatch.fnmatchcase(folded(name), folded(pattern)):\n",
        "            if False:\n",
        attack("deny_list"),
    ),
    Mutation(
        "denied phrases are not learnt",
        SCREEN,
        "            if phrase.within(text):\n",
        "            if False:\n",
        attack("deny_list"),
    ),
    Mutation(
        "tested heads have figures that can be true",
        SCREEN,
        "    for sentence in faults(packet.packet.heads):\n",
        "    for sentence in ():\n",
        attack("false_heads"),
    ),
    Mutation(
        "a newer card is not replaced by an older one",
        "m2kt/registry.py",
        "        if newest is not None and same_key and card.issued_at_s < newest.issued_at_s:\n",
        "        if False:\n",
        attack("old_card"),
    ),
    Mutation(
        "an audit log is chained",
        "m2kt/audit.py",
        "        if (entry.number, entry.digest) != (count, chained):\n",
        "        if False:\n",
        ("tests/unit/test_audit.py",),
    ),
    Mutation(
        "no name leads out of a folder",
        "m2kt/sealed_packets.py",
        'digest_from_text(packet_id).removeprefix("b3:")',
        'str(packet_id).removeprefix("b3:")',
        ("tests/unit/test_sealed_packets.py",),
    ),
    Mutation(
        "protobuf is not the pure Python one",
        "m2kt/wire/__init__.py",
        'if api_implementation.Type() == "python":\n',
        "if False:\n",
        attack("deep_nesting"),
    ),
    Mutation(
        "no dimension is longer than the payload",
        MANIFEST,
        "        if max(entry.shape, default=0) > manifest.payload_bytes:",
        "        if False:",
        ("tests/wire/test_conformance.py",),
    ),
    Mutation(
        "a rotation says when",
        "m2kt/wire/rotations.py",
        "    if not math.isfinite(message.issued_at_s):",
        "    if False:",
        ("tests/wire/test_conformance.py",),
    ),
    Mutation(
        "signatures are counted before anything is made of them",
        "m2kt/wire/cards.py",
        "    if len(message.signatures) > MAX_SIGNATURES:\n",
        "    if False:\n",
        ("tests/wire/test_fuzz.py",),
    ),
    Mutation(
        "steps are counted over all traces",
        "m2kt/wire/description.py",
        "[sum(len(t.steps) for t in message.traces)]",
        "[0]",
        ("tests/unit/test_wire_description.py",),
    ),
    Mutation(
        "a spool that was sealed is not cut under its second name",
        CHUNKS,
        "                if there.st_nlink > 1 and there.st_size != length:",
        "                if False:",
        ("tests/faults/test_spool_power_loss.py",),
    ),
)
