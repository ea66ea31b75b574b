"""Content digests: BLAKE3, written as `b3:` and 64 hexadecimal characters.

Owns: the one kind of digest of M2KT. Free of torch, so a broker can use it.
"""

import re
from collections.abc import Iterable
from typing import Final, NewType, final

from blake3 import blake3

from m2kt.errors import PacketError

Digest = NewType("Digest", str)

DIGEST_PATTERN: Final = re.compile(r"b3:[0-9a-f]{64}")
DIGEST_BYTES: Final = 32


@final
class Hasher:
    """Takes the digest of bytes that come one after another."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def update(self, part: bytes | memoryview) -> None:
        """Goes on with `part`."""
        self._hasher.update(part)

    def digest(self) -> Digest:
        """Digest of all that came so far; more may come."""
        return Digest("b3:" + self._hasher.hexdigest())


def digest_of(*parts: bytes | memoryview) -> Digest:
    """Digest of the concatenation of `parts` (BLAKE3, 256 bit)."""
    return digest_of_stream(parts)


def digest_of_stream(parts: Iterable[bytes | memoryview]) -> Digest:
    """Digest of the concatenation of `parts`, consumed one by one."""
    hasher = Hasher()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def digest_from_text(text: str) -> Digest:
    """Reads a digest; round trip: `digest_from_text(str(d)) == d`.

    Raises:
        PacketError: `text` is not `b3:` and 64 hexadecimal characters.
    """
    if not DIGEST_PATTERN.fullmatch(text):
        raise PacketError(
            f"expected a digest 'b3:' + 64 hexadecimal characters, found {text[:80]!r};"
            " pass the digest exactly as it was printed"
        )
    return Digest(text)


def raw_digest(digest: Digest) -> bytes:
    """The 32 bytes behind a digest."""
    return bytes.fromhex(digest.removeprefix("b3:"))


def digest_from_raw(raw: bytes) -> Digest:
    """The digest whose 32 bytes are `raw`.

    Raises:
        PacketError: `raw` is not 32 bytes long.
    """
    if len(raw) != DIGEST_BYTES:
        raise PacketError(f"expected a digest of {DIGEST_BYTES} bytes, found {len(raw)} bytes")
    return Digest("b3:" + raw.hex())
