"""One content under several packet ids: counted once, found under every id."""

import pytest

from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.wire import cards
from tests.simulator import DOMAIN, STUDENT, Town, adder, ended, taught

pytestmark = pytest.mark.slow


async def two_addresses(town: Town) -> list[str]:
    """One teacher at two addresses: it signs the same content twice."""
    town.trust("student", "adder")
    servers = [await town.serve(adder(town).service) for _ in range(2)]
    return [server.address for server in servers]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_packet_is_unlearnt_by_the_id_of_any_of_its_copies(town: Town, which):
    addresses = await two_addresses(town)
    student = town.peer((await town.start("student", STUDENT)).address)
    view, _ = await taught(student, *addresses)
    assert view.state is TransferState.COMMITTED
    receipt = cards.receipt_from_bytes(view.receipt.payload)
    assert len(set(receipt.packets)) == 2
    _, head = await student.describe_student(timeout_s=5)
    assert sorted(head.skills[DOMAIN].lineage) == sorted(receipt.packets)
    done = await student.unlearn(packet=sorted(receipt.packets)[which], timeout_s=5)
    assert done.moved
    assert set(done.unlearnt) == set(receipt.packets)
    assert DOMAIN not in done.head.skills
    assert done.realigning == (), "of one content nothing remains"
    assert (await ended(student, view.transfer))[0].state is TransferState.ROLLED_BACK


async def test_a_copy_is_no_second_opinion_to_a_quorum(town: Town):
    addresses = await two_addresses(town)
    table = {**STUDENT, "limits": {"quorum": 2}}
    student = town.peer((await town.start("student", table)).address)
    view, _ = await taught(student, *addresses)
    assert view.state is TransferState.REJECTED
    assert view.verdict.reasons == (Reason.NOT_FOUND,)
    assert "found 1 of different content" in view.verdict.details[-1]
