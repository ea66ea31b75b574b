"""Threat: a stolen key, whose owner had it revoked, signs a packet."""

from dataclasses import replace

from packets import trusting
from sealing import HEADER, Student, encoded, refused, sealed, signer

from m2kt.identity import AgentId
from m2kt.reasons import Reason
from m2kt.signing import sign_envelope
from m2kt.trust import load_trust, save_trust
from m2kt.wire.chunks import seal
from m2kt.wire.manifest import MANIFEST_TYPE
from tests.siege import REVOKED as STOLEN
from tests.siege import Siege, over_grpc, reasons
from tests.simulator import HostileTeacher, packet_by, until

REVOKED = trusting(signer(1), signer(2)).revoke(signer(1).key_id, "stolen")


def test_a_packet_signed_with_a_revoked_key_is_refused():
    with refused(Reason.REVOKED_KEY):
        Student(trust=REVOKED).admits(sealed().envelope)


def test_a_good_signature_beside_it_does_not_help():
    both = sign_envelope(MANIFEST_TYPE, sealed().envelope.payload, signer(2), signer(1))
    with refused(Reason.REVOKED_KEY):
        Student(trust=REVOKED).admits(both)


def test_revocation_survives_a_restart(tmp_path):
    save_trust(tmp_path / "trust.json", REVOKED)
    student = Student(trust=load_trust(tmp_path / "trust.json"))
    with refused(Reason.REVOKED_KEY):
        student.admits(sealed().envelope)
    assert student.admits(seal(encoded(), signer(2), replace(HEADER, sequence=2)).envelope)


@over_grpc
async def test_over_grpc_a_key_that_is_revoked_while_its_packet_comes_ends_the_stream(siege: Siege):
    town, thief = siege.town, siege.town.signer("thief")
    town.trust("student", "thief")
    spool = town.folder / "student" / "spool"

    class Thief(HostileTeacher):
        async def StreamPacket(self, request, context):  # noqa: N802 - the name in the proto
            async for part in super().StreamPacket(request, context):
                if part.WhichOneof("part") == "chunk" and part.chunk.index == 1:
                    await until(lambda: any(file.stat().st_size for file in spool.glob("*.part")))
                    town.change_trust("student", lambda its: its.revoke(thief.key_id, "stolen"))
                yield part

    liar = Thief(
        AgentId("thief"), thief, packet=packet_by("mod7-addsub", "+-", "thief"), chunk_bytes=65536
    )
    assert reasons(await siege.pulled(liar)) == (Reason.REVOKED_KEY,)
    assert list(spool.iterdir()) == []


@over_grpc
async def test_over_grpc_a_stolen_key_is_refused(siege: Siege):
    await siege.refuses(Reason.REVOKED_KEY, agent=STOLEN, signer=siege.town.signer(STOLEN))
