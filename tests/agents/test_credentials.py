"""Whose keys are believed, and how a key comes to be: by hand, by statement, or on first use."""

import pytest

from m2kt.identity import AgentId
from m2kt.progress import TransferState
from m2kt.reasons import Reason
from m2kt.signing import Ed25519Signer
from m2kt.trust import load_trust
from m2kt.verdict import Rejected
from tests.simulator import STUDENT, TEACHER, Town, adder, taught


@pytest.fixture
async def town(tmp_path):
    async with Town(tmp_path) as town:
        yield town


async def learnt(town: Town, source: str, **lies):
    """What comes of a lesson by the student at `source`, an address with {} for the place."""
    server = await town.serve(adder(town, **lies).service)
    student = town.peer(town.student.address)
    return (await taught(student, source.format(server.address)))[0]


async def started(town: Town, **table) -> None:
    town.student = await town.start("student", {**STUDENT, **table})


def trusted(town: Town) -> dict[str, str]:
    store = load_trust(town.folder / "student" / "trust.json")
    return {key: its.agent for key, its in store.enrolled.items()}


async def test_who_trusts_on_first_use_enrols_the_key_of_whom_it_asked_by_name(town):
    await started(town, tofu=True)
    view = await learnt(town, "adder@{}")
    assert view.state is TransferState.COMMITTED
    assert trusted(town) == {town.signer("adder").key_id: "adder"}


async def test_another_key_under_a_known_name_is_a_hard_stop(town):
    await started(town, tofu=True)
    town.trust("student", "adder")
    known = trusted(town)
    server = adder(town)
    server.signer = Ed25519Signer.generate()
    address = (await town.serve(server.service)).address
    view, _ = await taught(town.peer(town.student.address), f"adder@{address}")
    assert isinstance(view.verdict, Rejected)
    assert view.verdict.reasons == (Reason.UNKNOWN_KEY,)
    assert "this may be somebody else" in view.verdict.details[0]
    assert trusted(town) == known


@pytest.mark.parametrize(("tofu", "source"), [(False, "adder@{}"), (True, "{}")])
async def test_without_the_flag_or_without_a_name_nobody_is_trusted(town, tofu, source):
    await started(town, tofu=tofu)
    view = await learnt(town, source)
    assert view.verdict.reasons == (Reason.UNKNOWN_KEY,)
    assert trusted(town) == {}


async def test_a_packet_that_answers_another_question_enrols_nobody(town):
    await started(town, tofu=True)
    view = await learnt(town, "adder@{}", nonce=bytes(32))
    assert view.verdict.reasons == (Reason.WRONG_NONCE,)
    assert trusted(town) == {}


async def test_a_teacher_signs_with_all_its_keys_for_who_asks_for_several(town):
    for key in ("teacher", "second"):
        town.signer(key)
    town.trust("student", "teacher")
    town.change_trust(
        "student",
        lambda its: its.enrol(town.signer("second").key_id, AgentId("teacher")).require(2),
    )
    await started(town)
    student = town.peer(town.student.address)
    alone = await town.start("teacher", TEACHER)
    view, _ = await taught(student, alone.address)
    assert view.verdict.reasons == (Reason.BAD_SIGNATURE,)
    await town.stop(alone)
    both = await town.start("teacher", {**TEACHER, "co_key_files": ["second/key.pem"]})
    view, _ = await taught(student, both.address)
    assert view.state is TransferState.COMMITTED
