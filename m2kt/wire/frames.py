"""Messages that carry a chunk, encoded and decoded without copying its bytes twice.

The bytes are those of protobuf: a program with generated stubs reads and writes the same
stream. Encoding joins a short head with the chunk (one copy); decoding finds the chunk
inside the message (no copy) if the message is written as protobuf's own libraries write
it, and else leaves it to them.

Source: https://protobuf.dev/programming-guides/encoding/. Free of torch.

Owns: `encode_chunk`, `decode_chunk`.
Does not own: which messages carry chunks (agents.parts), checking chunks (chunks).
"""

from typing import Final

_CHUNK: Final = 15 << 3 | 2  # field 15 of a message, length-delimited: its chunk
_INDEX: Final = 1 << 3 | 0  # field 1 of a chunk, a varint
_DATA: Final = 15 << 3 | 2  # field 15 of a chunk, length-delimited
_MORE: Final = 0x80
_LONGEST: Final = 5
"""Bytes of the longest varint below 2**32 that protobuf's libraries write."""
_INDEX_END: Final = 1 << 32


def encode_chunk(index: int, data: bytes | memoryview) -> bytes:
    """A message of which only field 15 is set, to `Chunk(index=index, data=data)`.

    Args:
        index: From 0 to 2**32 - 1.
        data: Contiguous bytes, fewer than 2**31.
    """
    view = memoryview(data).cast("B")
    head = bytes((_INDEX,)) + _varint(index) if index else b""  # proto3 leaves zeros out
    if view.nbytes:
        head += bytes((_DATA,)) + _varint(view.nbytes)
    return b"".join((bytes((_CHUNK,)), _varint(len(head) + view.nbytes), head, view))


def decode_chunk(message: bytes) -> tuple[int, memoryview] | None:
    """Index and data of the chunk in `message`; None if something else is in it, or nothing.

    What is None here protobuf may still read: fields in another order, unknown ones.
    """
    end, at = len(message), 1
    if not message or message[0] != _CHUNK:
        return None
    length, at = _read_varint(message, at)
    if length != end - at:
        return None
    index = 0
    if at < end and message[at] == _INDEX:
        index, at = _read_varint(message, at + 1)
    if not 0 <= index < _INDEX_END or at >= end or message[at] != _DATA:
        return None
    length, at = _read_varint(message, at + 1)
    if length != end - at:
        return None
    return index, memoryview(message)[at:]


def _varint(value: int) -> bytes:
    """`value` in base 128, lowest digit first; every digit but the last says that more follow."""
    digits = bytearray()
    while value >= _MORE:
        digits.append(value & (_MORE - 1) | _MORE)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends; -1 if there is none of at most five digits."""
    value = 0
    for place, digit in enumerate(message[at : at + _LONGEST]):
        value |= (digit & (_MORE - 1)) << (7 * place)
        if digit < _MORE:
            return value, at + place + 1
    return -1, at
