"""m2kt.packet: packets are valid from birth."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from packets import TEACHER, equal, packets, provenance, tiny_packet

from m2kt.consensus import Consensus
from m2kt.digest import digest_of
from m2kt.errors import PacketError
from m2kt.identity import PacketId
from m2kt.packet import (
    ActivationMaps,
    AuthenticPacket,
    AuthenticPayload,
    Lesson,
    LessonConcept,
    ScreenedPacket,
    Source,
    voter_of,
)


@given(packets())
def test_the_maker_of_packets_makes_valid_ones(packet):
    assert packet.width == packet.means.shape[1] == packet.exemplars.shape[2]


def test_a_seed_makes_the_same_packet_again():
    assert equal(tiny_packet(seed=3), tiny_packet(seed=3))
    assert not equal(tiny_packet(seed=3), tiny_packet(seed=4))


def test_a_packet_has_concepts():
    packet = tiny_packet()
    with pytest.raises(PacketError, match="found 0 concepts"):
        replace(packet, concepts=(), means=packet.means[:0], exemplars=packet.exemplars[:0])


@pytest.mark.parametrize(
    ("organisation", "root", "voter"),
    [("", False, TEACHER), ("house", False, "house"), ("house", True, TEACHER)],
)
def test_who_speaks_is_the_same_before_and_after_a_packet_is_read(organisation, root, voter):
    told = {
        "packet_id": PacketId("p"),
        "content_digest": digest_of(b""),
        "teacher": TEACHER,
        "signers": (),
        "organisation": organisation,
        "root": root,
    }
    payload = AuthenticPayload(**told, manifest=b"", payload=b"")
    packet = AuthenticPacket(**told, bytes_on_wire=1, packet=tiny_packet())
    screened = ScreenedPacket(packet, ())
    assert voter_of(payload) == voter_of(packet) == screened.voter == voter


def test_ids_of_concepts_differ():
    packet = tiny_packet(concepts=2)
    with pytest.raises(PacketError, match="2 concepts and 1 ids"):
        replace(packet, concepts=(packet.concepts[0],) * 2)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("means", torch.zeros(7, 12), "8 rows"),
        ("exemplars", torch.zeros(7, 16, 12), "8 rows"),
        ("exemplars", torch.zeros(8, 16, 11), "width 12, found 11"),
        ("maps", ActivationMaps(torch.zeros(1, 3).int(), torch.zeros(1, 3)), "activation maps"),
        ("traces", (), "0 steps"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, value, message):
    packet = tiny_packet()
    # Set in place: tests check shapes of a call before the packet itself can; production does not.
    object.__setattr__(packet, part, value)
    with pytest.raises(PacketError, match=message):
        packet.__post_init__()


def test_provenance_has_a_time():
    about = provenance(teacher=TEACHER, domain="d")
    with pytest.raises(PacketError, match="created_at_s"):
        replace(about, created_at_s=0.0)


def test_a_lesson_knows_its_lineage():
    packet = tiny_packet(concepts=1)
    screened = tuple(
        ScreenedPacket(
            AuthenticPacket(
                packet_id=PacketId(name),
                content_digest="b3:" + "0" * 64,
                teacher=TEACHER,
                signers=(),
                bytes_on_wire=1,
                packet=packet,
            ),
            ("rule",),
        )
        for name in ("p", "q")
    )
    lesson = Lesson(
        domain="d",
        packets=screened,
        concepts=(LessonConcept(packet.concepts[0], (Source(0, 0, 1.0),)),),
        traces=packet.traces,
        maps=(),
        consensus=Consensus("mean", 0, (), {}, ()),
    )
    assert lesson.lineage == ("p", "q")
    assert lesson.packets[0].packet is packet
