"""Un-learning by provenance: HEAD moves away at once, what remains is aligned anew."""

import asyncio
import json

import pytest
import torch

from m2kt.history import Skill, StudentState
from m2kt.identity import PacketId, TransferId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.store import Store
from m2kt_agents import cli_student
from tests.pupils import receipt_of, school, teacher_of
from tests.simulator import DOMAIN, PATIENT, Town, adder, ended, multiplier, taught

_S = TransferState


@pytest.mark.slow
async def test_who_has_unlearnt_a_packet_is_bit_for_bit_who_never_saw_it(town: Town):
    plus, times = adder(town), multiplier(town)
    addresses = [(await town.serve(teacher.service)).address for teacher in (plus, times)]
    for name in ("forgetful", "innocent"):
        town.trust(name, "adder", "multiplier")
    forgetful, innocent = [
        town.peer((await town.start(name, PATIENT)).address) for name in ("forgetful", "innocent")
    ]
    learnt, _ = await taught(forgetful, *addresses)
    assert learnt.state is _S.COMMITTED
    _, both = await forgetful.describe_student(timeout_s=5)
    done = await forgetful.unlearn(key=town.signer("multiplier").key_id, timeout_s=10)
    assert done.head.skills == {}, "nobody uses what was learnt from it any more"
    [realigning] = done.realigning
    view, _ = await ended(forgetful, realigning.transfer)
    assert view.state is _S.COMMITTED
    await taught(innocent, addresses[0])
    heads = [(await its.describe_student(timeout_s=5))[1] for its in (forgetful, innocent)]
    mine, others = [head.skills[DOMAIN] for head in heads]
    assert mine.cal == others.cal, "the digest of all tensors, and of what makes a CAL of them"
    assert mine.cal != both.skills[DOMAIN].cal
    assert mine.signers == others.signers == (town.signer("adder").key_id,)
    assert mine.lineage != others.lineage, "each was signed for its student"
    assert set(mine.lineage) < set(both.skills[DOMAIN].lineage)


async def test_what_remains_is_aligned_anew_from_nothing_and_its_receipt_says_so(town: Town):
    its = await school(town)
    [a] = await its.learns(teacher_of(town, "a", 1))
    [b] = await its.learns(teacher_of(town, "b", 2))
    [c] = await its.learns(teacher_of(town, "c", 3))
    its.go_on.clear()
    done = await its.student.unlearn(packet=b, timeout_s=5)
    assert done.moved
    assert done.unlearnt == (b,)
    assert done.head.skills[DOMAIN].lineage == (a,), "the best that the history has"
    again = await its.student.unlearn(packet=b, timeout_s=5)
    assert (again.moved, again.head) == (False, done.head)
    assert again.realigning == done.realigning, "who asks again is told what is under way"
    [realigning] = done.realigning
    await its.at_work(realigning.transfer)
    assert await its.head() == done.head, "until the lesson is accepted"
    its.go_on.set()
    view, _ = await ended(its.student, realigning.transfer)
    assert view.state is _S.COMMITTED
    assert {p.packet_id for p in its.worker.assignments[-1].payloads} == {a, c}
    assert its.worker.assignments[-1].current is None
    receipt = receipt_of(view)
    assert (receipt.unlearnt, set(receipt.packets)) == ((b,), {a, c})
    head = await its.head()
    assert (head.digest, head.parent) == (receipt.head_after, done.head.digest)
    assert set(head.skills[DOMAIN].lineage) == {a, c}
    assert (await its.student.unlearn(packet=b, timeout_s=5)).realigning == ()


async def test_a_lesson_that_is_no_realignment_names_nothing_as_left_out(town: Town):
    its = await school(town)
    view, _ = await taught(its.student, await its.address(teacher_of(town, "a", 1)))
    assert receipt_of(view).unlearnt == ()


async def test_what_remains_is_combined_as_the_unlearnt_lesson_was(town: Town):
    its = await school(town)
    addresses = [await its.address(teacher_of(town, name, ord(name))) for name in "ab"]
    await taught(its.student, *addresses, strategy="trace_weighted")
    done = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    await ended(its.student, done.realigning[0].transfer)
    assert [each.strategy for each in its.worker.assignments] == ["trace_weighted"] * 2


async def test_equal_content_counts_as_unlearnt_under_whatever_id_it_came(town: Town):
    its = await school(town)
    same = [teacher_of(town, "b", 2) for _ in range(2)]
    [b] = await its.learns(same[0])
    fresh = await its.learns(same[1], teacher_of(town, "a", 1))
    done = await its.student.unlearn(packet=b, timeout_s=5)
    assert done.head.skills == {}
    assert len(done.unlearnt) == 2
    await ended(its.student, done.realigning[0].transfer)
    [kept] = (await its.head()).skills[DOMAIN].lineage
    assert {kept, *done.unlearnt} == {b, *fresh}
    assert (await its.head()).skills[DOMAIN].signers == (town.signer("a").key_id,)


