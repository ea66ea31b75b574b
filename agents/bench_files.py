"""Files of benchmarks: records as JSON, and the pages beside them.

Owns: `told`, `keep`, `page_file`, `read`, `draw`.
Does not own: what is in a record (m2kt.bench), what a page says (transfer_page, experiment_page).
"""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from m2kt.errors import RequestError

from . import console

Record = Mapping[str, Any]
Build = Callable[[Record], str]
"""From a record to its page."""


def told(record: Record) -> dict[str, Any]:
    """The record of a run that has just ended, and how it was made."""
    command = shlex.join(["m2kt", *sys.argv[1:]])
    how = {"command": command, "ended_at": datetime.now(UTC).isoformat()}
    made: dict[str, Any] = console.plain(how | dict(record))
    return made


def keep(out: Path | None, record: Record) -> None:
    """Writes the record to `out`, if that is wanted."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    console.say(f"the record stands in {out}")


def page_file(out: Path, html: Path | None) -> Path:
    """Where the page goes: beside the record `out`, if nobody says where.

    Raises:
        RequestError: it would take the record's place.
    """
    shown = html or out.with_suffix(".html")
    if shown.resolve() == out.resolve():
        raise RequestError(
            f"expected two files, found {out} for the record and for its page; name the page with"
            " --html, or the record NAME.json"
        )
    return shown


def read(file: Path) -> Record:
    """The record in `file`; what its parts are like is not asked here.

    Raises:
        RequestError: it holds no record that has a page.
    """
    remedy = "name the file that m2kt bench NAME --json FILE has written"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(
            f"expected a record as JSON in {file}, found {error}; {remedy}"
        ) from error
    if not isinstance(found, dict):
        raise RequestError(f"expected a record in {file}, found {found!r:.80}; {remedy}")
    known = _pages()
    stated = found.get("format")
    if not isinstance(stated, str) or stated not in known:
        raise RequestError(
            f"expected format {' or '.join(known)} in {file}, found {stated!r:.80}; {remedy}"
        )
    return found


def _pages() -> Mapping[Any, Build]:
    """How the page of each format is made."""
    from m2kt.bench.experiments.experiment import FORMAT as EXPERIMENT  # loads torch
    from m2kt.bench.transfer import FORMAT as TRANSFER

    from .experiment_page import build_experiment_page
    from .transfer_page import build_transfer_page

    return {TRANSFER: build_transfer_page, EXPERIMENT: build_experiment_page}


def draw(record: Record, file: Path) -> None:
    """Writes the page of `record`.

    Raises:
        RequestError: a part of the record is missing, or is not what it should be.
    """
    try:
        text = _pages()[record["format"]](record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RequestError(
            f"expected every part of a record, found {type(error).__name__} at {error};"
            " make the record anew with m2kt bench"
        ) from error
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    console.say(f"the page stands in {file}")
