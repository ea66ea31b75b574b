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
        "a key that is revoked ends a running stream",
        "agents/intake.py",
        "            self._require_still_trusted()\n",
        "",
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
        "another key under a known name is a hard stop",
        "agents/credentials.py",
        "            if key.agent == agent:\n                raise UnknownKeyError(\n",
        "            if False:\n                raise UnknownKeyError(\n",
        ("tests/agents/test_credentials.py",),
    ),
    Mutation(
        "the agent that is asked by name has to sign",
        "agents/intake.py",
        "        if self._teacher not in (None, admitted.manifest.teacher):\n",
        "        if False:\n",
        ("tests/agents/test_intake.py",),
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
        "a caller that floods is refused",
        "agents/throttle.py",
        "        if caller.tokens < 1:\n",
        "        if False:\n",
        attack("flood"),
    ),
    Mutation(
        "a caller has only so many calls at a time",
        "agents/throttle.py",
        "        if caller.calls >= limits.calls_per_caller:\n",
        "        if False:\n",
        attack("flood"),
    ),
    Mutation(
        "a sender that drips is given up",
        "agents/pacing.py",
        "            async with asyncio.timeout_at(due):\n",
        "            async with asyncio.timeout_at(None):\n",
        attack("slow"),
    ),
    Mutation(
        "strangers are kept out",
        "agents/permissions.py",
        "        if caller is None or self._allows(deed, caller, domain):\n",
        "        if True:\n",
        ("tests/agents/test_permissions.py",),
    ),
    Mutation(
        "nobody speaks for another",
        "agents/permissions.py",
        "        if caller is not None and caller != agent:\n",
        "        if False:\n",
        ("tests/agents/test_permissions.py",),
    ),
    Mutation(
        "callers need a certificate",
        "agents/tls.py",
        "        require_client_authentication=True,\n",
        "        require_client_authentication=False,\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "a client asks for a certificate of the agent that it names",
        "agents/channel.py",
        "    if name := server_name(at.agent) if at.agent else files.peer_name:\n",
        "    if name := files.peer_name:\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "nothing is served to others without TLS",
        "agents/tls.py",
        "    if is_loopback(target):\n",
        "    if True:\n",
        ("tests/agents/test_tls.py",),
    ),
    Mutation(
        "two servers do not share a port",
        "agents/server.py",
        '        ("grpc.so_reuseport", 0),  # on, two servers share a port and nobody notices\n',
        "",
        ("tests/agents/test_server.py",),
    ),
    Mutation(
        "a deadline is required",
        "agents/server.py",
        "        if context.time_remaining() is None:\n",
        "        if False:\n",
        ("tests/agents/test_server.py",),
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
)
