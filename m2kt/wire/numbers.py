"""Numbers of the protocol's enumerations, read strictly.

Owns: `value_of`. Does not own: the tables, which lie beside what they are for.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from m2kt.errors import PacketError

T = TypeVar("T")


def value_of(table: Mapping[Any, T], number: int, what: str) -> T:
    """What `number` stands for.

    Raises:
        PacketError: nothing that this version of the protocol knows.
    """
    if number not in table:
        raise PacketError(
            f"expected {what} of 1 to {len(table)}, found {number}; speak the same version of the"
            " protocol"
        )
    return table[number]
