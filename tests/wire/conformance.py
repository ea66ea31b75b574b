"""Holds any reader of the wire format against the frozen vectors.

    python -m tests.wire.conformance --reader "COMMAND" [--json] [--timeout SECONDS]

COMMAND is started once. It reads one JSON object a line and answers each with one, flushed:

    {"name": "...", "kind": "packet", "envelope": "BASE64", "payload": "BASE64", "context": {...}}
    {"name": "...", "result": "rejected", "reason": "EXPIRED"}
    {"name": "...", "result": "accepted", "packet_id": "b3:...", ...}

An answer must have every fact that the vector expects; numbers may be off by 1e-6 of their
size. The exit code is 1 if anything differs or the reader ends too soon.

Owns: this conversation.
Does not own: the vectors (vectors), our own reader (reader_ours).
"""

import argparse
import base64
import contextlib
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent / "golden" / "conformance"
OURS = f"{shlex.quote(sys.executable)} -m tests.wire.reader_ours"
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """A vector and what the reader made of it."""

    name: str
    expected: Mapping[str, Any]
    found: Mapping[str, Any]


def questions(folder: Path = FOLDER) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What a reader is asked, and what it should answer."""
    table = json.loads((folder / "vectors.json").read_text("utf-8"))
    for its in table["vectors"]:
        asked = {"name": its["name"], "kind": its["kind"]}
        for part, file in its.get("files", {}).items():
            raw = (folder / file).read_bytes() + bytes(its.get("zeros", {}).get(part, 0))
            asked[part] = base64.b64encode(raw).decode()
        asked["context"] = {**table["defaults"], **its.get("context", {})}
        yield asked, its["expected"]


def agrees(expected: Any, found: Any) -> bool:
    """Whether `found` has all that is expected: names exactly, numbers closely."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and agrees(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(expected == found)


def differences(command: str, *, timeout_s: float = 300.0) -> Iterator[Difference]:
    """What the reader that `command` starts reads otherwise."""
    pipe = subprocess.PIPE
    reader = subprocess.Popen(shlex.split(command), stdin=pipe, stdout=pipe, text=True)
    late = Timer(timeout_s, reader.kill)
    late.start()
    try:
        for asked, expected in questions():
            found = _answer(reader, asked)
            if not agrees({"name": asked["name"], **expected}, found):
                yield Difference(asked["name"], expected, found)
    finally:
        late.cancel()
        reader.kill()
        with contextlib.suppress(OSError):  # what it would not read is still to be written
            reader.communicate()


def _answer(reader: "subprocess.Popen[str]", asked: Mapping[str, Any]) -> dict[str, Any]:
    assert reader.stdin
    assert reader.stdout
    try:
        reader.stdin.write(json.dumps(asked) + "\n")
        reader.stdin.flush()
    except OSError:
        return {"error": "the reader has ended"}
    line = reader.stdout.readline()
    try:
        found = json.loads(line)
    except ValueError:
        return {"error": f"no JSON object on a line: {line[:80]!r}"}
    return found if isinstance(found, dict) else {"error": f"no JSON object: {line[:80]!r}"}


def table_of(found: Sequence[Difference]) -> Table:
    """Vectors that were read otherwise, for a person."""
    table = Table("vector", "expected", "found")
    for its in found:
        facts = {k: v for k, v in its.expected.items() if not agrees(v, its.found.get(k))}
        other = {k: its.found.get(k) for k in facts} if "error" not in its.found else its.found
        table.add_row(its.name, json.dumps(facts), json.dumps(other | _reason(its.found)))
    return table


def _reason(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": found["reason"]} if "reason" in found else {}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wire.conformance")
    parser.add_argument("--reader", default=OURS, help="Command that starts it; default: ours.")
    parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")
    parser.add_argument("--timeout", type=float, default=300.0, help="Seconds for all vectors.")
    told = parser.parse_args(arguments)
    count = sum(1 for _ in questions())
    try:
        found = list(differences(told.reader, timeout_s=told.timeout))
    except OSError as error:
        parser.error(f"expected a command that starts a reader, found {error}; correct --reader")
    if told.json:
        differ = [{"name": d.name, "expected": d.expected, "found": d.found} for d in found]
        sys.stdout.write(json.dumps({"vectors": count, "differ": differ}, indent=1) + "\n")
    else:
        if found:
            Console().print(table_of(found))
        Console().print(f"{count - len(found)} of {count} vectors are read as they should be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
