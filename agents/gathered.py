"""What came of the sources of a transfer: authentic packets, and refusals.

Owns: `Received`, `Refusal`, `Gathered`.
Does not own: asking the sources (fetching), what becomes of what came (transfers).
"""

from collections.abc import Collection
from dataclasses import dataclass

from m2kt.digest import Digest
from m2kt.packet import AuthenticPayload
from m2kt.reasons import Reason


@dataclass(frozen=True, slots=True)
class Received:
    """The packet of one source."""

    source: str
    payload: AuthenticPayload


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing came of one source of packets."""

    source: str
    reason: Reason
    detail: str


Result = Received | Refusal
"""What comes of one source."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of all sources, in the order in which they were named.

    Attributes:
        results: One for each source that is over.
        late: Sources from which something may still come.
    """

    results: tuple[Result, ...]
    late: tuple[str, ...] = ()

    @property
    def received(self) -> tuple[Received, ...]:
        """What came."""
        return tuple(result for result in self.results if isinstance(result, Received))

    @property
    def payloads(self) -> tuple[AuthenticPayload, ...]:
        """The packets that came."""
        return tuple(its.payload for its in self.received)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why nothing came of the others."""
        return tuple(result for result in self.results if isinstance(result, Refusal))

    @property
    def contents(self) -> int:
        """How many different contents came: a copy is no second opinion."""
        return len({payload.content_digest for payload in self.payloads})

    def without(self, known: Collection[Digest]) -> "Gathered":
        """The same, with packets refused whose contents are among `known`."""

        def only_new(its: Result) -> Result:
            if isinstance(its, Refusal) or its.payload.content_digest not in known:
                return its
            detail = (
                f"expected another content than the first lesson had, found"
                f" {its.payload.content_digest} of {its.payload.teacher} again; name a teacher once"
            )
            return Refusal(its.source, Reason.REPLAYED, detail)

        return Gathered(tuple(map(only_new, self.results)), self.late)

    def summary(self, *, enough: bool) -> str:
        """What became of every source; `enough` says whether it is learnt from what came."""
        first: dict[Digest, Received] = {}
        for its in self.received:
            first.setdefault(its.payload.content_digest, its)

        def fate(its: Result) -> str:
            if isinstance(its, Refusal):
                return f"{its.source} {its.reason}"
            whose, use = its.payload, "used" if enough else "not used"
            if (copied := first[whose.content_digest]) is not its:
                use += f", a copy of packet {copied.payload.packet_id}"
            return f"{its.source} ({whose.teacher}, packet {whose.packet_id}) {use}"

        used = len(self.received) if enough else 0
        told = [*map(fate, self.results), *(f"{source} later" for source in self.late)]
        return f"used {used} of {len(told)} sources: {'; '.join(told)}"