async def test_a_state_that_has_the_content_of_what_remains_is_good_enough(town: Town):
    its = await school(town)
    same = [teacher_of(town, "a", 1) for _ in range(2)]
    [first] = await its.learns(same[0])
    await its.learns(same[1], teacher_of(town, "b", 2))
    done = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    assert (done.moved, done.realigning) == (True, ())
    assert done.head.skills[DOMAIN].lineage == (first,)


async def test_a_realignment_that_is_declined_leaves_the_clean_state(town: Town):
    its = await school(town, quorum=2)
    await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    done = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    view, _ = await ended(its.student, done.realigning[0].transfer)
    assert view.state is _S.REJECTED, "two opinions are asked for, also of those who never saw b"
    receipt = receipt_of(view)
    assert receipt.head_before == receipt.head_after == done.head.digest
    assert await its.head() == done.head


async def test_a_packet_that_is_unlearnt_while_it_is_aligned_anew_is_left_out_too(town: Town):
    its = await school(town)
    packets = await its.learns(*(teacher_of(town, name, ord(name)) for name in "abc"))
    its.go_on.clear()
    first = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    await its.at_work(first.realigning[0].transfer)
    second = await its.student.unlearn(key=town.signer("c").key_id, timeout_s=5)
    assert second.moved, "so that nothing of it can be committed"
    assert second.head.skills == {}
    its.go_on.set()
    view, _ = await ended(its.student, first.realigning[0].transfer)
    assert view.state is _S.FAILED
    view, _ = await ended(its.student, second.realigning[0].transfer)
    assert view.state is _S.COMMITTED
    assert set(receipt_of(view).unlearnt) == {*first.unlearnt, *second.unlearnt}
    [a] = (await its.head()).skills[DOMAIN].lineage
    assert {a} == set(packets) - set(receipt_of(view).unlearnt)


async def test_a_realignment_that_waits_makes_way_for_the_next(town: Town):
    its = await school(town)
    await its.learns(*(teacher_of(town, name, ord(name)) for name in "abc"))
    await its.begins(teacher_of(town, "a", 9))
    first = await its.student.unlearn(key=town.signer("b").key_id, timeout_s=5)
    second = await its.student.unlearn(key=town.signer("c").key_id, timeout_s=5)
    its.go_on.set()
    view, _ = await ended(its.student, first.realigning[0].transfer)
    assert (view.state, view.verdict.reasons) == (_S.FAILED, (Reason.STORAGE,))
    view, _ = await ended(its.student, second.realigning[0].transfer)
    assert view.state is _S.COMMITTED
    assert (await its.head()).skills[DOMAIN].signers == (town.signer("a").key_id,)


async def test_a_packet_that_is_unlearnt_before_its_turn_is_not_learnt(town: Town):
    its = await school(town)
    teacher = teacher_of(town, "b", 2)
    at_work = await its.begins(teacher)
    [packet] = its.agent.agent._resources.journal.transfer(at_work).packets
    done = await its.student.unlearn(packet=packet, timeout_s=5)
    assert (done.moved, done.realigning) == (True, ())
    its.go_on.set()
    view, _ = await ended(its.student, at_work)
    assert view.state is _S.FAILED
    assert (await its.head()).skills == {}
    assert not (await its.student.unlearn(packet=packet, timeout_s=5)).moved


async def test_unlearning_elsewhere_does_not_disturb_a_lesson(town: Town):
    with Store(town.folder / "student" / "store") as store:
        cal = store.put_cal({"w": torch.zeros(1)}, {})
        skills = {"arith.mod5": Skill(cal, (PacketId("b3:" + "5" * 64),), ())}
        head = store.head()
        state = StudentState(parent=head, transfer=None, at_s=1.0, note="", skills=skills)
        store.advance(state, expected=head)
    its = await school(town)
    at_work = await its.begins(teacher_of(town, "a", 1))
    done = await its.student.unlearn(packet=PacketId("b3:" + "5" * 64), timeout_s=5)
    assert done.moved
    its.go_on.set()
    view, _ = await ended(its.student, at_work)
    assert view.state is _S.COMMITTED
    head = await its.head()
    assert head.parent == done.head.digest == receipt_of(view).head_before
    assert list(head.skills) == [DOMAIN]


async def test_the_command_says_what_has_happened(town: Town, capsys: pytest.CaptureFixture[str]):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1), teacher_of(town, "b", 2))
    its.go_on.clear()
    named = {"student": its.agent.address, "key": town.signer("b").key_id}
    await asyncio.to_thread(cli_student.unlearn, **named, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["moved"], told["outcome"]) == (True, "realigning")
    assert told["head"]["digest"] == (await its.head()).digest
    [realigning] = told["realigning"]
    await asyncio.to_thread(cli_student.unlearn, **named)
    out = capsys.readouterr().out
    assert out == (
        f"HEAD stays at {told['head']['digest']} with no skill\n"
        f"aligning what remains of {DOMAIN}: m2kt watch {realigning['transfer']}\n"
    )
    its.go_on.set()
    await ended(its.student, TransferId(realigning["transfer"]))
    await asyncio.to_thread(cli_student.unlearn, **named, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["moved"], told["outcome"], told["realigning"]) == (False, "nothing to do", [])
