"""A teacher on the student's own node lends its payload, and the checks are those of a stream."""

from dataclasses import dataclass, field

import pytest

from m2kt.digest import Digest
from m2kt.errors import PeerUnavailableError, ProtocolError
from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire.v1 import teacher_service_pb2 as pb
from m2kt_agents.client import PeerClient
from m2kt_agents.launching import start_agent
from m2kt_agents.parts import Chunk, Lent, any_part_of, part_of
from m2kt_agents.settings import settings_from
from tests.simulator import DOMAIN, STUDENT, TEACHER, Town, taught


@dataclass
class Shelf:
    """Shared memory of one node, as one process has it."""

    node: str = "here"
    lent: dict[Digest, bytes] = field(default_factory=dict)
    has_room: bool = True
    borrowed: list[AgentId] = field(default_factory=list)

    async def lend(self, digest: Digest, payload: bytes | memoryview) -> bool:
        if self.has_room:
            self.lent.setdefault(digest, bytes(payload))
        return self.has_room

    async def borrow(self, teacher: AgentId, digest: Digest) -> memoryview:
        self.borrowed.append(teacher)
        if digest not in self.lent:
            raise PeerUnavailableError(f"expected {digest}, found nothing; ask for chunks")
        return memoryview(self.lent[digest])


class Street:
    """A teacher and a student who know a shelf each; maybe the same."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.student: PeerClient
        self.teacher = ""

    async def settle(self, teachers: Shelf | None, students: Shelf | None) -> None:
        town = self.town
        town.trust("student", "teacher")
        for name, table, shelf in (("teacher", TEACHER, teachers), ("student", STUDENT, students)):
            town.signer(name)
            full = {"name": name, "domains": [DOMAIN], "data_dir": name, **table}
            settings = settings_from(full, base=town.folder, environ={})
            running = await start_agent(settings, neighbours=shelf)
            town._running.append(running)
            if name == "teacher":
                self.teacher = running.address
            else:
                self.student = town.peer(running.address)

    async def learnt(self):
        return (await taught(self.student, self.teacher))[0]


@pytest.fixture
async def street(tmp_path):
    async with Town(tmp_path) as town:
        yield Street(town)


async def parts_for(street: Street, node: str) -> list:
    peer, student = street.town.peer(street.teacher), street.student
    card, _ = await student.describe_student(timeout_s=5)
    stream = peer.stream_packet(DOMAIN, card, bytes(32), from_chunk=0, node=node, timeout_s=60)
    return [part async for part in stream]


async def test_on_one_node_a_payload_is_lent_and_learnt_from(street):
    shelf = Shelf()
    await street.settle(shelf, shelf)
    view = await street.learnt()
    assert view.state is TransferState.COMMITTED
    assert shelf.borrowed == ["teacher"]
    assert len(shelf.lent) == 1
    assert list((street.town.folder / "student" / "spool").iterdir()) == []


async def test_it_is_lent_once_for_all_and_only_to_who_asks_from_the_same_node(street):
    shelf = Shelf()
    await street.settle(shelf, None)
    for node in ("here", "here"):
        _, lent = await parts_for(street, node)
        assert lent == Lent()
    assert len(shelf.lent) == 1
    for node in ("", "elsewhere"):
        _, *chunks = await parts_for(street, node)
        assert chunks
        assert all(isinstance(chunk, Chunk) for chunk in chunks)


@pytest.mark.parametrize("teachers", [None, Shelf(node="there"), Shelf(has_room=False)])
async def test_elsewhere_or_without_room_chunks_are_sent(street, teachers):
    mine = Shelf()
    await street.settle(teachers, mine)
    assert (await street.learnt()).state is TransferState.COMMITTED
    assert mine.borrowed == []


async def test_what_cannot_be_borrowed_comes_in_chunks(street):
    mine = Shelf()
    await street.settle(Shelf(), mine)  # of one name, but not one memory
    assert (await street.learnt()).state is TransferState.COMMITTED
    assert mine.borrowed == ["teacher"]


async def test_a_lent_payload_that_was_altered_is_refused(street):
    class Altered(Shelf):
        async def lend(self, digest: Digest, payload: bytes | memoryview) -> bool:
            return await super().lend(digest, b"!" + bytes(payload)[1:])

    shelf = Altered()
    await street.settle(shelf, shelf)
    view = await street.learnt()
    assert view.verdict.reasons == (Reason.CHUNK_MISMATCH,)


def test_a_lent_part_where_nobody_asked_for_one_is_a_breach_of_the_protocol():
    message = pb.StreamPacketResponse(lent=pb.Lent())
    assert any_part_of(message, "teacher") == Lent()
    with pytest.raises(ProtocolError, match="nobody asked"):
        part_of(message, "teacher")
