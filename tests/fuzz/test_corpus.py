"""Every case that is kept ends well; a bug that is planted is found, told and shown again."""

import random
import time

import pytest

from m2kt.digest import digest_of
from m2kt.errors import M2KTError, PacketError
from m2kt.wire.files import read_packet_file
from m2kt.wire.packets import parse_packet
from tests.fuzz.__main__ import Run, main, names
from tests.fuzz.corpus import MOST_BYTES, cases, keep
from tests.fuzz.packing import GOLDEN, resealed
from tests.fuzz.targets import TARGETS, written
from tests.fuzz.watching import LIMIT_BYTES, LIMIT_S, fault
from tests.sealing import Student


@pytest.mark.parametrize("name", TARGETS)
def test_every_case_that_is_kept_ends_well(name):
    assert cases(name), "python -m tests.fuzz.corpus writes examples"
    found = {path.name: fault(TARGETS[name].read, path.read_bytes()) for path in cases(name)}
    assert {case: what for case, what in found.items() if what} == {}


def test_the_corpus_is_small_and_its_files_have_the_names_of_their_bytes():
    kept = [path for name in TARGETS for path in cases(name)]
    assert sum(path.stat().st_size for path in kept) < MOST_BYTES
    wrong = [path for path in kept if digest_of(path.read_bytes())[3:35] != path.name]
    assert wrong == []
    assert names() == sorted(TARGETS), "a folder without its target"


def raises(raw: bytes) -> None:
    if b"\xff" in raw:
        raise ValueError("planted")


def dawdles(_: bytes) -> None:
    time.sleep(2 * LIMIT_S)


def holds(_: bytes) -> bytearray:
    return bytearray(LIMIT_BYTES * 5 // 4)


def lets_go(_: bytes) -> int:
    return len(bytearray(LIMIT_BYTES * 5 // 4))


def says_nothing(_: bytes) -> None:
    raise PacketError("")


PLANTED = {
    raises: "ValueError: planted at test_corpus.py",
    dawdles: "took 20",
    holds: "MiB of memory, more than 64",
    lets_go: "MiB of memory, more than 64",
    says_nothing: "PacketError without a reason",
}


@pytest.mark.parametrize(("planted", "told"), PLANTED.items())
def test_a_bug_that_is_planted_is_found(planted, told):
    assert told in fault(planted, b"\xff")


def test_what_is_refused_with_a_reason_is_no_bug():
    def refuses(_: bytes) -> None:
        raise PacketError("expected this, found that")

    assert fault(refuses, b"") == fault(len, b"") == ""


def test_a_bug_is_told_with_the_command_that_shows_it_again(tmp_path, capsys):
    run, file = Run("text"), keep(b"arith.mod7", tmp_path)
    run.read(f'BUG {{"what": "ValueError: x", "file": "{file}"}}')
    [bug] = run.bugs
    words = bug.command.split()
    assert words[:3] == ["python", "-m", "tests.fuzz"]
    assert main(words[3:]) == 0, "the case is right: nothing is wrong with it"
    assert "success" in capsys.readouterr().out


def test_a_changed_packet_gets_past_the_signature_and_to_the_tensors():
    rng, authentic, read = random.Random(1), 0, 0
    golden = (GOLDEN / "packet-f32.m2kt").read_bytes()
    for _ in range(200):
        path = written(resealed(golden, rng), "changed.m2kt")
        try:
            payload = Student().receives(*read_packet_file(path))
            authentic += 1
            read += bool(parse_packet(payload))
        except M2KTError:
            continue
    assert authentic > 60
    assert 20 < read < authentic
