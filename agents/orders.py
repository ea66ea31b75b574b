"""What a student was asked to learn, in the form in which its journal keeps it.

Owns: `LearnOrder` and its JSON, `collection_of`. Free of torch.
Does not own: carrying it out (transfers).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from m2kt.digest import digest_of
from m2kt.errors import RequestError, StoreError
from m2kt.identity import KeyId, PacketId, TransferId
from m2kt.journal import Transfer

MOST_TEACHERS: Final = 16
MOST_KEY_CHARACTERS: Final = 64
_PACKET: Final = "packet "
_LATER: Final = ("quorum", "collect_s", "follow_up", "follows", "packets", "unlearnt")
"""Fields that the first orders did not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnOrder:
    """What to learn, and from whom.

    Attributes:
        domain: Name of the domain.
        key: Idempotency key: an equal key names the same transfer.
        teachers: Addresses of teachers to ask, `host:port`.
        broker: Address of a broker; empty for none.
        discover: Whether to ask the broker for more teachers and for packets.
        strategy: How to combine packets; empty for the student's own rule.
        pushed: Whether the teacher brings its packet itself.
        quorum: Authentic packets of different content that are wanted; the student's own
            number is the least.
        collect_s: Seconds for collecting packets; 0 to wait for all sources.
        follow_up: Whether to learn as soon as `quorum` is met, and from the others later.
        follows: The transfer whose late packets this order takes; None if it takes nobody's.
        packets: Ids of packets that the broker keeps and that are to be fetched.
        unlearnt: Packets and keys that were un-learnt: what else the present skill was learnt
            from, and is kept, is aligned anew, from nothing.
    """

    domain: str
    key: str
    teachers: tuple[str, ...] = ()
    broker: str = ""
    discover: bool = False
    strategy: str = ""
    pushed: bool = False
    quorum: int = 0
    collect_s: float = 0.0
    follow_up: bool = False
    follows: TransferId | None = None
    packets: tuple[PacketId, ...] = ()
    unlearnt: tuple[PacketId | KeyId, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= MOST_KEY_CHARACTERS:
            raise RequestError(
                f"expected an idempotency key of 1 to {MOST_KEY_CHARACTERS} characters, found"
                f" {len(self.key)}; choose one for each request, such as a random UUID"
            )
        if len(self.teachers) > MOST_TEACHERS and not self.follows:
            raise RequestError(
                f"expected at most {MOST_TEACHERS} teachers, found {len(self.teachers)}; learn from"
                " some of them first"
            )
        named = self.teachers or self.packets or self.unlearnt
        somebody = named or self.pushed or (self.discover and self.broker)
        if not somebody:
            raise RequestError(
                "expected addresses of teachers, or a broker and discover = true, found neither;"
                " name somebody to learn from"
            )
        self._require_possible()

    def _require_possible(self) -> None:
        if not 0 <= self.collect_s < math.inf:
            raise RequestError(
                f"expected collect_s of 0 seconds or more, found {self.collect_s}; 0 waits for all"
            )
        anybody = self.discover or self.follows
        if not anybody and self.quorum > max(1, len(self.teachers)):
            raise RequestError(
                f"expected a quorum of at most {max(1, len(self.teachers))}, as many as there are"
                f" teachers, found {self.quorum}; name more teachers, or a broker that knows some"
            )

    def quorum_for(self, own: int) -> int:
        """Different contents without which nothing is learnt, if the student itself wants `own`."""
        return max(own, self.quorum)

    def patience_s(self, own_s: float) -> float | None:
        """Seconds for collecting, at most `own_s`; None to wait for every source."""
        return min(self.collect_s, own_s) if self.collect_s else None

    def following(self, transfer: TransferId, late: Sequence[str]) -> "LearnOrder":
        """The order that takes what comes later of `late`, sources of `transfer`, this one's."""
        packets = [source for source in late if source.startswith(_PACKET)]
        return replace(
            self,
            key=digest_of(b"follow-up/", self.key.encode()).removeprefix("b3:"),
            teachers=tuple(source for source in late if source not in packets),
            packets=tuple(PacketId(source.removeprefix(_PACKET)) for source in packets),
            discover=False,
            collect_s=0.0,
            follow_up=False,
            follows=transfer,
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Who is named: addresses of teachers, then packets."""
        return (*self.teachers, *map(packet_source, self.packets))

    def to_json(self) -> str:
        """As JSON; inverse of `order_from_json`.

        What an order does not ask for is left out: a later version of this software may know
        more to ask for, and must find the same order under the same key.
        """
        asked = asdict(self)
        said = {f.name: asked[f.name] for f in fields(self) if f.name not in _LATER}
        said |= {name: asked[name] for name in _LATER if asked[name]}
        return json.dumps(said, sort_keys=True)


def order_from_json(text: str) -> LearnOrder:
    """From JSON; inverse of `LearnOrder.to_json`.

    Raises:
        StoreError: it is no order, or one of a newer version of this software.
    """
    try:
        found = json.loads(text)
        named = {name: tuple(found.get(name, ())) for name in ("teachers", "packets", "unlearnt")}
        return LearnOrder(**{**found, **named})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"expected an order to learn, found {str(error)[:200]}; update this software, or"
            " restore the journal from a backup"
        ) from error


def packet_source(packet: PacketId) -> str:
    """The name of a packet that a broker keeps, as a source beside addresses of teachers."""
    return f"{_PACKET}{packet}"


def collection_of(record: Transfer) -> TransferId:
    """The transfer under whose id the spool and the journal have what is collected for `record`.

    A follow-up goes on with what the pulls of the first transfer have begun.
    """
    return order_from_json(record.request.decode()).follows or record.id
