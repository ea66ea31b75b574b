"""m2kt.digest: one digest function, and texts that name its results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2kt.digest import digest_from_raw, digest_from_text, digest_of, digest_of_stream, raw_digest
from m2kt.errors import PacketError


def test_the_digest_is_blake3():
    # The empty input's vector of the BLAKE3 specification.
    assert digest_of() == "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_cutting_bytes_differently_does_not_change_their_digest(parts):
    whole = digest_of(b"".join(parts))
    assert whole == digest_of(*parts) == digest_of_stream(memoryview(part) for part in parts)


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
