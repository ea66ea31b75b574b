"""A service's methods, and how their messages become bytes and back.

A message whose only part is a chunk goes past protobuf, by m2kt.wire.frames; all others
are encoded as the generated code does. What is on the wire is the same either way.

Owns: `handlers` for a server, `dialled` for a client; nobody else names a serializer.
Does not own: what the methods do (teacher, student_service, broker), what a chunk is (parts).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from m2kt.wire.frames import decode_chunk, encode_chunk
from m2kt.wire.v1 import envelope_pb2

from .parts import Chunk

CHUNK_FIELD: Final = 15
"""Number of the field `chunk` in every message that may carry one."""

_MAKERS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_CALLS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def handlers(service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
    """The methods of `servicer`; where a message may carry a chunk, it is a `Chunk` instead.

    One that it does not have is answered with UNIMPLEMENTED, as gRPC does.
    """
    made = {
        method.name: _MAKERS[method.client_streaming, method.server_streaming](
            getattr(servicer, method.name),
            request_deserializer=decoder(method.input_type),
            response_serializer=encoder(method.output_type),
        )
        for method in service.methods
        if hasattr(servicer, method.name)
    }
    return grpc.method_handlers_generic_handler(service.full_name, made)


def dialled(channel: aio.Channel, method: MethodDescriptor) -> Any:  # noqa: ANN401
    """A method of a peer, to be called; where a message may carry a chunk, it is a `Chunk`."""
    make = getattr(channel, _CALLS[method.client_streaming, method.server_streaming])
    return make(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=encoder(method.input_type),
        response_deserializer=decoder(method.output_type),
    )


def encoder(kind: Descriptor) -> Callable[[Any], bytes]:
    """From a message of `kind`, or a `Chunk` if it may carry one, to bytes."""
    return _encoded if _carries_chunks(kind) else GetMessageClass(kind).SerializeToString


def decoder(kind: Descriptor) -> Callable[[bytes], Any]:
    """From bytes to a message of `kind`, or to a `Chunk` if that is all that is in it."""
    read = GetMessageClass(kind).FromString
    return partial(_decoded, read) if _carries_chunks(kind) else read


def _carries_chunks(kind: Descriptor) -> bool:
    its = kind.fields_by_number.get(CHUNK_FIELD)
    return its is not None and its.message_type is envelope_pb2.Chunk.DESCRIPTOR


def _encoded(item: Any) -> bytes:  # noqa: ANN401
    if isinstance(item, Chunk):
        return encode_chunk(item.index, item.data)
    raw: bytes = item.SerializeToString()
    return raw


def _decoded(read: Callable[[bytes], Any], raw: bytes) -> Any:  # noqa: ANN401
    found = decode_chunk(raw)
    return read(raw) if found is None else Chunk(*found)
