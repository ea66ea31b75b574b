"""Tiny packets on their way through screening, for the tests that need one."""

from dataclasses import replace

from m2kt import domains
from m2kt.digest import digest_of
from m2kt.domain import Step, Trace
from m2kt.identity import AgentId, PacketId
from m2kt.packet import AuthenticPacket, KnowledgePacket, ScreenedPacket
from m2kt.screen import ScreenRules, screen
from m2kt.verdict import Rejected
from tests.packets import TEACHER, signer, tiny_packet

DOMAIN = domains.get("arith.mod7")


def authentic(
    packet: KnowledgePacket, name: str = "a", teacher: AgentId = TEACHER, organisation: str = ""
) -> AuthenticPacket:
    """As if `packet` had come with a good signature, under ids made of `name`."""
    return AuthenticPacket(
        packet_id=PacketId(digest_of(b"manifest", name.encode())),
        content_digest=digest_of(b"content", name.encode()),
        teacher=teacher,
        signers=(signer().key_id,),
        organisation=organisation,
        bytes_on_wire=1,
        packet=packet,
    )


def passed(
    packet: KnowledgePacket, name: str = "a", organisation: str = "", **rules
) -> ScreenedPacket:
    """The screened packet; fails if it is rejected."""
    its = authentic(packet, name, organisation=organisation)
    outcome = screen(its, DOMAIN, ScreenRules(**rules))
    assert isinstance(outcome, ScreenedPacket), outcome
    return outcome


def refused(packet: KnowledgePacket, **rules) -> Rejected:
    """The rejection; fails if the packet passes."""
    outcome = screen(authentic(packet), DOMAIN, ScreenRules(**rules))
    assert isinstance(outcome, Rejected), "the packet passed"
    return outcome


def with_vectors(packet: KnowledgePacket, exemplars) -> KnowledgePacket:
    """`packet` with other exemplars, and their means for concepts."""
    return replace(packet, exemplars=exemplars, means=exemplars.mean(dim=1))


def lying(trace: Trace) -> Trace:
    """A trace of the same form that gets its last step and its answer wrong."""
    last = trace.steps[-1]
    wrong = DOMAIN.symbols[(DOMAIN.symbols.index(last.result) + 1) % len(DOMAIN.symbols)]
    step = Step(last.rule, last.operands, wrong, last.stem, last.concept)
    return Trace(trace.question, (*trace.steps[:-1], step), wrong)


__all__ = ["DOMAIN", "authentic", "lying", "passed", "refused", "tiny_packet", "with_vectors"]
