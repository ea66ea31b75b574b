"""The benchmark of the wire measures what it says: small runs of every way, and its claims."""

import mmap

import pytest

from m2kt.errors import ChunkError
from m2kt.identity import AgentId
from m2kt.wire.chunks import Assembly
from m2kt_agents.certificates import Authority
from m2kt_agents.wirebench import measure
from m2kt_agents.wirebench.ends import Ends
from m2kt_agents.wirebench.fanout import lectures_for
from m2kt_agents.wirebench.load import MIB, admitted, limits_for, made
from m2kt_agents.wirebench.usage import Watch

LENGTH = 4 * MIB + 12345
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
"""Of memory that was never had before: what the process has freed is resident already."""


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    authority = Authority(folder / "certs")
    names = ("sender", "receiver")
    tls = {name: authority.issue(AgentId(name), hosts=["127.0.0.1"]) for name in names}
    with Ends(folder, tls) as tuned, Ends(folder, tls, tuned=False) as plain:
        for each in (tuned, plain):
            each.offer(LENGTH, 1 << 18)
        yield {True: tuned, False: plain}


@pytest.mark.slow
@pytest.mark.parametrize("name", measure.WAYS)
def test_every_way_brings_all_bytes(ends, name):
    way = measure.WAYS[name]
    run, _ = ends[way.tuned].run(way.how, tls=way.tls)
    whole = -(-LENGTH // (1 << 18)) * (1 << 18)
    assert run.length in ((LENGTH, whole) if way.how == "raw" else (LENGTH,))
    assert run.wall_s > 0
    assert run.sender.cpu_s > 0
    assert run.receiver.cpu_s > 0


@pytest.mark.slow
def test_small_packets_are_counted_by_their_payloads(ends):
    for way in ("small", "unary"):
        run, _ = ends[True].run(way, packets=7)
        assert run.length == 7 * 10_000


@pytest.mark.slow
def test_a_slow_receiver_keeps_the_sender_back(ends):
    run, progress = ends[True].run("ours", pause_s=0.05)
    assert run.wall_s > 16 * 0.05
    assert progress[0][1] < progress[-1][1]
    assert [at for at, _ in progress] == sorted(at for at, _ in progress)


@pytest.mark.slow
def test_several_students_get_it_at_a_time(ends):
    run, _ = ends[True].run("spooled", streams=3)
    assert run.length == 3 * LENGTH


def test_what_is_sent_is_checked_and_would_be_refused(tmp_path):
    load = made(tmp_path / "payload", LENGTH, MIB)
    sealed = load.sealed()
    assembly = Assembly(admitted(sealed.envelope, limits_for(LENGTH)))
    with pytest.raises(ChunkError):
        assembly.add(0, bytes(MIB))
    for index, data in sealed.chunks():
        assembly.add(index, data)
    assert assembly.finish().payload == load.encoded.payload


@pytest.mark.slow
def test_a_packet_is_made_once_for_all_students(tmp_path):
    assert lectures_for(3, tmp_path) == 1


def test_memory_that_was_held_for_a_while_is_noticed():
    with Watch() as watch:
        held = mmap.mmap(-1, 48 << 20, flags=PRIVATE)
        while watch.spent.grown_mib < 40:
            held[::4096] = b"x" * len(held[::4096])
        held.close()
    assert 40 <= watch.spent.grown_mib < 90


GOOD = {
    "fraction_of_raw_grpc": 0.8,
    "vs_naive_protobuf": 3.0,
    "vs_naive_protobuf_with_our_allocator": 2.6,
    "vs_flower": 9.0,
    "object_store_ratio": 4.0,
    "mtls_cost_ratio": 1.5,
    "tls_alone_cost_ratio": 1.6,
    "small_packets_per_s": {"small": 3000.0, "unary": 800.0},
    "peak_rss_mib": {"sender": 9.0, "receiver": 20.0},
    "fanout": {"students": 10, "encode_count": 1},
}
BAD = {
    "fraction_of_raw_grpc": 0.6,
    "vs_naive_protobuf": 2.0,
    "vs_naive_protobuf_with_our_allocator": 2.4,
    "vs_flower": 1.0,
    "object_store_ratio": 1.0,
    "mtls_cost_ratio": 1.7,
    "small_packets_per_s": {"small": 2000.0, "unary": 800.0},
    "peak_rss_mib": {"sender": 99.0, "receiver": 20.0},
    "fanout": {"students": 10, "encode_count": 2},
}


@pytest.mark.parametrize("name", BAD)
def test_each_claim_rests_on_its_figure(name):
    assert all(claim.holds for claim in measure._claims(GOOD))
    fallen = [claim for claim in measure._claims({**GOOD, name: BAD[name]}) if not claim.holds]
    assert len(fallen) == 1
