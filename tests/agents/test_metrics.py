"""What Prometheus reads of an agent: what happened, told truly, and to nobody else."""

import asyncio
import socket
import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from m2kt.errors import DomainError, RequestError, StoreError
from m2kt.reasons import Reason
from m2kt_agents.hosting import ThreadHost
from m2kt_agents.metrics import AT_ONCE, Metrics, serve_metrics
from tests.pupils import Class, teacher_of
from tests.simulator import DOMAIN, STUDENT, Town, taught, until
from tests.workers import Eager

OF_STUDENTS = "/m2kt.wire.v1.StudentService/"


def fetched(address: str, context: ssl.SSLContext | None = None) -> str:
    scheme = "http" if context is None else "https"
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{scheme}://{address}/metrics", timeout=5) as answer:
        return answer.read().decode()


async def told(agent, *, calls: int = 0) -> dict[tuple[str, ...], float]:
    """Every sample once so many calls are under way, by its name and the values of its labels.

    A call may end for who made it before it does for the server.
    """
    async with asyncio.timeout(10):
        while True:
            found = samples_of(await asyncio.to_thread(fetched, agent.metrics.address))
            if sum(its for name, its in found.items() if name[0] == "m2kt_calls_open") == calls:
                return found


def samples_of(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def school(town: Town) -> Class:
    town.trust("student", "a")
    go_on = threading.Event()
    go_on.set()
    worker = Eager(go_on)
    table = {**STUDENT, "metrics_listen": "127.0.0.1:0"}
    agent = await town.start("student", table, make_host=lambda _: ThreadHost(lambda: worker))
    return Class(town, go_on, worker, agent, town.peer(agent.address))


async def test_a_lesson_is_counted_from_the_call_to_the_receipt(town: Town):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1))
    found = await told(its.agent)
    assert found["m2kt_calls_total", "OK", OF_STUDENTS + "Learn"] == 1
    assert found["m2kt_calls_total", "OK", OF_STUDENTS + "WatchTransfer"] == 1
    assert found["m2kt_call_seconds_count", OF_STUDENTS + "Learn"] == 1
    assert found["m2kt_calls_open", OF_STUDENTS + "Learn"] == 0
    assert found["m2kt_transfer_seconds_count", "COMMITTED"] == 1
    assert found["m2kt_transfer_seconds_sum", "COMMITTED"] > 0
    for deed in ("PACKET_KEPT", "RECEIPT_SIGNED"):
        assert found["m2kt_deeds_total", deed] == 1
    assert ("m2kt_deeds_total", "UNLEARNT") not in found
    assert found["m2kt_agent_info", "student", "student", "0.1.0"] == 1
    assert found["process_resident_memory_bytes",] > 0


async def test_what_is_refused_is_counted_by_its_reason(town: Town):
    its = await school(town)
    with pytest.raises(DomainError):
        await its.student.learn("nowhere", teachers=["127.0.0.1:1"], timeout_s=5)
    stranger = teacher_of(town, "stranger", 1)
    await taught(its.student, await its.address(stranger))
    found = await told(its.agent)
    assert found["m2kt_calls_total", "NOT_FOUND", OF_STUDENTS + "Learn"] == 1
    assert found["m2kt_refusals_total", Reason.UNSUPPORTED_DOMAIN.value] == 1
    assert found["m2kt_refusals_total", Reason.UNKNOWN_KEY.value] == 1
    assert found["m2kt_transfer_seconds_count", "REJECTED"] == 1


async def test_who_hangs_up_is_counted_as_such(town: Town):
    its = await school(town)
    transfer = await its.begins(teacher_of(town, "a", 1))
    events = its.student.watch(transfer, timeout_s=60)
    await anext(events)
    watched = "m2kt_calls_open", OF_STUDENTS + "WatchTransfer"
    assert (await told(its.agent, calls=1))[watched] == 1
    await events.aclose()
    assert (await told(its.agent))["m2kt_calls_total", "CANCELLED", watched[1]] == 1
    its.go_on.set()


async def test_a_teacher_counts_what_it_sends(town: Town):
    town.trust("teacher", "student")
    its = await school(town)
    table = {"role": "teacher", "model": {"name": "mod7-addsub", "threads": 1}}
    teacher = await town.start("teacher", {**table, "metrics_listen": "127.0.0.1:0"})
    town.trust("student", "teacher")
    await taught(its.student, teacher.address)
    found = await told(teacher)
    encoded = teacher.agent._encoded[DOMAIN]
    assert found["m2kt_chunk_bytes_sent_total",] == len(encoded.payload)
    assert found["m2kt_deeds_total", "PACKET_SENT"] == 1


async def test_others_read_it_over_mutual_tls_alone(town: Town):
    with pytest.raises(RequestError, match="not on this machine alone"):
        serve_metrics(Metrics(), "0.0.0.0:0", tls=None)
    tls = town.certify("student")
    server = serve_metrics(Metrics(), "0.0.0.0:0", tls=tls)
    at = f"127.0.0.1:{server.address.rpartition(':')[2]}"
    try:
        context = ssl.create_default_context(cafile=tls.authority)
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(fetched, at, context)
        context.load_cert_chain(tls.certificate, tls.key)
        with socket.create_connection(("127.0.0.1", int(at.rpartition(":")[2]))):
            text = await asyncio.to_thread(fetched, at, context)  # though somebody says nothing
        assert "m2kt_chunk_bytes_sent_total" in text
    finally:
        server.close()


async def test_who_only_knocks_takes_no_more_than_a_few_places(town: Town, caplog):
    tls, knocks = town.certify("student"), []
    server = serve_metrics(Metrics(), "0.0.0.0:0", tls=tls)
    place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
    context = ssl.create_default_context(cafile=tls.authority)
    context.load_cert_chain(tls.certificate, tls.key)
    at = f"{place[0]}:{place[1]}"
    try:
        before = threading.active_count()
        knocks = [socket.create_connection(place) for _ in range(4 * AT_ONCE)]
        await until(lambda: threading.active_count() >= before + AT_ONCE)
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(fetched, at, context)
        assert threading.active_count() <= before + AT_ONCE + 1, "and one that asked for us"
    finally:
        for knock in knocks:
            knock.close()
    await until(lambda: threading.active_count() <= before + 1)
    assert await asyncio.to_thread(fetched, at, context)
    server.close()


async def test_tls_files_that_are_not_as_they_should_be_are_refused(town: Town, tmp_path):
    tls, other = town.certify("student"), town.certify("other")
    (junk := tmp_path / "junk.pem").write_text("nothing")
    for wrong in (
        replace(tls, key=other.key),
        replace(tls, certificate=tmp_path / "nowhere"),
        replace(tls, authority=junk),
    ):
        with pytest.raises(StoreError):
            serve_metrics(Metrics(), "0.0.0.0:0", tls=wrong)


async def test_an_address_that_is_taken_is_refused_and_nothing_runs(town: Town):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for listen in (address, "127.0.0.1:70000", "127.0.0.1:x"):
            with pytest.raises(RequestError, match="metrics_listen"):
                await town.start("broker", {"role": "broker", "metrics_listen": listen})


async def test_the_figures_end_with_the_agent_and_are_served_nowhere_by_default(town: Town):
    quiet = await town.start("quiet", {"role": "broker"})
    assert quiet.metrics is None
    broker = await town.start("broker", {"role": "broker", "metrics_listen": "127.0.0.1:0"})
    address = broker.metrics.address
    assert await told(broker)
    await town.stop(broker)
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(fetched, address)
