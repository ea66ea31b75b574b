"""The soak finds what it looks for, and a short one finds nothing."""

import asyncio
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from m2kt.bench.experiments.experiment import Scope
from m2kt.digest import Digest
from m2kt.identity import TransferId
from m2kt.journal import Journal
from m2kt.progress import silent
from m2kt.store import Store
from m2kt_agents.faultbench import measure
from m2kt_agents.faultbench.invariants import KINDS, violations
from m2kt_agents.faultbench.tally import Plan, Tally
from tests.simulator import PATIENT, Town, adder, taught

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> tuple[Path, Digest]:
    """The folder of a student who has learnt from a teacher, and the digest of what that was."""

    async def learns() -> tuple[Path, Digest]:
        async with Town(tmp_path_factory.mktemp("town")) as town:
            town.trust("student", "adder")
            agent = await town.start("student", PATIENT)
            teacher = adder(town)
            server = await town.serve(teacher.service)
            await taught(town.peer(agent.address), server.address)
            return town.folder / "student", teacher.encoded.content_digest

    return asyncio.run(learns())


@pytest.fixture
def folder(learnt, tmp_path) -> Path:
    return shutil.copytree(learnt[0], tmp_path / "student")


def sql(folder: Path, statement: str) -> None:
    with Journal(folder / "journal.sqlite") as journal, journal.database.transaction():
        journal.database.changed(statement)


def apply_again(folder: Path, **changes: object) -> None:
    with Store(folder / "store") as store:
        state = store.state(store.head())
        again = replace(state, parent=state.digest, at_s=state.at_s + 1, **changes)
        store.advance(again, expected=state.digest)


def lose_payload(folder: Path) -> None:
    for file in (folder / "store" / "packets").glob("*.payload"):
        file.write_bytes(b"other bytes")


def alter_audit(folder: Path) -> None:
    sql(folder, "UPDATE audit SET at_s = at_s + 1")


PLANTED = {
    "mixed": lose_payload,
    "lost": lambda folder: sql(folder, "UPDATE transfers SET state = 'REJECTED'"),
    "applied twice": apply_again,
    "unfinished": lambda folder: sql(folder, "UPDATE transfers SET state = 'VERIFYING'"),
    "untold": lambda folder: sql(folder, "DELETE FROM events WHERE number = 2"),
    "left behind": lambda folder: (folder / "spool" / "t-1.part").write_bytes(b"rest"),
}


def kinds(folder: Path, *good: Digest) -> Counter[str]:
    return Counter(its.split(":")[0] for its in violations(folder, good))


def test_nothing_is_wrong_with_a_healthy_student(learnt, folder):
    assert violations(folder, [learnt[1]]) == []


def test_a_state_that_rests_on_what_is_not_good_is_found(folder):
    assert kinds(folder) == {"worse": 1}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_wrong_is_found(learnt, folder, kind):
    PLANTED[kind](folder)
    assert kinds(folder, learnt[1])[kind] >= 1


def test_a_state_without_a_transfer_is_found(learnt, folder):
    apply_again(folder, transfer=TransferId("unheard-of"))
    assert kinds(folder, learnt[1]) == {"applied twice": 1}


def test_an_audit_log_that_was_altered_is_found(learnt, folder):
    alter_audit(folder)
    assert kinds(folder, learnt[1]) == {"mixed": 1}


def test_every_kind_has_a_test():
    assert {*PLANTED, "worse"} == set(KINDS)


def tally(**changes: object) -> Tally:
    return replace(
        Tally(Plan(faults=5, lasts_s=9.0), []),
        injected=Counter({"student killed": 6}),
        memory=[(float(at), 300.0) for at in range(10)],
        **changes,
    )


def fallen(tally: Tally) -> int:
    return sum(not claim.holds for claim in measure.findings_of(tally).claims)


def test_each_claim_rests_on_what_was_seen():
    assert fallen(tally()) == 0
    for kind in KINDS:
        assert fallen(tally(violations=[f"{kind}: something"])) == 1
    assert fallen(replace(tally(), injected=Counter())) == 1
    growing = [(float(at), 300.0 + 10 * at) for at in range(10)]
    assert fallen(replace(tally(), memory=growing)) == 1


@pytest.mark.timeout(400)
def test_a_short_soak_leaves_every_student_whole(tmp_path):
    found = measure.measure(Scope(quick=True, cells=tmp_path), silent)
    assert [claim.what for claim in found.claims if not claim.holds] == [], found.tables[-1]
    assert found.figures["injected"] >= 300
    assert found.figures["checks"] >= 2
