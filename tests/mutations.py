"""Takes out one defence at a time and sees that its tests fail.

    python -m tests.mutations [--only WORD] [--json FILE]

Works on a copy of the repository. A defence whose tests still pass without it is not tested;
a line that is not found any more has moved: both end with exit code 1.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
COPIED = ("m2kt", "agents", "tests", "proto", "deploy", "pyproject.toml", "README.md")
FAILED = 1
"""Exit code of pytest when tests ran and some failed."""


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


def copies(count: int, folder: Path) -> Iterator[Path]:
    """Copies of the repository, each to be spoiled by one at a time."""
    for number in range(count):
        copy = folder / str(number)
        copy.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        (copy / "m2kt_agents").symlink_to(copy / "agents")
        yield copy


def noticed(mutation: Mutation, copy: Path) -> str:
    """Empty if a test of `mutation` fails without the defence; else what is wrong."""
    file = copy / mutation.file
    text = file.read_text("utf-8")
    if text.count(mutation.line) != 1:
        return f"the line stands {text.count(mutation.line)} times in {mutation.file}"
    file.write_text(text.replace(mutation.line, mutation.without), "utf-8")
    environ = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *mutation.tests], cwd=copy, env=environ, capture_output=True, text=True
        )
    finally:
        file.write_text(text, "utf-8")
    if done.returncode == FAILED:
        return ""
    return f"pytest ended with {done.returncode}: {done.stdout[-400:]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Mutations whose name contains this.")
    parser.add_argument("--json", type=Path, help="File for the outcome.")
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args(arguments)
    chosen = [its for its in MUTATIONS if told.only in its.defence]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(told.workers) as pool:
        free: Queue[Path] = Queue()
        for copy in copies(told.workers, Path(folder)):
            free.put(copy)

        def run(mutation: Mutation) -> tuple[Mutation, str, float]:
            copy, begun = free.get(), time.monotonic()
            try:
                return mutation, noticed(mutation, copy), time.monotonic() - begun
            finally:
                free.put(copy)

        found = []
        for mutation, wrong, took_s in pool.map(run, chosen):
            sys.stdout.write(f"{took_s:5.1f} s  {wrong or 'noticed'}  {mutation.defence}\n")
            sys.stdout.flush()
            found.append({**asdict(mutation), "noticed": not wrong, "wrong": wrong})
    if told.json:
        told.json.write_text(json.dumps({"mutations": found}, indent=2) + "\n")
    return int(any(not its["noticed"] for its in found))


if __name__ == "__main__":
    sys.exit(main())
