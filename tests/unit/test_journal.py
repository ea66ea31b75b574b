"""The journal: nothing is lost, nothing is told twice, and no forbidden move is made."""

import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from m2kt.digest import digest_of
from m2kt.errors import NotFoundError, RequestError, StoreError
from m2kt.identity import PacketId, TransferId
from m2kt.journal import Journal, Transfer
from m2kt.progress import FINAL, MOVES, Progress, TransferState

T = TransferId("t-1")
S = TransferState
PACKET = PacketId(digest_of(b"manifest"))
WAY = (S.AUTHENTICATED, S.SCREENED, S.ALIGNING, S.VERIFYING, S.COMMITTED, S.ROLLED_BACK)


@pytest.fixture
def journal(tmp_path: Path):
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def offered(name: TransferId = T, request: bytes = b"request") -> Transfer:
    return Transfer(
        id=name, domain="arith.mod7", request=request, created_at_s=1.0, updated_at_s=1.0
    )


def begun(journal: Journal, name: TransferId = T, key: str | None = None):
    return journal.begin(offered(name), idempotency_key=key)


def move(journal: Journal, state: TransferState, name: TransferId = T):
    return journal.record(name, Progress(f"now {state}", {}, state), at_s=2.0)


def walk(journal: Journal, to: TransferState) -> None:
    """Begins a transfer and leads it to `to` on a way that is allowed."""
    begun(journal)
    if to in (S.REJECTED, S.FAILED):
        move(journal, to)
    elif to is not S.OFFERED:
        for state in WAY[: WAY.index(to) + 1]:
            move(journal, state)


