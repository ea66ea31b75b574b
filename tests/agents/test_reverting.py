"""Going back: a student has the skills of an earlier state again, over real gRPC."""

import pytest

from m2kt.audit import Deed
from m2kt.digest import digest_of
from m2kt.errors import BusyError, M2KTError, RequestError, RevokedKeyError
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from tests.pupils import school, teacher_of
from tests.simulator import DOMAIN, Town, ended


async def test_who_goes_back_has_the_old_skills_and_may_go_on_from_there(town: Town):
    its = await school(town)
    [a] = await its.learns(teacher_of(town, "a", 1))
    after_a = await its.head()
    await its.learns(teacher_of(town, "b", 2))
    after_b = await its.head()
    back, moved = await its.student.revert(after_a.digest, timeout_s=5)
    assert (moved, back.parent) == (True, after_b.digest)
    assert back.skills == after_a.skills
    assert await its.head() == back
    again, moved = await its.student.revert(after_a.digest, timeout_s=5)
    assert (again, moved) == (back, False)
    await its.learns(teacher_of(town, "c", 3))
    assert its.worker.assignments[-1].current.digest == after_a.skills[DOMAIN].cal
    assert (await its.head()).skills[DOMAIN].lineage[0] == a
    there, _ = await its.student.revert(after_b.digest, timeout_s=5)
    assert there.skills == after_b.skills, "one can go back from going back"
    deeds = [entry.deed for entry in its.agent.agent._resources.audit.entries()]
    assert deeds.count(Deed.REVERTED) == 2


async def test_what_was_unlearnt_is_not_gone_back_to_nor_what_never_was(town: Town):
    its = await school(town)
    [a] = await its.learns(teacher_of(town, "a", 1))
    after_a = await its.head()
    await its.student.unlearn(packet=a, timeout_s=5)
    head = await its.head()
    for to, reason in (
        (after_a.digest, Reason.INVALID_ARGUMENT),
        (digest_of(b"elsewhere"), Reason.NOT_FOUND),
        ("b3:short", Reason.MALFORMED),
    ):
        with pytest.raises(M2KTError) as error:
            await its.student.revert(to, timeout_s=5)
        assert error.value.reason is reason
    assert await its.head() == head


async def test_nobody_goes_back_while_a_transfer_is_under_way(town: Town):
    its = await school(town)
    empty = await its.head()
    await its.learns(teacher_of(town, "a", 1))
    transfer = await its.begins(teacher_of(town, "b", 2))
    with pytest.raises(BusyError, match=transfer):
        await its.student.revert(empty.digest, timeout_s=5)
    its.go_on.set()
    view, _ = await ended(its.student, transfer)
    assert view.state is TransferState.COMMITTED
    back, moved = await its.student.revert(empty.digest, timeout_s=5)
    assert (moved, back.skills) == (True, {})


async def test_what_was_gone_back_from_can_be_unlearnt_and_is_gone_for_good(town: Town):
    its = await school(town)
    await its.learns(teacher_of(town, "a", 1))
    after_a = await its.head()
    [b] = await its.learns(teacher_of(town, "b", 2))
    after_b = await its.head()
    await its.student.revert(after_a.digest, timeout_s=5)
    done = await its.student.unlearn(packet=b, timeout_s=5)
    assert (done.unlearnt, done.realigning) == ((b,), ())
    assert done.head.skills == after_a.skills
    with pytest.raises(RequestError, match="un-learnt since"):
        await its.student.revert(after_b.digest, timeout_s=5)
    assert not (await its.student.unlearn(packet=b, timeout_s=5)).moved


async def test_what_a_revoked_key_signed_is_not_gone_back_to(town: Town):
    its = await school(town)
    empty = await its.head()
    await its.learns(teacher_of(town, "a", 1))
    after_a = await its.head()
    await its.student.revert(empty.digest, timeout_s=5)
    key = town.signer("a").key_id
    town.change_trust("student", lambda trust: trust.revoke(key, "it was stolen"))
    with pytest.raises(RevokedKeyError):
        await its.student.revert(after_a.digest, timeout_s=5)
