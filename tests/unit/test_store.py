"""The store keeps its promises when processes die, power is cut and disks fill up."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from m2kt.digest import digest_of
from m2kt.errors import NotFoundError, StoreError
from m2kt.identity import KeyId, PacketId, TransferId
from m2kt.store import Skill, Store, StudentState
from tests.disks import FailingDisk, StumblingDisk

PACKET = PacketId(digest_of(b"manifest"))
KEY = KeyId("ed25519:" + "0" * 64)
TENSORS = {
    "phi.weight": torch.arange(6.0).reshape(2, 3),
    "null": torch.ones(1, dtype=torch.bfloat16),
}
HEADER = {"variant": "mlp", "layer": "20", "domain": "arith.mod7"}


def learn(store: Store, value: float, domain: str = "arith.mod7") -> StudentState:
    """Puts a layer full of `value` and advances to it."""
    head = store.head()
    cal = store.put_cal({"phi": torch.full((4,), value)}, HEADER)
    state = StudentState(
        parent=head,
        transfer=TransferId(f"t{value:.0f}"),
        at_s=value,
        note=f"learnt {value:.0f}",
        skills={**store.state(head).skills, domain: Skill(cal, (PACKET,), (KEY,))},
    )
    store.advance(state, expected=head)
    return state


def intact(root: Path) -> str:
    """HEAD, after everything it refers to was read and verified."""
    with Store(root) as store:
        for state in store.history():
            for skill in state.skills.values():
                store.get_cal(skill.cal)
        return store.head()


def test_a_new_store_begins_with_nothing_learnt(tmp_path: Path):
    with Store(tmp_path / "a") as one, Store(tmp_path / "b") as other:
        assert one.state(one.head()).skills == {}
        assert one.head() == other.head()


def test_a_layer_comes_back_as_it_was_put(tmp_path: Path):
    with Store(tmp_path) as store:
        digest = store.put_cal(TENSORS, HEADER)
        tensors, header = store.get_cal(digest)
        assert store.put_cal(dict(reversed(TENSORS.items())), HEADER) == digest
    assert header == HEADER
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_a_layer_of_views_of_one_tensor_can_be_put(tmp_path: Path):
    shared = torch.arange(8.0)
    with Store(tmp_path) as store:
        tensors, _ = store.get_cal(store.put_cal({"a": shared[::2], "b": shared[1::2]}, {}))
    assert torch.equal(tensors["b"], shared[1::2])


def test_history_is_newest_first_and_survives_reopening(tmp_path: Path):
    with Store(tmp_path) as store:
        states = [learn(store, value) for value in (1.0, 2.0, 3.0)]
    with Store(tmp_path) as store:
        assert store.history()[:3] == tuple(reversed(states))
        assert store.history()[3].parent is None
        assert store.state(states[1].digest) == states[1]


def test_advance_refuses_when_head_has_moved_meanwhile(tmp_path: Path):
    with Store(tmp_path) as store:
        old = store.head()
        new = learn(store, 1.0)
        late = StudentState(parent=old, transfer=None, at_s=2.0, note="late")
        with pytest.raises(StoreError, match="decide again"):
            store.advance(late, expected=old)
        stranger = StudentState(parent=old, transfer=None, at_s=2.0, note="wrong parent")
        with pytest.raises(StoreError, match="parent"):
            store.advance(stranger, expected=new.digest)
        assert store.head() == new.digest


def test_of_many_threads_that_advance_from_one_head_one_succeeds(tmp_path: Path):
    with Store(tmp_path) as store:
        head, outcomes = store.head(), []

        def attempt(number: int) -> None:
            state = StudentState(parent=head, transfer=None, at_s=float(number), note=str(number))
            try:
                outcomes.append(store.advance(state, expected=head))
            except StoreError:
                outcomes.append(None)

        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [won for won in outcomes if won] == [store.head()]


def test_advance_refuses_a_layer_that_is_not_kept(tmp_path: Path):
    with Store(tmp_path) as store:
        head = store.head()
        skills = {"sort": Skill(digest_of(b"nowhere"), (PACKET,), (KEY,))}
        state = StudentState(parent=head, transfer=None, at_s=1.0, note="", skills=skills)
        with pytest.raises(NotFoundError):
            store.advance(state, expected=head)
        assert store.head() == head


def test_unlearning_and_going_back_are_steps_forward(tmp_path: Path):
    with Store(tmp_path) as store:
        state = learn(store, 1.0)
        without = store.unlearnt(packets={PACKET}, at_s=2.0)
        store.advance(without, expected=state.digest)
        assert store.state(store.head()).skills == {}
        first = store.history()[-1].digest
        store.advance(store.reverted(first, at_s=3.0), expected=without.digest)
        assert [past.at_s for past in store.history()] == [3.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize("folder", ["objects", "states", "packets"])
def test_a_flipped_bit_is_found_and_the_file_named(tmp_path: Path, folder: str):
    with Store(tmp_path) as store:
        state = learn(store, 1.0)
        store.packets.put(PACKET, b"envelope", b"payload")
        for file in (tmp_path / folder).iterdir():
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 4
            file.write_bytes(raw)
        reads = {
            "objects": lambda: store.get_cal(state.skills["arith.mod7"].cal),
            "states": lambda: store.state(state.digest),
            "packets": lambda: store.packets.get(PACKET),
        }
        with pytest.raises(StoreError, match=f"{folder}/.*"):
            reads[folder]()


def test_a_lost_or_broken_head_is_never_taken_for_a_new_student(tmp_path: Path):
    with Store(tmp_path) as store:
        state = learn(store, 1.0)
    head = tmp_path / "HEAD"
    head.unlink()
    with pytest.raises(StoreError, match=r"HEAD.*states/"):
        Store(tmp_path)
    head.write_bytes(b"\xff not a digest")
    with pytest.raises(StoreError, match="HEAD"):
        Store(tmp_path)
    head.write_text(state.digest)
    assert intact(tmp_path) == state.digest


def test_a_state_of_another_format_is_not_guessed_at(tmp_path: Path):
    with Store(tmp_path) as store:
        for raw in (json.dumps({"format": 2}).encode(), b"[]", b"{}"):
            digest = digest_of(raw)
            (tmp_path / "states" / f"{digest.removeprefix('b3:')}.json").write_bytes(raw)
            with pytest.raises(StoreError, match="format"):
                store.state(digest)


def test_one_writes_and_others_read(tmp_path: Path):
    with Store(tmp_path) as store:
        with pytest.raises(StoreError, match="writable=False"):
            Store(tmp_path)
        reader = Store(tmp_path, writable=False)
        state = learn(store, 1.0)
        assert reader.head() == state.digest
        with pytest.raises(StoreError, match="open for writing"):
            reader.put_cal(TENSORS, {})
    Store(tmp_path).close()


def test_a_reader_makes_no_store(tmp_path: Path):
    with pytest.raises(StoreError):
        Store(tmp_path / "none", writable=False)
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_written_to_leaves_the_student_as_it_was(tmp_path: Path):
    with Store(tmp_path) as store:
        head = store.head()
        (tmp_path / "objects").rmdir()
        (tmp_path / "objects").write_text("no folder")
        with pytest.raises(StoreError, match="permissions"):
            learn(store, 1.0)
        assert store.head() == head


OPENING = 1
"""Disk operations of opening a store that is there."""
STEPS = 12
"""Disk operations of one `learn`: four for each of the layer, the state and HEAD."""


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_disk_that_fails_at_any_step_leaves_the_old_state_or_the_new(tmp_path, steps):
    with Store(tmp_path) as store:
        old = learn(store, 1.0).digest
    with Store(tmp_path, disk=FailingDisk(OPENING + steps)) as store:
        if steps < STEPS:
            with pytest.raises(StoreError):
                learn(store, 2.0)
        else:
            learn(store, 2.0)
    # HEAD's name is in place from the eleventh step on.
    assert (intact(tmp_path) != old) == (steps >= 11)


@pytest.mark.parametrize("steps", range(STEPS))
def test_after_an_error_of_a_moment_head_is_where_it_was_and_the_next_attempt_succeeds(
    tmp_path, steps
):
    with Store(tmp_path) as store:
        old = learn(store, 1.0).digest
    with Store(tmp_path, disk=StumblingDisk(OPENING + steps)) as store:
        with pytest.raises(StoreError, match="Input/output"):
            learn(store, 2.0)
        assert store.head() == old
        assert learn(store, 2.0).digest == store.head()
    intact(tmp_path)


@pytest.mark.parametrize("steps", range(13))
def test_a_store_whose_making_was_cut_off_can_be_made_again(tmp_path, steps):
    try:
        Store(tmp_path, disk=FailingDisk(steps)).close()
    except StoreError:
        assert steps < 12
    with Store(tmp_path) as store:
        assert store.history()[0].skills == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from m2kt.store import Store
from tests.disks import FailingDisk
from tests.unit.test_store import OPENING, STEPS, learn

class DeadlyDisk(FailingDisk):
    def _step(self):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

for steps in range(STEPS):
    root = Path(sys.argv[1]) / str(steps)
    with Store(root) as store:
        learn(store, 1.0)
    child = os.fork()
    if child == 0:
        learn(Store(root, disk=DeadlyDisk(OPENING + steps)), 2.0)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def test_a_process_killed_at_any_step_leaves_the_old_state_or_the_new(tmp_path: Path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    for steps in range(STEPS):
        root = tmp_path / str(steps)
        intact(root)
        with Store(root) as store:
            assert len(store.history()) == (3 if steps >= 11 else 2)
        assert list(root.rglob("*.tmp")) == []
