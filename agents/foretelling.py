"""What a student expects of teachers before it fetches a packet from them.

From each teacher it takes the card and a sample of its concepts, of itself the worker's
`Aptitude`. Nothing is kept, nothing is recorded.

Owns: `Foreteller`, `Exam`, `too_little`.
Does not own: the score (m2kt.transferability), fetching packets (fetching).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

from m2kt.errors import M2KTError, ShapeError
from m2kt.identity import AgentCard, AgentId
from m2kt.reasons import Reason
from m2kt.transferability import DEPTH_POWER, ConceptSample, Outlook, outlook

from .client import PeerClient
from .gathering import Refusal
from .learner import Aptitude, KeptCal
from .resources import StudentResources
from .views import Foretold, OutlookView

logger = logging.getLogger(__name__)

CARD_S: Final = 10.0
"""Deadline of asking for a card, in seconds."""

Kept = Callable[[str], Awaitable[tuple[KeptCal | None, str]]]
"""From a domain to the CAL of HEAD's skill in it, and the digest of HEAD; none while it learns."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """What a teacher shows of itself: a name that the student knows, and a sample."""

    teacher: str
    agent: AgentId
    sample: ConceptSample


@final
class Exam:
    """The student's aptitude: found out when it is first asked for, and once."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Aptitude]]) -> None:
        self._work = work
        self._found: asyncio.Task[Aptitude] | None = None

    async def aptitude(self) -> Aptitude:
        """What `Learner.aptitude` says, or the error that it raised."""
        if self._found is None:
            self._found = asyncio.create_task(self._work())
        return await asyncio.shield(self._found)  # others wait for it too


@final
class Foreteller:
    """Foretells for one student."""

    def __init__(self, resources: StudentResources, kept: Kept) -> None:
        self._resources = resources
        self._kept = kept

    async def foretell(self, domain: str, teachers: Sequence[str]) -> tuple[Foretold, ...]:
        """What to expect of each of `teachers`, in their order.

        Raises:
            CompatibilityError: the student cannot be examined in the domain.
            BusyError: the model is learning when the first sample is there.
        """
        exam = self.exam(domain)
        return tuple(
            await asyncio.gather(*(self.foretold(domain, address, exam) for address in teachers))
        )

    async def foretold(self, domain: str, address: str, exam: Exam) -> Foretold:
        """What to expect of the teacher at `address`; see `foretell`."""
        shown = await self._tried(address, domain)
        return _unseen(shown) if isinstance(shown, Refusal) else await self._weighed(shown, exam)

    def exam(self, domain: str) -> Exam:
        """The student's own half of what is foretold, for any number of teachers."""

        async def examined() -> Aptitude:
            kept, _ = await self._kept(domain)
            found: Aptitude = await self._resources.host.call("aptitude", domain, kept)
            return found

        return Exam(examined)

    async def _tried(self, address: str, domain: str) -> _Shown | Refusal:
        try:
            return await self._shown(address, domain)
        except M2KTError as error:
            logger.info("no outlook teacher=%s reason=%s detail=%s", address, error.reason, error)
            return Refusal(address, error.reason, str(error))

    async def _shown(self, address: str, domain: str) -> _Shown:
        async with PeerClient(address, tls=self._resources.tls) as peer:
            card = await peer.describe_teacher(timeout_s=CARD_S)
            agent = self._resources.credentials.trust.agent_of(card.key_id)
            patience_s = self._resources.limits.fetch_s  # the first who asks has it extracted
            sample = await peer.sample_concepts(domain, timeout_s=patience_s)
        _require_own(sample, card)
        return _Shown(address, agent, sample)

    async def _weighed(self, shown: _Shown, exam: Exam) -> Foretold:
        aptitude = await exam.aptitude()
        its = await asyncio.to_thread(outlook, shown.sample, **asdict(aptitude))
        least = self._resources.limits.min_outlook
        refused = its.gain < least
        return Foretold(
            teacher=shown.teacher,
            agent=shown.agent,
            outlook=OutlookView(
                before=its.before,
                recognised=its.recognised,
                depth=its.depth,
                steadiness=its.steadiness,
                gain=its.gain,
            ),
            reason=Reason.UNPROMISING if refused else None,
            detail=too_little(its, least) if refused else "",
        )


def _unseen(refusal: Refusal) -> Foretold:
    return Foretold(
        teacher=refusal.source,
        agent="",
        outlook=None,
        reason=refusal.reason,
        detail=refusal.detail,
    )


def _require_own(sample: ConceptSample, card: AgentCard) -> None:
    """Refuses a sample of another model than the card's, as far as the card tells of one.

    Raises:
        ShapeError: width or depth differ.
    """
    if card.model is None:
        return
    told, found = (card.model.hidden_size, card.model.layers), (sample.width, sample.depth)
    if told != found:
        raise ShapeError(
            f"expected a sample of width {told[0]} from {told[1]} layers, as the card says, found"
            f" width {found[0]} from {found[1]} layers; ask the teacher's operator"
        )


def too_little(its: Outlook, least: float) -> str:
    """Why nothing is fetched, and what would raise the smallest factor of the gain."""
    return (
        f"expected a gain of at least {least:.3f} before I fetch a packet, found {its.gain:.3f}"
        f" foretold ({its.before:.3f} right as I stand, {its.recognised:.3f} recognised, read at"
        f" {its.depth:.3f} of the depth, steadiness {its.steadiness:.3f}); lower `min_outlook` in"
        f" [limits], or {_remedy(its)}"
    )


def _remedy(its: Outlook) -> str:
    factors = (
        (1 - its.before, "ask about another domain: in this one little is left to learn"),
        (its.recognised, "choose another model for me: in this one's states concepts look alike"),
        (its.depth**DEPTH_POWER, "ask a teacher that reads its concepts nearer its last layer"),
        (its.steadiness, "ask a teacher whose concepts stay the same from context to context"),
    )
    return min(factors)[1]