def test_a_transfer_and_its_events_survive_reopening(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        begun(journal)
        news = Progress("all bytes are here", {"bytes": 12.0}, S.AUTHENTICATED)
        event = journal.record(T, news, at_s=2.0, packets=(PACKET,))
        journal.record(T, Progress("no", {}, S.REJECTED), at_s=3.0, outcome=b"receipt")
        before = journal.transfer(T), journal.events_after(T, 0)
    with Journal(tmp_path / "j") as journal:
        assert (journal.transfer(T), journal.events_after(T, 0)) == before
    transfer, events = before
    assert (transfer.state, transfer.packets, transfer.outcome) == (
        S.REJECTED,
        (PACKET,),
        b"receipt",
    )
    assert (transfer.created_at_s, transfer.updated_at_s) == (1.0, 3.0)
    assert [one.number for one in events] == [1, 2, 3]
    assert events[1] == event


@pytest.mark.parametrize("target", list(S))
@pytest.mark.parametrize("start", list(S))
def test_every_move_that_is_not_allowed_is_refused(journal: Journal, start, target):
    walk(journal, start)
    before = journal.transfer(T), journal.events_after(T, 0)
    stays = start == target and start not in FINAL
    if target in MOVES[start] or stays:
        assert move(journal, target).state is target
        assert journal.transfer(T).state is target
    else:
        with pytest.raises(StoreError, match=f"follow {start}"):
            move(journal, target)
        assert (journal.transfer(T), journal.events_after(T, 0)) == before


def test_news_without_a_state_move_nothing_and_end_with_the_transfer(journal: Journal):
    walk(journal, S.ALIGNING)
    event = journal.record(T, Progress("step 7", {"loss": 0.5}), at_s=3.0)
    assert (event.state, event.figures) == (S.ALIGNING, {"loss": 0.5})
    move(journal, S.FAILED)
    with pytest.raises(StoreError):
        journal.record(T, Progress("afterthought"), at_s=4.0)


@pytest.mark.parametrize("state", list(S))
def test_an_interrupted_transfer_begins_again_with_what_it_has(journal: Journal, state):
    walk(journal, state)
    if state in FINAL:
        with pytest.raises(StoreError, match="unfinished"):
            journal.reopen(T, at_s=9.0)
        assert journal.unfinished() == ()
        return
    assert [one.id for one in journal.unfinished()] == [T]
    found = journal.reopen(T, at_s=9.0)
    assert found.state is (S.OFFERED if state is S.OFFERED else S.AUTHENTICATED)
    assert journal.transfer(T).state is found.state
    assert journal.events_after(T, found.number - 1) == (found,)


def test_an_equal_request_of_one_key_is_one_transfer(journal: Journal):
    first = begun(journal, key="once")
    assert begun(journal, TransferId("t-2"), key="once") == first
    assert begun(journal, TransferId("t-3")).id == "t-3"
    assert begun(journal, TransferId("t-4")).id == "t-4"
    with pytest.raises(RequestError, match="new key"):
        journal.begin(offered(TransferId("t-5"), b"other"), idempotency_key="once")
    assert [one.id for one in journal.transfers()] == [T, "t-3", "t-4"]


def test_an_id_is_used_once_and_an_unknown_one_is_not_found(journal: Journal):
    begun(journal)
    with pytest.raises(StoreError):
        begun(journal)
    assert len(journal.events_after(T, 0)) == 1
    late = replace(offered(TransferId("t-2")), state=S.COMMITTED)
    with pytest.raises(StoreError, match="OFFERED"):
        journal.begin(late)
    nobody = TransferId("nobody")
    for ask in (
        lambda: journal.transfer(nobody),
        lambda: journal.events_after(nobody, 0),
        lambda: journal.reopen(nobody, at_s=1.0),
        lambda: move(journal, S.FAILED, nobody),
    ):
        with pytest.raises(NotFoundError):
            ask()


def test_a_packet_is_new_once_also_after_a_restart(tmp_path: Path):
    with Journal(tmp_path / "j") as journal:
        assert journal.admit(PACKET, 100.0)
        assert not journal.admit(PACKET, 900.0)
    with Journal(tmp_path / "j", skew_s=10.0) as journal:
        assert not journal.admit(PACKET, 100.0)
        assert journal.forget_expired(now_s=109.0) == 0
        assert not journal.admit(PACKET, 100.0)
        assert journal.forget_expired(now_s=111.0) == 1
        assert journal.admit(PACKET, 100.0)


def test_a_packet_is_noted_with_its_source_if_it_is_new(tmp_path: Path):
    other = PacketId(digest_of(b"other"))
    with Journal(tmp_path / "j") as journal:
        begun(journal)
        assert not journal.seen(PACKET)
        assert journal.collect(T, "b:2", PACKET, expires_at_s=100.0)
        assert not journal.collect(T, "a:1", PACKET, expires_at_s=100.0)
        assert journal.collect(T, "a:1", other, expires_at_s=100.0)
        assert journal.seen(PACKET)
        with pytest.raises(StoreError):
            journal.collect(TransferId("nobody"), "a:1", PacketId("x"), expires_at_s=1.0)
        assert not journal.seen(PacketId("x"))
    with Journal(tmp_path / "j") as journal:
        assert journal.collected(T) == {"b:2": PACKET, "a:1": other}
        assert journal.collected(TransferId("nobody")) == {}


def test_of_two_journals_on_one_file_one_admits_a_packet(tmp_path: Path):
    with Journal(tmp_path / "j") as one, Journal(tmp_path / "j") as other:
        admitted = []

        def offer(journal: Journal) -> None:
            for number in range(20):
                if journal.admit(PacketId(digest_of(bytes([number]))), 1.0):
                    admitted.append(number)

        threads = [threading.Thread(target=offer, args=(journal,)) for journal in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(admitted) == list(range(20))


def test_receipts_are_kept_once_and_in_order(journal: Journal):
    assert journal.record_receipt(b"second", at_s=1.0)
    assert journal.record_receipt(b"first", at_s=2.0)
    assert not journal.record_receipt(b"second", at_s=3.0)
    assert journal.receipts() == (b"second", b"first")


def test_events_of_several_threads_are_numbered_without_gaps(journal: Journal):
    walk(journal, S.ALIGNING)
    numbers: list[int] = []

    def report() -> None:
        for _ in range(25):
            numbers.append(journal.record(T, Progress("step"), at_s=3.0).number)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(5, 105))
    assert [event.number for event in journal.events_after(T, 4)] == list(range(5, 105))


WRITER = """
import itertools, sys
from m2kt.journal import Journal, Transfer
from m2kt.progress import Progress, TransferState
journal = Journal(__import__("pathlib").Path(sys.argv[1]))
for round in itertools.count():
    new = Transfer(id=f"t-{round}", domain="d", request=b"", created_at_s=1.0, updated_at_s=1.0)
    journal.begin(new)
    for state in ("AUTHENTICATED", "SCREENED", "ALIGNING", "VERIFYING", "COMMITTED"):
        event = journal.record(f"t-{round}", Progress(state, {}, TransferState(state)), at_s=2.0)
        print(event.transfer, event.number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_states_that_equal_their_events(tmp_path: Path):
    file = tmp_path / "j"
    command = [sys.executable, "-c", WRITER, str(file)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        told = [writer.stdout.readline().split() for _ in range(37)]
        writer.kill()
        told += [line.split() for line in writer.stdout if line.endswith("\n")]
    with Journal(file) as journal:
        for transfer in journal.transfers():
            events = journal.events_after(transfer.id, 0)
            assert [event.number for event in events] == list(range(1, len(events) + 1))
            assert events[-1].state is transfer.state
        for name, number in told:
            assert journal.events_after(name, int(number) - 1), "returned, and then lost"
        for transfer in journal.unfinished():
            journal.reopen(transfer.id, at_s=9.0)


class Watching(RuleBasedStateMachine):
    """A watcher that goes away and comes back, while things happen and the student restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = Journal(self.folder / "j")
        self.journal.begin(offered())
        self.happened = ["offered"]
        self.seen: list[str] = []
        self.last = 0

    @rule(message=st.text(max_size=5), state=st.none() | st.sampled_from(list(S)))
    def something_happens(self, message, state):
        try:
            self.journal.record(T, Progress(message, {}, state), at_s=2.0)
        except StoreError:
            return
        self.happened.append(message)

    @rule()
    def the_student_restarts(self):
        self.journal.close()
        self.journal = Journal(self.folder / "j")

    @rule(most=st.integers(0, 3))
    def the_watcher_reads_on(self, most):
        for event in self.journal.events_after(T, self.last)[:most]:
            self.seen.append(event.message)
            self.last = event.number

    @invariant()
    def nothing_is_missed_and_nothing_seen_twice(self):
        assert self.seen == self.happened[: len(self.seen)]
        rest = [event.message for event in self.journal.events_after(T, self.last)]
        assert self.seen + rest == self.happened

    def teardown(self):
        self.journal.close()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


Watching.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
TestWatching = Watching.TestCase
