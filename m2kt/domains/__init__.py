"""The domains that this software knows, by name.

To add one of chains, write a TOML file (`README.md` here shows one) and `add` it, or leave
it in this folder. To add one of another kind, write a subclass of `Domain` in a file of its
own here, and give it a line in `_MADE`.

Owns: the table of names.
Does not own: what a domain is (domain).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from m2kt.domain import Domain
from m2kt.domains.definition import read
from m2kt.domains.digits import Digits
from m2kt.domains.folds import Folds
from m2kt.domains.formulas import Formulas
from m2kt.domains.relations import Relations
from m2kt.domains.tables import modular
from m2kt.errors import DomainError, RequestError

_MADE: Final[MappingProxyType[str, Callable[[], Domain]]] = MappingProxyType(
    {
        "arith.mod5": lambda: modular(5),
        "arith.mod7": lambda: modular(7),
        "arith.mod10": lambda: modular(10),
        "arith.mod97": lambda: Relations(modular(97, "+-", longest=1)),
        "arith.digits": Digits,
        "list.ops": Folds,
        "logic.prop": Formulas,
    }
)
_SHIPPED: Final = MappingProxyType(
    {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
)
_added: Final[dict[str, Domain]] = {}


def names() -> tuple[str, ...]:
    """Names of all domains."""
    return (*_MADE, *_SHIPPED, *_added)


def get(name: str) -> Domain:
    """The domain called `name`.

    Raises:
        DomainError: no domain has that name.
    """
    if name in _added:
        return _added[name]
    if name not in names():
        raise DomainError(
            f"expected one of the domains {', '.join(names())}, found {name[:80]!r};"
            " update this agent if its peer knows more, or name its TOML file in `domain_files`"
        )
    return _known(name)


@cache
def _known(name: str) -> Domain:
    return _MADE[name]() if name in _MADE else read(_SHIPPED[name])


def add(path: Path) -> Domain:
    """Makes the domain that a TOML file describes known to this process.

    Raises:
        RequestError: the file describes no domain, or the name is another domain's.
    """
    domain = read(path)
    if domain.name in _MADE or domain.name in _SHIPPED:
        raise RequestError(
            f"expected a new name in {path}, found that of a domain that comes with this software:"
            f" {domain.name}; choose another"
        )
    return _added.setdefault(domain.name, domain)
