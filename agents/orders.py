"""What a student was asked to learn, in the form in which its journal keeps it.

Owns: `LearnOrder` and its JSON. Free of torch.
Does not own: carrying it out (transfers).
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from m2kt.errors import RequestError
from m2kt.identity import KeyId, PacketId

MOST_TEACHERS: Final = 16
MOST_KEY_CHARACTERS: Final = 64


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
    unlearnt: tuple[PacketId | KeyId, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= MOST_KEY_CHARACTERS:
            raise RequestError(
                f"expected an idempotency key of 1 to {MOST_KEY_CHARACTERS} characters, found"
                f" {len(self.key)}; choose one for each request, such as a random UUID"
            )
        if len(self.teachers) > MOST_TEACHERS:
            raise RequestError(
                f"expected at most {MOST_TEACHERS} teachers, found {len(self.teachers)}; learn from"
                " some of them first"
            )
        somebody = self.teachers or self.pushed or self.unlearnt or (self.discover and self.broker)
        if not somebody:
            raise RequestError(
                "expected addresses of teachers, or a broker and discover = true, found neither;"
                " name somebody to learn from"
            )

    def to_json(self) -> str:
        """As JSON; inverse of `order_from_json`."""
        plain = asdict(self)
        if not self.unlearnt:  # as ever: an equal request has equal bytes, whoever entered it
            del plain["unlearnt"]
        return json.dumps(plain, sort_keys=True)


def order_from_json(text: str) -> LearnOrder:
    """From JSON; inverse of `LearnOrder.to_json`."""
    found = json.loads(text)
    lists = {name: tuple(found.get(name, ())) for name in ("teachers", "unlearnt")}
    return LearnOrder(**{**found, **lists})
