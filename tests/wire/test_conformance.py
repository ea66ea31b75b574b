"""The wire format as others must read it: frozen vectors, our own reader, and a second one.

A failure means that two implementations of one protocol would no longer agree. If a vector
was meant to change, it is another version: `proto/README.md` has the rules.
"""

import ast
import json
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

from m2kt.reasons import Reason
from tests.wire import conformance, reader_ours, reader_stubs, stub_envelopes, stub_packets
from tests.wire.vectors import Vector, frozen
from tests.wire.vectors_agents import agent_vectors
from tests.wire.vectors_content import content_vectors
from tests.wire.vectors_manifest import manifest_vectors
from tests.wire.vectors_receipts import receipt_vectors
from tests.wire.vectors_signed import signed_vectors

QUESTIONS = {asked["name"]: (asked, expected) for asked, expected in conformance.questions()}
READING = {
    *(Reason.UNKNOWN_KEY, Reason.REVOKED_KEY, Reason.WEAK_KEY, Reason.BAD_SIGNATURE),
    *(Reason.EXPIRED, Reason.NOT_YET_VALID, Reason.REPLAYED, Reason.WRONG_AUDIENCE),
    *(Reason.WRONG_NONCE, Reason.PROTOCOL, Reason.MALFORMED, Reason.OVERSIZE, Reason.BAD_SHAPE),
    *(Reason.CHUNK_MISMATCH, Reason.INCOMPLETE, Reason.INVALID_ARGUMENT),
}
"""What may be said of something that was not read to its end."""
LIAR = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"name": json.loads(line)["name"], "result": "accepted"}), flush=True)
"""


@cache
def vectors() -> tuple[Vector, ...]:
    made = (content_vectors(), signed_vectors(), manifest_vectors())
    said = (receipt_vectors(), agent_vectors())
    return tuple(its for some in (*made, *said) for its in some)


def command(*words: str) -> str:
    return shlex.join((sys.executable, *words))


def test_the_vectors_are_as_they_were_frozen(golden):
    files = dict(frozen(vectors()))
    for name, raw in files.items():
        golden(conformance.FOLDER / name, raw)
    stray = {path.name for path in conformance.FOLDER.iterdir()} - set(files)
    assert stray == set(), "files of no vector; delete them"


def test_there_are_vectors_for_every_reason_that_a_reader_has():
    names = [its.name for its in vectors()]
    assert len(set(names)) == len(names)
    told = {its.expected.get("reason") for its in vectors()} - {None}
    assert told == {reason.value for reason in READING}
    good = {its.kind for its in vectors() if its.expected["result"] == "accepted"}
    bad = {its.kind for its in vectors() if its.expected["result"] == "rejected"}
    assert good == bad == set(reader_ours.READERS) == set(reader_stubs.READERS)


def test_the_vectors_are_few_bytes():
    assert sum(path.stat().st_size for path in conformance.FOLDER.iterdir()) < 350_000


@pytest.mark.parametrize("name", QUESTIONS)
def test_our_reader_reads_it_as_it_should_be_read(name):
    asked, expected = QUESTIONS[name]
    found = json.loads(json.dumps(reader_ours.answer(asked)))
    assert conformance.agrees(expected, found), (expected, found)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_reader_written_from_the_specification_reads_it_so_too(name):
    asked, expected = QUESTIONS[name]
    found = json.loads(json.dumps(reader_stubs.answer(asked)))
    assert conformance.agrees(expected, found), (expected, found)


def test_the_second_reader_shares_nothing_with_ours_but_the_generated_stubs():
    parts, found = (reader_stubs, stub_packets, stub_envelopes), set[str]()
    for module in parts:
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
    foreign = {its for its in found if its.split(".")[0] not in sys.stdlib_module_names}
    allowed = ("m2kt.wire.v1", "cryptography.", "blake3", "numpy", "google.protobuf.message")
    own = {module.__name__ for module in parts}
    assert {its for its in foreign if not its.startswith(allowed)} <= own
    assert "m2kt.wire.v1" in foreign, "it must read with the stubs"


def test_a_reader_is_plugged_in_by_one_command(capsys):
    reader = command("-m", "tests.wire.reader_stubs")
    assert conformance.main(["--reader", reader, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"vectors": len(QUESTIONS), "differ": []}


def test_a_reader_that_accepts_everything_differs_in_every_vector(capsys):
    assert conformance.main(["--reader", command("-c", LIAR), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [its["name"] for its in told["differ"]] == list(QUESTIONS)


@pytest.mark.parametrize("program", ["", "print('no JSON')", "print(7)", "raise SystemExit(3)"])
def test_a_reader_that_ends_or_says_no_json_differs(program, capsys):
    assert conformance.main(["--reader", command("-c", program)]) == 1
    assert f"0 of {len(QUESTIONS)} vectors" in capsys.readouterr().out


def test_a_reader_that_does_not_answer_is_ended():
    silent = command("-c", "import time; time.sleep(600)")
    assert len(list(conformance.differences(silent, timeout_s=0.5))) == len(QUESTIONS)


def test_a_command_that_starts_nothing_is_an_error():
    with pytest.raises(SystemExit) as ended:
        conformance.main(["--reader", "/no/such/reader"])
    assert ended.value.code == 2


def test_answers_may_be_off_by_a_millionth_and_say_more():
    expected = {"sum": 2.0, "shape": [2, 3]}
    assert conformance.agrees(expected, {"sum": 2.000001, "shape": [2, 3], "more": 1})
    assert not conformance.agrees(expected, {"sum": 2.0001, "shape": [2, 3]})
    assert not conformance.agrees(expected, {"sum": 2.0, "shape": [3, 2]})
    assert not conformance.agrees(expected, {"sum": 2.0})
    assert not conformance.agrees({"sum": 1.0}, {"sum": None})
