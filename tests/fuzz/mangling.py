"""Spoils what is valid: bytes of any kind, and the fields of a message.

All chance comes from a `random.Random` that is passed in, so a case can be made again.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError, Message

M = TypeVar("M", bound=Message)

MOST_CHANGES: Final = 4
LONGEST: Final = 1 << 16
"""Bytes of the longest case."""
DEEPEST: Final = 6
"""Levels of messages in one another that `filled` goes down."""
MANY: Final = 300

TOKENS: Final = tuple(
    b'0 -1 1e999 NaN null true {} [] [[ ]] "" \' \\ \\ud800 \\u0000 : , = # / @ * ../ \xff'.split()
)
LONG_TOKENS: Final = (b"[" * 3000, b'{"a":' * 2000, b"9" * 5000, "é".encode() * 300, b"a" * 5000)

_TEXTS: Final = ("", "a", "any", "..", "\0", "\u202e", "a" * 65, "a" * 5000, "é" * 3000, "b3:zz")
_INTEGERS: Final = (0, 1, 2, 7, 64, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1)
_FLOATS: Final = (0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan)
_SIGNED_32: Final = (*_INTEGERS[:7], -1, -(2**31))
_VALUES: Final = {
    Field.CPPTYPE_INT32: _SIGNED_32,
    Field.CPPTYPE_ENUM: _SIGNED_32,
    Field.CPPTYPE_INT64: (*_INTEGERS, -1, -(2**63)),
    Field.CPPTYPE_UINT32: _INTEGERS[:9],
    Field.CPPTYPE_UINT64: (*_INTEGERS, 2**63, 2**64 - 1),
    Field.CPPTYPE_DOUBLE: _FLOATS,
    Field.CPPTYPE_FLOAT: _FLOATS,
    Field.CPPTYPE_BOOL: (False, True),
}


def mangled(raw: bytes, rng: random.Random) -> bytes:
    """`raw` after a few changes to its bytes."""
    for _ in range(rng.randint(1, MOST_CHANGES)):
        raw = rng.choice(_CHANGES)(raw, rng)
    return raw[:LONGEST]


def varint(value: int) -> bytes:
    """`value` as protobuf writes it."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*digits, value))


def _place(raw: bytes, rng: random.Random) -> tuple[int, int]:
    """Where a stretch of `raw` begins and ends; most are short."""
    begin = rng.randint(0, len(raw))
    return begin, min(len(raw), begin + rng.choice((1, 2, 4, 16, 64, 1024)))


def _flip(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(raw: bytes, rng: random.Random) -> bytes:
    begin, end = _place(raw, rng)
    return rng.choice((raw[:begin], raw[begin:], raw[:begin] + raw[end:]))


def _repeat(raw: bytes, rng: random.Random) -> bytes:
    begin, end = _place(raw, rng)
    return raw[:end] + raw[begin:end] * rng.choice((1, 2, 8, MANY)) + raw[end:]


def _splice(raw: bytes, rng: random.Random) -> bytes:
    begin, end = _place(raw, rng)
    at = rng.randint(0, len(raw))
    return raw[:at] + raw[begin:end] + raw[at + end - begin :]


def _insert(raw: bytes, rng: random.Random) -> bytes:
    at, tokens = rng.randint(0, len(raw)), rng.choice((TOKENS, TOKENS, LONG_TOKENS))
    return raw[:at] + rng.choice((rng.choice(tokens), _number(rng), rng.randbytes(4))) + raw[at:]


def _length(raw: bytes, rng: random.Random) -> bytes:
    """Another number after a byte that may announce a length (wire type 2), or in place of any."""
    tags = [at for at, byte in enumerate(raw[:4096]) if byte & 7 == 2]
    at = rng.choice(tags) + 1 if tags and rng.random() < 0.7 else rng.randint(0, len(raw))
    return raw[:at] + _number(rng) + raw[at + 1 :]


def _number(rng: random.Random) -> bytes:
    return varint(rng.choice((*_INTEGERS, rng.randrange(256), 2**64 - 1)))


_CHANGES: Final[Sequence[Callable[[bytes, random.Random], bytes]]] = (
    _flip,
    _cut,
    _repeat,
    _splice,
    _insert,
    _length,
)


def tampered(message: M, rng: random.Random) -> M:
    """`message`, with a few of its fields, at any depth, set to what nobody expects there."""
    for _ in range(rng.randint(1, MOST_CHANGES)):
        owner, field = rng.choice(list(_slots(message)))
        if field.is_repeated:
            _tamper_list(getattr(owner, field.name), field, rng)
        elif field.message_type is not None:
            owner.ClearField(field.name)
            if rng.random() < 0.5:
                getattr(owner, field.name).SetInParent()
        else:
            setattr(owner, field.name, _value(field, rng))
    return message


def message_in(raw: bytes, kind: type[M]) -> M:
    """The message in `raw`, or one of all fields if there is none."""
    try:
        return kind.FromString(raw)
    except DecodeError:
        return filled(kind())


def filled(message: M, depth: int = 0) -> M:
    """`message` with a value in every field, one in every list; of a oneof, the last."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            value = _plain(field)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif depth < DEEPEST:
            inner = getattr(message, field.name)
            filled(inner.add() if field.is_repeated else inner, depth + 1)
    return message


def _slots(message: Message) -> Iterator[tuple[Any, Any]]:
    """Every field of a message and of those in it."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is not None:
            inner = getattr(message, field.name)
            for its in list(inner)[:MANY] if field.is_repeated else [inner]:
                if field.is_repeated or message.HasField(field.name):
                    yield from _slots(its)


def _tamper_list(items: Any, field: Any, rng: random.Random) -> None:
    chosen = items[rng.randrange(len(items))] if items else None
    what = rng.choice(("drop", "add", "copy", "copies"))
    if what == "drop":
        del items[rng.randint(0, len(items)) :]
    elif chosen is None or what == "add":
        items.append(field.message_type._concrete_class()) if field.message_type else items.append(
            _value(field, rng)
        )
    else:
        items.extend([chosen] * (1 if what == "copy" else MANY))


def _value(field: Any, rng: random.Random) -> Any:
    if field.cpp_type == Field.CPPTYPE_STRING:
        text = rng.choice(_TEXTS)
        return text.encode() if field.type == Field.TYPE_BYTES else text
    return rng.choice(_VALUES[field.cpp_type])


def _plain(field: Any) -> Any:
    if field.cpp_type == Field.CPPTYPE_STRING:
        return b"a" if field.type == Field.TYPE_BYTES else "a"
    return 1
