"""Threat: messages nested so deeply that a parser runs out of stack."""

import os
import subprocess
import sys

import pytest
from google.protobuf.internal import api_implementation
from packets import signer
from sealing import Student, manifest_message, refused

from m2kt.reasons import Reason
from m2kt.signing import sign_envelope
from m2kt.wire.cards import envelope_from_bytes
from m2kt.wire.manifest import MANIFEST_TYPE

DEPTH = 60_000
GROUPS = b"\xa3\x06" * DEPTH + b"\xa4\x06" * DEPTH
"""Field 100, opened and closed as a group inside itself."""


def test_the_parser_is_the_one_that_counts_its_depth():
    assert api_implementation.Type() == "upb"


@pytest.mark.parametrize("before", [b"", manifest_message().SerializeToString()])
def test_a_manifest_with_deeply_nested_unknown_fields_is_refused(before):
    nested = sign_envelope(MANIFEST_TYPE, before + GROUPS, signer())
    with refused(Reason.MALFORMED):
        Student().admits(nested)


def test_an_envelope_with_deeply_nested_unknown_fields_is_refused():
    with refused(Reason.MALFORMED):
        envelope_from_bytes(GROUPS)


def nested_strings(depth: int) -> bytes:
    """Length-delimited fields inside each other: a parser that guesses would recurse."""
    raw = b""
    for _ in range(depth):
        length, size = len(raw), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        raw = b"\xa2\x06" + size + bytes([length]) + raw
    return raw


def test_nested_strings_are_not_entered():
    known = manifest_message().SerializeToString()
    harmless = sign_envelope(MANIFEST_TYPE, known + nested_strings(5000), signer())
    assert Student().admits(harmless).manifest.sequence == 1


def test_nothing_starts_on_a_parser_in_pure_python():
    environ = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    done = subprocess.run(
        [sys.executable, "-c", "import m2kt.wire"], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "CVE-2025-4565" in done.stderr
