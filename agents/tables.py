"""Frozen dataclasses from parsed TOML: every key is known, every value of its type.

Owns: `built`.
Does not own: which tables there are (settings). Free of torch, of grpc and of Ray.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from m2kt.errors import RequestError

T = TypeVar("T")
Table = Mapping[str, Any]


def built(kind: type[T], table: Table, *, where: str) -> T:
    """A frozen dataclass from a table; nested ones from nested tables.

    Raises:
        RequestError: a key that `kind` does not have, a missing one, or a value of another type.
    """
    known = {item.name: item for item in fields(kind) if item.init}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(known))
    missing = sorted(name for name, item in known.items() if _required(item) and name not in table)
    if unknown or missing:
        raise RequestError(
            f"expected {where} with keys from {', '.join(known)}, found"
            f" {'unknown ' + ', '.join(unknown) if unknown else 'no ' + ', '.join(missing)};"
            " correct the file"
        )
    hints = get_type_hints(kind)
    values = {k: _converted(v, hints[k], f"{where} {k}") for k, v in table.items()}
    return kind(**values)


def _required(item: "Field[Any]") -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _converted(value: Any, hint: Any, where: str) -> Any:  # noqa: ANN401
    """`value` as TOML has it, as `hint` wants it."""
    hint = getattr(hint, "__supertype__", hint)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()
    if options:
        chosen = [option for option in options if option is not type(None)]
        return _converted(value, chosen[0], where)
    origin = get_origin(hint) or hint
    if is_dataclass(origin) and isinstance(value, Mapping):
        return built(origin, value, where=where)  # type: ignore[arg-type]
    if origin in (tuple, frozenset, set) and isinstance(value, list):
        return origin(_converted(item, get_args(hint)[0], where) for item in value)
    return _scalar(value, origin, where)


def _scalar(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401
    if kind is float and type(value) is int:
        return float(value)
    if kind in (str, int, float, bool) and type(value) is kind:
        return value
    if isinstance(kind, type) and isinstance(value, str) and issubclass(kind, StrEnum | Path):
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(kind)  # type: ignore[arg-type]
            raise RequestError(
                f"expected {where} to be one of {choices}, found {value!r}; correct the file"
            ) from None
    if _is_mapping(kind) and isinstance(value, Mapping):
        return dict(value)
    raise RequestError(
        f"expected {where} to be of type {getattr(kind, '__name__', kind)}, found {value!r}"
        f" ({type(value).__name__}); correct the file"
    )


def _is_mapping(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)
