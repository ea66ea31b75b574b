"""A sample of concepts as a message, and back: a few raw rows and where they come from.

Owns: `sample_to_wire`, `sample_from_wire`, which checks every size before it makes a tensor.
Does not own: what is foretold from a sample (m2kt.transferability).
"""

import math
from typing import Final

from m2kt.errors import OversizeError, ShapeError
from m2kt.tensors import Dtype, byte_count, bytes_of, tensor_from_bytes
from m2kt.transferability import PAIR, SHARE, ConceptSample
from m2kt.wire.v1 import teacher_service_pb2 as pb

MOST_BYTES: Final = 8 << 20
"""Of the rows of a sample that is received."""
RANK: Final = 3


def sample_to_wire(sample: ConceptSample) -> pb.SampleConceptsResponse:
    """The message of a sample."""
    return pb.SampleConceptsResponse(
        states=bytes(bytes_of(sample.states.float())),
        shape=tuple(sample.states.shape),
        of=sample.of,
        layer=sample.layer,
        depth=sample.depth,
    )


def sample_from_wire(message: pb.SampleConceptsResponse) -> ConceptSample:
    """The sample of a message.

    Raises:
        ShapeError: its shape is not [P, 2, D], or is not that of its bytes.
        OversizeError: it has more than `MOST_BYTES`, or more rows than a sample may have.
        PacketError: a value is not a finite number, or its layer is none of the teacher's.
    """
    shape = tuple(message.shape[: RANK + 1])
    if len(shape) != RANK or shape[1] != PAIR or min(shape) < 1:
        raise ShapeError(
            f"expected a sample of shape [P, {PAIR}, D], found one that begins {list(shape)};"
            " extract again"
        )
    needed = byte_count(Dtype.F32, shape)
    if needed != len(message.states):
        raise ShapeError(
            f"expected {needed} bytes for a sample of shape {list(shape)}, found"
            f" {len(message.states)}; extract again"
        )
    rows = math.prod(shape[:2])
    if needed > MOST_BYTES or rows > max(2 * PAIR, SHARE * message.of):
        raise OversizeError(
            f"expected a sample of at most {MOST_BYTES} bytes and {SHARE:.0%} of {message.of}"
            f" vectors, found {needed} bytes and {rows} vectors; take a smaller sample"
        )
    states = tensor_from_bytes(message.states, Dtype.F32, shape)
    return ConceptSample(states=states, of=message.of, layer=message.layer, depth=message.depth)
