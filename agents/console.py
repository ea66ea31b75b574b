"""What the command line writes: one JSON document on stdout, all else on stderr.

Owns: the two consoles, how an error looks, exit codes.
Does not own: what a command does (cli and its parts).
"""

import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from m2kt import errors
from m2kt.errors import M2KTError

DECLINED: Final = 1
"""Exit code when the answer is a well-founded no: a rejected packet, a failed check."""

EXIT_CODES: Final[Mapping[type[M2KTError], int]] = {
    errors.RequestError: 2,
    errors.PacketError: 3,
    errors.TrustError: 4,
    errors.CompatibilityError: 5,
    errors.AlignmentError: 5,
    errors.StoreError: 6,
    errors.PeerError: 7,
    errors.M2KTError: 70,
}

_PARTS: Final = re.compile(
    r"expected (?P<expected>.*?), found (?P<found>.*?)(?:; (?P<remedy>.*))?", re.S
)

# Terminals that are not one get lines of a hundred columns, not of eighty.
_WIDTH: Final = None if sys.stdout.isatty() else 100

out: Final = Console(width=_WIDTH)
err: Final = Console(stderr=True, width=_WIDTH)


def exit_code(error: M2KTError) -> int:
    """The exit code of the nearest base in the table."""
    return next(EXIT_CODES[base] for base in type(error).__mro__ if base in EXIT_CODES)


def show_error(error: M2KTError, *, as_json: bool) -> None:
    """Says what was expected, what was found, and the remedy."""
    if as_json:
        emit({"error": {"reason": error.reason.value, "message": str(error)}})
        return
    err.print(Text(error.reason.value, style="bold red"))
    match = _PARTS.fullmatch(str(error))
    if match is None:
        err.print(Text(str(error), style="red"))
        return
    table = Table.grid(padding=(0, 2))
    for name, text in match.groupdict().items():
        if text:
            table.add_row(Text(name, style="dim"), Text(text, style="red"))
    err.print(table)


def emit(document: object) -> None:
    """Writes one JSON document to stdout."""
    sys.stdout.write(json.dumps(plain(document), indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Writes one line of progress to stderr."""
    err.print(f"[dim]{escape(message)}[/dim]", highlight=False)


def plain(value: object) -> Any:  # noqa: ANN401
    """`value` in terms of JSON: dataclasses become objects, keys become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, StrEnum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def cell(value: object) -> str:
    """A cell of a table in words."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table(title: str, *columns: str) -> Table:
    """An empty table in the style of all others; columns whose name begins with `#` are numbers."""
    made = Table(
        title=title,
        show_header=any(columns),
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        number = column.startswith("#")
        made.add_column(column.lstrip("#"), justify="right" if number else "left", overflow="fold")
    return made
