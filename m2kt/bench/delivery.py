"""A packet on its way: sealed by its teacher, then authenticated and parsed by a student.

Owns: `Post`, `Delivery`. Does not own: what is in a packet (subjects, controls, threats), what a
student makes of it (screen, and all after it).
"""

from dataclasses import dataclass, field
from typing import Final, final

from m2kt.identity import AgentId, PacketId
from m2kt.packet import AuthenticPacket, KnowledgePacket
from m2kt.signing import Ed25519Signer
from m2kt.tensors import Dtype
from m2kt.trust import TrustStore
from m2kt.wire.admission import Expectations
from m2kt.wire.cards import envelope_from_bytes, envelope_to_bytes
from m2kt.wire.chunks import SealHeader, authenticate_whole, seal
from m2kt.wire.packets import encode_packet, parse_packet

STUDENT: Final = AgentId("bench-student")
NOW_S: Final = 1_800_000_000.0
"""The time at which packets are signed; any will do, as long as it is always the same."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """What a student holds of a packet before it has screened it.

    Attributes:
        envelope: The signed manifest, as a file has it.
        payload: The bytes that it is about.
        packet: Their content.
    """

    envelope: bytes = field(repr=False)
    payload: bytes | memoryview = field(repr=False)
    packet: AuthenticPacket = field(repr=False)

    @property
    def packet_id(self) -> PacketId:
        """Its name."""
        return self.packet.packet_id


@final
@dataclass(slots=True, eq=False)
class Post:
    """The way from one teacher, whose key the student trusts, to the student.

    Attributes:
        teacher: Who signs.
        organisation: Whose agent that is; empty for none.
        root: Whether it is a root of trust.
        sent: Number of packets so far.
    """

    teacher: AgentId
    organisation: str = ""
    root: bool = False
    sent: int = 0
    _signer: Ed25519Signer = field(default_factory=Ed25519Signer.generate)

    def deliver(self, packet: KnowledgePacket, exemplars_as: Dtype = Dtype.F32) -> Delivery:
        """All that happens to a packet before it is screened.

        Raises:
            M2KTError: it was refused on the way.
        """
        self.sent += 1
        encoded = encode_packet(packet, exemplars_as=exemplars_as)
        header = SealHeader(
            audience=STUDENT, nonce=b"", sequence=self.sent, issued_at_s=NOW_S, ttl_s=60.0
        )
        envelope = seal(encoded, self._signer, header).envelope
        return self.open(envelope_to_bytes(envelope), encoded.payload)

    def open(self, envelope: bytes, payload: bytes | memoryview) -> Delivery:
        """Proves a sealed packet and reads it: one that has just come, or one that was kept.

        Raises:
            M2KTError: it is not what it should be.
        """
        proved = authenticate_whole(
            envelope_from_bytes(envelope),
            payload,
            TrustStore().enrol(
                self._signer.key_id, self.teacher, self.organisation, root=self.root
            ),
            Expectations(audience=STUDENT, now_s=NOW_S),
            seen=lambda _: False,
        )
        return Delivery(envelope, payload, parse_packet(proved))
