"""Digests: BLAKE3, written as `b3:` and 64 hexadecimal characters.

Bytes that are short are named by their digest; a payload by the digest of the digests of its
mebibytes, so that whoever has checked chunks of that length need not hash it again.

Owns: the two kinds of digest of M2KT. Free of torch, so a broker can use it.
"""

import re
from collections.abc import Iterable
from typing import Final, NewType

from blake3 import blake3

from m2kt.errors import PacketError

Digest = NewType("Digest", str)

DIGEST_PATTERN: Final = re.compile(r"b3:[0-9a-f]{64}")
DIGEST_BYTES: Final = 32
BLOCK_BYTES: Final = 1 << 20
"""Length of every block of a payload but the last."""
CONTENT_CONTEXT: Final = "m2kt 2026-11-27 content digest over blocks of 1 MiB"
"""Sets digests of digests apart from digests of bytes (BLAKE3, key derivation mode)."""


def digest_of(*parts: bytes | memoryview) -> Digest:
    """Digest of the concatenation of `parts` (BLAKE3, 256 bit)."""
    return digest_of_stream(parts)


def digest_of_stream(parts: Iterable[bytes | memoryview]) -> Digest:
    """Digest of the concatenation of `parts`, consumed one by one."""
    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return Digest("b3:" + hasher.hexdigest())


def content_digest_of(payload: bytes | memoryview) -> Digest:
    """Digest of a payload: `content_digest_over` the digests of its blocks."""
    return content_digest_over(block_digests(payload, BLOCK_BYTES))


def content_digest_over(digests: Iterable[Digest]) -> Digest:
    """Digest of the payload whose blocks of `BLOCK_BYTES` have these digests, in order."""
    hasher = blake3(derive_key_context=CONTENT_CONTEXT)
    for digest in digests:
        hasher.update(raw_digest(digest))
    return Digest("b3:" + hasher.hexdigest())


def content_digest_by(
    payload: bytes | memoryview, chunk_bytes: int, chunk_digests: Iterable[Digest]
) -> Digest:
    """Digest of a payload cut in chunks of known digests: where they are blocks, those will do."""
    if chunk_bytes == BLOCK_BYTES:
        return content_digest_over(chunk_digests)
    return content_digest_of(payload)


def block_digests(payload: bytes | memoryview, length: int) -> tuple[Digest, ...]:
    """Digests of the blocks of `payload`, each of `length` bytes but the last."""
    view = memoryview(payload)
    return tuple(digest_of(view[at : at + length]) for at in range(0, len(view), length))


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
