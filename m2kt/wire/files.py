"""Sealed packets as files: `NAME.m2kt`.

    4 bytes  "M2KT"          4 bytes  version, 1       4 bytes  length of the envelope
    envelope (a message Envelope around a Manifest)    payload to the end of the file

Integers are little-endian and unsigned. Free of torch.

Owns: this format.
Does not own: whether what is read can be trusted (chunks).
"""

import struct
from pathlib import Path
from typing import Final

from m2kt.disk import LocalDisk, disk_errors, put_whole
from m2kt.errors import OversizeError, PacketError
from m2kt.signing import MAX_ENVELOPE_PAYLOAD_BYTES, Envelope
from m2kt.wire.cards import envelope_from_bytes, envelope_to_bytes

MAGIC: Final = b"M2KT"
VERSION: Final = 1
HEAD: Final = struct.Struct("<4sII")
MAX_ENVELOPE_BYTES: Final = MAX_ENVELOPE_PAYLOAD_BYTES + 4096
MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024


def write_packet_file(path: Path, envelope: Envelope, payload: bytes | memoryview) -> None:
    """Writes a sealed packet, replacing what is there.

    Raises:
        StoreError: the disk failed; what was there is there still.
    """
    sealed = envelope_to_bytes(envelope)
    put_whole(LocalDisk(), path, [HEAD.pack(MAGIC, VERSION, len(sealed)), sealed, payload])


def read_packet_file(
    path: Path, *, payload_bytes: int = MAX_PAYLOAD_BYTES
) -> tuple[Envelope, bytes]:
    """The envelope and the payload in a file. Nothing in them has been checked.

    Raises:
        StoreError: the file cannot be read.
        PacketError: it is no packet file, or of another version.
        OversizeError: the envelope is too long, or the payload longer than `payload_bytes`.
    """
    with disk_errors(f"read {path}"), path.open("rb") as file:
        head = file.read(HEAD.size)
        if len(head) < HEAD.size or head[:4] != MAGIC:
            raise PacketError(f"expected a packet file, found {head[:4]!r} at the start of {path}")
        _, version, length = HEAD.unpack(head)
        if version != VERSION:
            raise PacketError(
                f"expected version {VERSION}, found {version} in {path}; use a newer m2kt"
            )
        if length > MAX_ENVELOPE_BYTES:
            raise OversizeError(
                f"expected an envelope of at most {MAX_ENVELOPE_BYTES} bytes, found {length}"
            )
        sealed, payload = file.read(length), file.read(payload_bytes + 1)
    if len(payload) > payload_bytes:
        raise OversizeError(
            f"expected a payload of at most {payload_bytes} bytes, found more in {path}"
        )
    return envelope_from_bytes(sealed), payload
