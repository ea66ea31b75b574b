import pytest

from m2kt.bench.delivery import Post
from m2kt.errors import M2KTError
from m2kt.tensors import Dtype, digest_state
from tests.lessons import TEACHER, taught_packet


def test_what_arrives_is_what_was_sent():
    found = Post(TEACHER).deliver(taught_packet()).packet
    assert found.packet.concepts == taught_packet().concepts
    assert found.teacher == TEACHER
    sent, came = ({"c": its.means} for its in (taught_packet(), found.packet))
    assert digest_state(sent) == digest_state(came)


def test_every_packet_has_a_name_of_its_own_and_one_content():
    post = Post(TEACHER)
    first, second = (post.deliver(taught_packet()) for _ in range(2))
    assert first.packet_id != second.packet_id
    assert first.packet.content_digest == second.packet.content_digest


def test_what_was_kept_is_opened_again():
    post = Post(TEACHER)
    sent = post.deliver(taught_packet())
    assert post.open(sent.envelope, sent.payload).packet_id == sent.packet_id


def test_what_was_changed_on_its_way_is_refused():
    post = Post(TEACHER)
    sent = post.deliver(taught_packet())
    spoiled = bytes([sent.payload[0] ^ 1]) + sent.payload[1:]
    with pytest.raises(M2KTError):
        post.open(sent.envelope, spoiled)


def test_exemplars_may_travel_short():
    post = Post(TEACHER)
    full, short = (post.deliver(taught_packet(), its) for its in (Dtype.F32, Dtype.I8))
    assert len(short.payload) < 0.6 * len(full.payload)
