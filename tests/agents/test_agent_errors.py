"""Errors survive the network as the class that was raised; bugs and paths do not leave."""

import grpc
import pytest
from grpc import aio

from m2kt import errors
from m2kt.reasons import Reason
from m2kt_agents.errors import ERROR_OF, STATUS, error_from_rpc, error_of, peer_errors, status_of
from m2kt_agents.metrics import Metrics
from m2kt_agents.server import Guard
from m2kt_agents.settings import Limits

METHOD = "/m2kt.test.Errors/Raise"


def leaves(error: type[errors.M2KTError]) -> set[type[errors.M2KTError]]:
    children = [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    return set().union(*map(leaves, children)) if children else {error}


async def answer_to(raised: BaseException, timeout_s: float | None = 5.0) -> Exception:
    """What a client catches when a handler behind the guard raises `raised`."""

    async def handler(request: bytes, context: object) -> bytes:
        raise raised

    server = aio.server(interceptors=(Guard(Limits(), Metrics()),))
    handlers = {"Raise": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("m2kt.test.Errors", handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(errors.M2KTError) as caught, peer_errors("the server"):
                await channel.unary_unary(METHOD)(b"", timeout=timeout_s)
    finally:
        await server.stop(0)
    return caught.value


@pytest.mark.parametrize("kind", sorted(leaves(errors.M2KTError), key=lambda kind: kind.__name__))
async def test_an_error_arrives_as_the_class_that_was_raised(kind):
    found = await answer_to(kind("expected this, found that; do so"))
    assert type(found) is kind
    assert str(found) == "expected this, found that; do so"


def test_every_leaf_has_a_reason_of_its_own():
    assert {ERROR_OF[leaf.reason] for leaf in leaves(errors.M2KTError)} == leaves(errors.M2KTError)


def test_an_error_that_is_not_in_the_table_has_the_status_of_its_base():
    class Unheard(errors.ChunkError):
        pass

    assert status_of(Unheard("")) is STATUS[errors.ChunkError]


async def test_a_bug_leaves_as_a_reference_without_its_text(caplog):
    found = await answer_to(ValueError("/home/secret/path"))
    assert type(found) is errors.M2KTError
    assert "secret" not in str(found)
    reference = str(found).split("Reference ")[1].split(":")[0]
    assert any(reference in record.getMessage() for record in caplog.records)
    assert any(record.exc_info for record in caplog.records)


async def test_a_storage_fault_does_not_tell_paths():
    found = await answer_to(errors.StoreError("cannot write /home/secret/head"))
    assert type(found) is errors.StoreError
    assert "secret" not in str(found)


async def test_a_message_longer_than_headers_carry_is_cut():
    found = await answer_to(errors.ChunkError("x" * 100_000))
    assert type(found) is errors.ChunkError
    assert 1000 < len(str(found)) < 4096


async def test_a_call_without_a_deadline_is_refused():
    found = await answer_to(ValueError("not reached"), timeout_s=None)
    assert type(found) is errors.RequestError
    assert "deadline" in str(found)


async def test_nobody_there_is_an_unavailable_peer():
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        with (
            pytest.raises(errors.PeerUnavailableError, match="a peer"),
            peer_errors("a peer"),
        ):
            await channel.unary_unary(METHOD)(b"", timeout=5)


def bare(code: grpc.StatusCode, details: str = "", *trailing: tuple[str, bytes]) -> aio.AioRpcError:
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailing), details)


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", errors.PeerUnavailableError),
        (grpc.StatusCode.CANCELLED, "", errors.PeerUnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", errors.DeadlineError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit", errors.BusyError),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "CLIENT: Received message larger than max (9 vs. 8)",
            errors.OversizeError,
        ),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", errors.ProtocolError),
    ],
)
def test_a_status_without_a_reason_is_read_by_its_code(code, details, kind):
    assert type(error_from_rpc(bare(code, details), "a peer")) is kind


def test_details_that_contradict_the_status_are_not_believed():
    lie = ("grpc-status-details-bin", b"\x08\x05\x12\x05other")
    found = error_from_rpc(bare(grpc.StatusCode.UNAVAILABLE, "gone", lie), "a peer")
    assert type(found) is errors.PeerUnavailableError


def test_an_error_of_another_kind_is_a_breach_of_the_protocol():
    assert type(error_from_rpc(grpc.RpcError(), "a peer")) is errors.ProtocolError


def test_a_reason_without_a_class_is_an_error_of_the_peer():
    assert type(error_of(Reason.NO_GAIN, "no")) is errors.PeerError
