"""Numbers of the protocol's enumerations, read strictly.

Owns: `value_of`, and the numbers of reasons, which stand in many messages.
Does not own: the other tables, which lie beside what they are for.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from m2kt.errors import PacketError
from m2kt.reasons import Reason
from m2kt.wire.v1 import verdict_pb2

if TYPE_CHECKING:
    ReasonNumber: TypeAlias = verdict_pb2.Reason.ValueType
else:
    ReasonNumber = int

T = TypeVar("T")

_REASONS: Final = {n: Reason(x.removeprefix("REASON_")) for x, n in verdict_pb2.Reason.items() if n}


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


def reason_to_wire(reason: Reason) -> ReasonNumber:
    """The number of a reason."""
    return verdict_pb2.Reason.Value(f"REASON_{reason.value}")


def reason_from_wire(number: int) -> Reason:
    """The reason of a number.

    Raises:
        PacketError: there is no such reason.
    """
    return value_of(_REASONS, number, "a reason")
