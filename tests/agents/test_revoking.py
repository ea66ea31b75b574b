"""A key that was revoked: HEAD does not rest on it after the next start, whatever came between."""

from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.store import Store
from m2kt.wire import cards
from m2kt.wire.admission import packet_id_of
from m2kt_agents.orders import LearnOrder
from tests.pupils import left, receipt_of, school, started, teacher_of
from tests.simulator import DOMAIN, HostileTeacher, Town, ended

_S = TransferState


async def test_what_a_key_signed_is_unlearnt_at_the_start_after_it_was_revoked(town: Town):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    before, key = await its.head(), town.signer("b").key_id
    await town.stop(its.agent)
    town.change_trust("student", lambda trust: trust.revoke(key, "stolen"))
    its.go_on.clear()
    its = await started(town, its.go_on)
    head = await its.head()
    assert (head.parent, head.skills) == (before.digest, {})
    [record] = its.agent.agent._resources.journal.unfinished()
    its.go_on.set()
    view, _ = await ended(its.student, record.id)
    assert view.state is _S.COMMITTED
    assert key in receipt_of(view).unlearnt
    head = await its.head()
    assert head.skills[DOMAIN].signers == (town.signer("a").key_id,)
    await town.stop(its.agent)
    its = await started(town, its.go_on)
    assert await its.head() == head, "once and for all"


async def test_a_realignment_goes_on_after_a_restart(town: Town):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    its.go_on.clear()
    done = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    [realigning] = done.realigning
    await its.at_work(realigning.transfer)
    its.go_on.set()
    await town.stop(its.agent)
    its = await started(town, its.go_on)
    view, events = await ended(its.student, realigning.transfer)
    assert view.state is _S.COMMITTED
    assert (await its.head()).skills[DOMAIN].signers == (town.signer("a").key_id,)
    assert [event.number for event in events] == list(range(1, len(events) + 1))


async def test_a_copy_that_was_never_learnt_from_condemns_nobody(town: Town):
    its = await school(town)
    honest = teacher_of(town, "a", 1)
    [a] = await its.learns(honest)
    await town.stop(its.agent)
    thief = HostileTeacher(AgentId("c"), town.signer("c"))
    thief.encoded = honest.encoded  # the very bytes of another's packet, under a key of its own
    envelope = thief.sealed(AgentId("student"), b"n" * 32)
    copied = packet_id_of(envelope.payload)
    with Store(town.folder / "student" / "store") as store:
        store.packets.put(copied, cards.envelope_to_bytes(envelope), honest.encoded.payload)
    order = LearnOrder(domain=DOMAIN, key="left", pushed=True)
    transfer = left(town, "left", order, [copied])
    town.change_trust("student", lambda trust: trust.revoke(town.signer("c").key_id, "a thief"))
    its = await started(town, its.go_on)
    view, _ = await ended(its.student, transfer)
    assert view.verdict.reasons == (Reason.REVOKED_KEY,)
    assert (await its.head()).skills[DOMAIN].lineage == (a,)


async def test_an_unlearning_that_was_cut_off_before_head_moved_is_done_at_the_next_start(
    town: Town,
):
    its = await school(town)
    a, b = await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    await town.stop(its.agent)
    transfer = left(town, "left", LearnOrder(domain=DOMAIN, key="k", unlearnt=(b,)), [a])
    its = await started(town, its.go_on)
    view, _ = await ended(its.student, transfer)
    assert view.state is _S.COMMITTED
    assert receipt_of(view).unlearnt == (b,)
    assert (await its.head()).skills[DOMAIN].lineage == (a,)
    assert any(state.note.startswith("un-learnt") for state in its.agent.agent.history(0))
