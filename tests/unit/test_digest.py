"""m2kt.digest: digests of bytes and of payloads, and texts that name them."""

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from m2kt.digest import (
    BLOCK_BYTES,
    block_digests,
    content_digest_by,
    content_digest_of,
    digest_from_raw,
    digest_from_text,
    digest_of,
    digest_of_stream,
    raw_digest,
)
from m2kt.errors import PacketError


def test_the_digest_is_blake3():
    # The empty input's vector of the BLAKE3 specification.
    assert digest_of() == "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_cutting_bytes_differently_does_not_change_their_digest(parts):
    whole = digest_of(b"".join(parts))
    assert whole == digest_of(*parts) == digest_of_stream(memoryview(part) for part in parts)


PAYLOAD = bytes(range(251)) * 10_000  # 2.4 blocks, no two of which are equal


@pytest.mark.parametrize("length", [1000, BLOCK_BYTES // 2, BLOCK_BYTES, 2 * BLOCK_BYTES])
def test_the_digest_of_a_payload_does_not_depend_on_how_it_is_cut(length):
    digests = block_digests(PAYLOAD, length)
    assert content_digest_by(PAYLOAD, length, digests) == content_digest_of(PAYLOAD)


def test_the_digest_of_a_payload_is_that_of_the_specification():
    blocks = [PAYLOAD[at : at + 1_048_576] for at in range(0, len(PAYLOAD), 1_048_576)]
    context = "m2kt 2026-11-27 content digest over blocks of 1 MiB"
    joined = b"".join(blake3(block).digest() for block in blocks)
    expected = blake3(joined, derive_key_context=context).hexdigest()
    assert content_digest_of(PAYLOAD) == "b3:" + expected


def test_digests_of_blocks_are_no_payload_of_the_same_digest():
    digests = b"".join(raw_digest(digest) for digest in block_digests(PAYLOAD, BLOCK_BYTES))
    assert content_digest_of(digests) != content_digest_of(PAYLOAD) != digest_of(digests)


def test_a_bit_anywhere_changes_the_digest_of_a_payload():
    for at in (0, BLOCK_BYTES, len(PAYLOAD) - 1):
        changed = bytearray(PAYLOAD)
        changed[at] ^= 1
        assert content_digest_of(bytes(changed)) != content_digest_of(PAYLOAD)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_text_and_raw_bytes(raw):
    digest = digest_from_raw(raw)
    assert raw_digest(digest_from_text(str(digest))) == raw


@pytest.mark.parametrize("text", ["", "b3:", "b3:" + "0" * 63, "b3:" + "G" * 64, "sha:" + "0" * 64])
def test_text_that_is_no_digest_is_refused(text):
    with pytest.raises(PacketError, match="expected a digest"):
        digest_from_text(text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_bytes_of_another_length_are_no_digest(length):
    with pytest.raises(PacketError, match=f"found {length} bytes"):
        digest_from_raw(bytes(length))
