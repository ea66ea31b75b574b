"""The domains that this software knows, by name.

To add one: write a subclass of `Domain` in a file of its own here, and give it a
line in `_DOMAINS`.

Owns: the table of names.
Does not own: what a domain is (domain).
"""

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Final

from m2kt.domain import Domain
from m2kt.domains.modular import ModularArithmetic
from m2kt.errors import DomainError

_DOMAINS: Final[MappingProxyType[str, Callable[[], Domain]]] = MappingProxyType(
    {
        "arith.mod5": lambda: ModularArithmetic(5),
        "arith.mod7": lambda: ModularArithmetic(7),
        "arith.mod10": lambda: ModularArithmetic(10),
    }
)


def names() -> tuple[str, ...]:
    """Names of all domains."""
    return tuple(_DOMAINS)


@cache
def get(name: str) -> Domain:
    """The domain called `name`.

    Raises:
        DomainError: no domain has that name.
    """
    if name not in _DOMAINS:
        raise DomainError(
            f"expected one of the domains {', '.join(_DOMAINS)}, found {name[:80]!r};"
            " update this agent if its peer knows more"
        )
    return _DOMAINS[name]()
