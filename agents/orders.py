"""What a student was asked to learn, in the form in which its journal keeps it.

Owns: `LearnOrder` and its JSON. Free of torch.
Does not own: carrying it out (transfers).
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Final

from m2kt.errors import RequestError

MOST_TEACHERS: Final = 16
MOST_KEY_CHARACTERS: Final = 64
_LATER: Final = ("quorum", "collect_s")
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
        somebody = self.teachers or self.pushed or (self.discover and self.broker)
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
        if not self.discover and self.quorum > max(1, len(self.teachers)):
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
    """From JSON; inverse of `LearnOrder.to_json`."""
    found = json.loads(text)
    return LearnOrder(**{**found, "teachers": tuple(found["teachers"])})
