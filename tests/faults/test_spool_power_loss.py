"""Bytes on their way are not synced: after a power cut what is left of them is told from ruins."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from packets import tiny_packet
from sealing import Student, sealed

from m2kt.disk import LocalDisk, put_whole
from m2kt.sealed_packets import SealedPackets
from m2kt.wire.chunks import Assembly
from m2kt_agents.intake import Intake
from m2kt_agents.orders import LearnOrder
from m2kt_agents.spool import Allowance, Slot
from tests.pupils import school, teacher_of
from tests.simulator import DOMAIN, Town

SIZE = 100
PACKET = sealed(tiny_packet(concepts=2, exemplars=2, width=3, traces=1), chunk_bytes=SIZE)
OTHER = sealed(tiny_packet(concepts=2, exemplars=2, width=3, traces=1, seed=5), chunk_bytes=SIZE)
CHUNKS = list(PACKET.chunks())


@settings(max_examples=60)
@given(st.data())
def test_after_a_power_cut_whole_chunks_are_kept_and_the_rest_comes_again(data):
    count = data.draw(st.integers(0, len(CHUNKS)))
    with tempfile.TemporaryDirectory() as scratch:
        spool = Path(scratch) / "spool"
        assembly = Assembly(Student().admits(PACKET.envelope), spool)
        for index, chunk in CHUNKS[:count]:
            assembly.add(index, chunk)
        written = spool.read_bytes()
        kept = data.draw(st.integers(0, len(written)))
        rest = len(written) - kept
        spool.write_bytes(written[:kept] + data.draw(st.sampled_from([b"", bytes(rest)])))
        again = Assembly(Student().admits(PACKET.envelope), spool)
        assert kept // SIZE <= again.next_index <= count
        for index, chunk in CHUNKS[again.next_index :]:
            again.add(index, chunk)
        assert again.finish().payload == PACKET.encoded.payload


def test_who_begins_again_with_other_bytes_leaves_a_packet_alone_that_was_sealed(tmp_path):
    """Power was cut when the packet had been sealed, and before that was noted."""
    spool, folder = tmp_path / "spool", tmp_path / "packets"
    folder.mkdir()
    disk = LocalDisk()
    packets = SealedPackets(folder, disk, lambda path, parts: put_whole(disk, path, parts))
    assembly = Assembly(Student().admits(PACKET.envelope), spool)
    for index, chunk in CHUNKS:
        assembly.add(index, chunk)
    packets.put(PACKET.packet_id, b"envelope", spool)
    again = Assembly(Student().admits(PACKET.envelope), spool)
    again.resume(Student().admits(OTHER.envelope))
    for index, chunk in OTHER.chunks():
        again.add(index, chunk)
    assert again.finish().payload == OTHER.encoded.payload
    assert packets.get(PACKET.packet_id)[1] == PACKET.encoded.payload


async def test_a_promise_that_was_torn_keeps_nobody_from_beginning_again(tmp_path):
    async with Town(tmp_path) as town:
        its = await school(town)
        resources, teacher = its.agent.agent._resources, teacher_of(town, "a", 1)
        transfer, _ = its.agent.agent.ledger.begin(
            LearnOrder(domain=DOMAIN, key="key", teachers=("127.0.0.1:1",))
        )
        slot, nonce = Slot(transfer, "source", Allowance(10**9)), bytes(32)
        intake = Intake(resources, DOMAIN, nonce, slot)
        intake.admit(teacher.sealed(resources.credentials.agent, nonce))
        intake.accept(teacher.chunks()[0])
        written = intake._promise.read_bytes()
        for kept in range(0, len(written), 37):
            for ruin in (written[:kept], written[:kept].ljust(len(written), b"\0")):
                intake._promise.write_bytes(ruin)
                assert Intake(resources, DOMAIN, nonce, slot).next_chunk == 0
        intake = Intake(resources, DOMAIN, nonce, slot)
        intake.admit(teacher.sealed(resources.credentials.agent, nonce))
        for chunk in teacher.chunks():
            intake.accept(chunk)
        assert (await intake.finish()).payload == teacher.encoded.payload
