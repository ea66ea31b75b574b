"""Threat: a packet made for one student is handed on to another."""

from dataclasses import replace

import pytest
from sealing import EXPECTED, HEADER, Student, encoded, refused, sealed, signer

from m2kt.identity import AgentId
from m2kt.reasons import Reason
from m2kt.wire.chunks import seal
from tests.siege import Siege, over_grpc


def test_a_packet_for_one_student_is_refused_by_another():
    other = Student(expectations=replace(EXPECTED, audience=AgentId("student-t")))
    with refused(Reason.WRONG_AUDIENCE):
        other.admits(sealed().envelope)


@pytest.mark.parametrize("audience", ["student", "student-s2", "anybody"])
def test_a_name_that_looks_alike_is_another_name(audience):
    near = replace(HEADER, audience=AgentId(audience))
    with refused(Reason.WRONG_AUDIENCE):
        Student().admits(seal(encoded(), signer(), near).envelope)


@pytest.mark.parametrize("audience", ["", "Student-S", "student-s ", "*"])
def test_a_name_that_is_none_is_malformed(audience):
    odd = replace(HEADER, audience=AgentId(audience))
    with refused(Reason.MALFORMED):
        Student().admits(seal(encoded(), signer(), odd).envelope)


@over_grpc
@pytest.mark.parametrize("audience", ["another", "student-2", "anybody"])
async def test_over_grpc_a_packet_for_another_student_is_refused(siege: Siege, audience):
    await siege.refuses(Reason.WRONG_AUDIENCE, audience=AgentId(audience))
