"""A domain of chains from a TOML file: states, and a table for each operation.

    name = "colours.mix"
    symbols = ["r", "g", "b"]

    [[operations]]
    sign = "+"
    gloss = "{left} mixed with {right}"
    table = ["rbg", "brr", "grb"]     # a row for each state, a result for each operand

    [[operations]]
    sign = "!"
    gloss = "the opposite of {left}"
    operands = []                     # it takes nothing: a row of one result for each state
    table = ["g", "b", "r"]

Lists of single characters may be written as one text. `operands` are the symbols where
nothing else is said, and `longest`, the operations of the longest chain, is 4. With
`relational = true` concepts are the states and operations, not the facts that relate them.

Owns: `read`, and the errors of such a file. Does not own: what a chain is (chains).
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from m2kt.domains.chains import LONGEST_CHAIN, Chains, Operation
from m2kt.domains.relations import Relations
from m2kt.errors import RequestError

LARGEST: Final = 1_000_000
"""Bytes of the largest file that is read."""


def read(path: Path) -> Chains | Relations:
    """The domain that the file at `path` describes.

    Raises:
        RequestError: there is no such file, or it does not describe a domain.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise RequestError(f"expected at most {LARGEST} bytes in {path}, found more")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise RequestError(
            f"expected a domain in TOML at {path}, found: {error}; m2kt/domains/README.md shows one"
        ) from error
    _only(path, "the file", found, {"name", "symbols", "longest", "relational", "operations"})
    symbols = _texts(path, "symbols", found.get("symbols"))
    tables = found.get("operations")
    if not isinstance(tables, list) or not all(isinstance(its, dict) for its in tables):
        raise RequestError(f"expected [[operations]] in {path}, found {tables!r:.80}")
    operations = [_operation(path, its, symbols) for its in tables]
    name, longest = found.get("name"), found.get("longest", LONGEST_CHAIN)
    relational = found.get("relational", False)
    if not isinstance(name, str) or type(longest) is not int or type(relational) is not bool:
        raise RequestError(
            f"expected a text `name`, a whole number `longest` and `relational` true or false in"
            f" {path}, found {name!r:.80}, {longest!r:.80} and {relational!r:.80}"
        )
    chains = Chains(name, symbols, operations, longest=longest)
    return Relations(chains) if relational else chains


def _operation(path: Path, table: Mapping[str, Any], symbols: Sequence[str]) -> Operation:
    """One of the file's operations."""
    _only(path, "an operation", table, {"sign", "gloss", "operands", "table"})
    sign = table.get("sign")
    gloss = table.get("gloss", f"{{left}} {sign} {{right}}")
    if not isinstance(sign, str) or not isinstance(gloss, str):
        raise RequestError(f"expected texts for `sign` and `gloss` in {path}, found {sign!r:.80}")
    operands = _texts(path, "operands", table.get("operands", list(symbols))) or ("",)
    rows = table.get("table")
    if not isinstance(rows, list) or len(rows) != len(symbols):
        raise RequestError(
            f"expected a row for each of {len(symbols)} symbols in the table of {sign!r} in {path},"
            f" found {len(rows) if isinstance(rows, list) else repr(rows)[:80]}"
        )
    results: dict[tuple[str, str], str] = {}
    for left, row in zip(symbols, rows, strict=True):
        cells = _texts(path, f"row {left} of {sign}", row)
        if len(cells) != len(operands):
            raise RequestError(
                f"expected {len(operands)} results in row {left!r} of {sign!r} in {path}, found"
                f" {len(cells)}"
            )
        results |= {(left, right): cell for right, cell in zip(operands, cells, strict=True)}
    return Operation(sign, gloss, operands, results)


def _texts(path: Path, which: str, found: object) -> tuple[str, ...]:
    """A list of texts; a text stands for the list of its characters."""
    if isinstance(found, str):
        return tuple(found)
    if isinstance(found, list) and all(isinstance(its, str) for its in found):
        return tuple(found)
    raise RequestError(f"expected a list of texts for {which} in {path}, found {found!r:.80}")


def _only(path: Path, which: str, found: Mapping[str, Any], known: set[str]) -> None:
    """Refuses keys that mean nothing here: most are misspelt."""
    strange = sorted(set(found) - known)
    if strange:
        raise RequestError(
            f"expected only {', '.join(sorted(known))} in {which} of {path}, found"
            f" {', '.join(strange)[:80]}"
        )
