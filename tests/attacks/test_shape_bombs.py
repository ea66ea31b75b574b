"""Threat: a signed table claims shapes that would exhaust memory, or point outside the payload."""

import tracemalloc
from functools import partial

import pytest
from sealing import Student, manifest_message, refused, signed

from m2kt.reasons import Reason
from tests import siege as lies
from tests.siege import Siege, over_grpc

MEBIBYTE = 1 << 20
LARGEST = 2**64 - 1


@pytest.fixture(autouse=True)
def memory_stays_small():
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MEBIBYTE


def forged(**changes):
    message = manifest_message()
    entry = message.tensors[0]
    for name, value in changes.items():
        if name == "shape":
            entry.shape[:] = value
        else:
            setattr(entry, name, value)
    return signed(message)


@pytest.mark.parametrize(
    "shape",
    [
        (2**31, 2**31),
        (2**32, 2**32),  # the product is 0 modulo 2^64
        (2**63, 2),
        (LARGEST, LARGEST, LARGEST, LARGEST),
        (0, LARGEST),
        (8, 13),
        (),
    ],
    ids=str,
)
def test_a_shape_that_does_not_fit_its_bytes_is_refused(shape):
    with refused(Reason.BAD_SHAPE):
        Student().admits(forged(shape=shape))


@pytest.mark.parametrize("rank", [5, 1000, 100_000])
def test_a_tensor_of_too_many_dimensions_is_refused(rank):
    with refused(Reason.OVERSIZE):
        Student().admits(forged(shape=(1,) * rank))


def test_shape_and_bytes_that_agree_on_too_much_are_refused():
    with refused(Reason.BAD_SHAPE):
        Student().admits(forged(shape=(2**20, 2**20), bytes=2**42))


@pytest.mark.parametrize("offset", [LARGEST, LARGEST - 63, 2**63, 0, 1])
def test_an_offset_outside_of_what_is_left_is_refused(offset):
    # -1 and -64 travel as 2^64 - 1 and 2^64 - 64.
    with refused(Reason.BAD_SHAPE):
        Student().admits(forged(offset=offset))


def test_a_negative_shape_cannot_be_sent():
    with pytest.raises(ValueError, match="-1"):
        manifest_message().tensors[0].shape.append(-1)


def test_tensors_that_overlap_are_refused():
    message = manifest_message()
    message.tensors[1].offset = message.tensors[0].offset
    with refused(Reason.BAD_SHAPE):
        Student().admits(signed(message))


def test_a_tensor_that_reaches_into_the_description_is_refused():
    message = manifest_message()
    message.tensors[0].offset -= 64
    with refused(Reason.BAD_SHAPE):
        Student().admits(signed(message))


def test_room_that_is_not_described_is_refused():
    message = manifest_message()
    for entry in list(message.tensors)[1:]:
        entry.offset += 64
    with refused(Reason.BAD_SHAPE):
        Student().admits(signed(message))
    message = manifest_message()
    del message.tensors[-1]
    with refused(Reason.BAD_SHAPE):
        Student().admits(signed(message))


@over_grpc
@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"shape": (2**62, 4)}, Reason.BAD_SHAPE),
        ({"shape": (2**32, 2**32)}, Reason.BAD_SHAPE),
        ({"shape": (2**20, 2**20), "bytes": 2**42}, Reason.BAD_SHAPE),
        ({"shape": (0, LARGEST)}, Reason.BAD_SHAPE),
        ({"offset": LARGEST - 63}, Reason.BAD_SHAPE),
        ({"offset": 0}, Reason.BAD_SHAPE),
        ({"shape": (1,) * 1000}, Reason.OVERSIZE),
    ],
    ids=str,
)
async def test_over_grpc_a_shape_bomb_is_refused(siege: Siege, lie, reason):
    await siege.refuses(reason, edit=partial(lies.tensor, **lie))
