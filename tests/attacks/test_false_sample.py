"""Threat: the sample by which a student foretells its gain is a bomb, or of another model."""

import tracemalloc

import numpy as np
import pytest

from m2kt.errors import OversizeError, PacketError, ShapeError
from m2kt.reasons import Reason
from m2kt.wire.samples import MOST_BYTES, sample_from_wire
from m2kt.wire.v1 import teacher_service_pb2 as pb
from tests.siege import Siege, over_grpc
from tests.simulator import DOMAIN

MEBIBYTE = 1 << 20
LARGEST = 2**64 - 1
WIDTH = 4


def honest() -> pb.SampleConceptsResponse:
    states = np.arange(2 * 2 * WIDTH, dtype="<f4").tobytes()
    return pb.SampleConceptsResponse(states=states, shape=[2, 2, WIDTH], of=400, layer=3, depth=4)


def forged(message: pb.SampleConceptsResponse, **changes: object) -> pb.SampleConceptsResponse:
    for name, value in changes.items():
        if name == "shape":
            message.shape[:] = value
        else:
            setattr(message, name, value)
    return message


def rows(count: int, value: float = 0.0) -> dict[str, object]:
    """`count` concepts, shape and bytes agreeing."""
    states = np.full((count, 2, WIDTH), value, dtype="<f4")
    return {"states": states.tobytes(), "shape": states.shape}


@pytest.fixture
def memory_stays_small():
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MEBIBYTE


def test_an_honest_sample_is_taken():
    assert sample_from_wire(honest()).states.shape == (2, 2, WIDTH)


@pytest.mark.usefixtures("memory_stays_small")
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (4, WIDTH),
        (2, 2, WIDTH, 1),
        (1,) * 100_000,
        (2, 3, WIDTH),
        (4, 1, WIDTH),
        (0, 2, WIDTH),
        (2, 2, 0),
        (2, 2, WIDTH + 1),
        (2**31, 2, 2**31),
        (2**62, 2, 2),  # the product is 0 modulo 2^64
        (LARGEST, 2, LARGEST),
    ],
    ids=lambda shape: str(shape[:4]),
)
def test_a_shape_that_is_none_or_does_not_fit_its_bytes_is_refused(shape):
    with pytest.raises(ShapeError, match=r"expected .*, found .*; extract again"):
        sample_from_wire(forged(honest(), shape=shape))


@pytest.mark.parametrize(
    "lie",
    [
        rows(3),  # 6 of 400 vectors: 1 % is 4
        rows(100) | {"of": LARGEST // 2**60},
        rows(MOST_BYTES // (2 * WIDTH * 4) + 1) | {"of": LARGEST},
    ],
    ids=["more than 1 %", "of none", "more than 8 MiB"],
)
def test_a_sample_that_is_too_large_is_refused(lie):
    with pytest.raises(OversizeError, match=r"expected a sample of at most .*; take a smaller"):
        sample_from_wire(forged(honest(), **lie))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_with_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(PacketError, match="finite"):
        sample_from_wire(forged(honest(), **rows(2, value)))


@pytest.mark.parametrize(("layer", "depth"), [(5, 4), (0, 0), (2**32 - 1, 4)])
def test_a_layer_that_the_teacher_does_not_have_is_refused(layer, depth):
    with pytest.raises(PacketError, match=rf"layer from 0 to {depth}"):
        sample_from_wire(forged(honest(), layer=layer, depth=depth))


LIES = {
    "not the shape of its bytes": ({"shape": (2**32, 2, 2**32)}, Reason.BAD_SHAPE),
    "no shape": ({"shape": ()}, Reason.BAD_SHAPE),
    "more than 1 %": (rows(200), Reason.OVERSIZE),
    "more than a message": (rows(MEBIBYTE) | {"of": LARGEST}, Reason.OVERSIZE),
    "not finite": (rows(2, np.nan), Reason.MALFORMED),
    "no layer": ({"layer": 9, "depth": 1}, Reason.MALFORMED),
}


@over_grpc
async def test_over_grpc_false_samples_are_refused_and_an_honest_one_is_not_held_up(siege: Siege):
    teachers = [
        siege.teacher(spoil_sample=lambda message, lie=lie: forged(message, **lie))
        for lie, _ in LIES.values()
    ]
    teachers.append(siege.teacher())
    servers = [await siege.town.serve(its.service) for its in teachers]
    before, known = await siege.witness(), siege.journal()
    told = await siege.student.foretell(DOMAIN, teachers=[s.address for s in servers], timeout_s=60)
    *false, true = told.foretold
    assert [its.reason for its in false] == [reason for _, reason in LIES.values()]
    assert [its.outlook for its in false] == [None] * len(LIES)
    assert all("expected" in its.detail and "found" in its.detail for its in false)
    assert true.reason is None
    assert true.outlook.gain > 0.5
    await siege.unchanged(before, sealed=False)
    assert siege.journal() == known
    assert not any(its.asked for its in teachers), "no packet was asked for"


@over_grpc
async def test_over_grpc_huge_finite_numbers_foretell_no_more_than_all(siege: Siege):
    huge = siege.teacher(spoil_sample=lambda message: forged(message, **rows(2, 3e38)))
    server = await siege.town.serve(huge.service)
    told = await siege.student.foretell(DOMAIN, teachers=[server.address], timeout_s=60)
    assert told.foretold[0].outlook.gain == 0.0, "they are all the same"
