"""Whatever a peer sends is read or refused: with a reason, within 100 ms and 64 MiB.

Changes are made to valid bytes: to their fields and, behind the signature, with digests and
signatures made right again. `make fuzz` looks for more, guided by coverage.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2kt.reasons import Reason
from m2kt.wire import cards
from m2kt.wire.v1 import envelope_pb2, packet_pb2, verdict_pb2
from tests.fuzz.packing import GOLDEN, Parts, packed
from tests.fuzz.targets import TARGETS, examples, packet
from tests.fuzz.watching import fault
from tests.sealing import refused

PEERS = [name for name, target in TARGETS.items() if target.peer]


@pytest.mark.parametrize("name", PEERS)
@settings(max_examples=150)
@given(rng=st.randoms(use_true_random=False))
def test_what_was_valid_and_is_spoilt_is_read_or_refused(name, rng):
    target = TARGETS[name]
    case = target.change(rng.choice(examples(name)), rng)
    assert fault(target.read, case) == "", case


@pytest.mark.parametrize("name", PEERS)
@settings(max_examples=60)
@given(noise=st.binary(max_size=2000))
def test_noise_is_read_or_refused(name, noise):
    assert fault(TARGETS[name].read, noise) == "", noise


@pytest.mark.parametrize("name", PEERS)
def test_what_is_valid_is_not_refused(name):
    for seed in examples(name):
        assert fault(TARGETS[name].read, seed) == ""


def empty_steps() -> bytes:
    """An authentic packet of half a million steps in a mebibyte."""
    its = Parts.of((GOLDEN / "packet-f32.m2kt").read_bytes())
    trace = packet_pb2.Trace(steps=[packet_pb2.Step()] * 63)
    its.description += packet_pb2.KnowledgePacket(traces=[trace] * 8000).SerializeToString()
    for entry in its.manifest.tensors:
        if entry.name.startswith("maps"):
            entry.shape[1] = 0  # maps that keep nothing: steps cost no tensor's bytes either
    its.fit()
    return packed(its.manifest, its.payload())


def empty_standings() -> bytes:
    """The receipt of a quarter of a million bytes about voters of whom nothing is said."""
    consensus = verdict_pb2.Consensus(standings=[verdict_pb2.Standing(fate=1)] * 60_000)
    rejected = verdict_pb2.Rejected(reasons=[1], consensus=consensus)
    verdict = verdict_pb2.Verdict(rejected=rejected)
    return verdict_pb2.Receipt(student="s", verdict=verdict).SerializeToString()


def empty_signatures() -> bytes:
    return envelope_pb2.Envelope(
        signatures=[envelope_pb2.Signature()] * 500_000
    ).SerializeToString()


@pytest.mark.parametrize(
    ("read", "make"),
    [
        (packet, empty_steps),
        (cards.receipt_from_bytes, empty_standings),
        (cards.envelope_from_bytes, empty_signatures),
    ],
)
def test_very_many_that_say_nothing_are_refused_before_they_cost_much(read, make):
    case = make()
    assert fault(read, case) == ""
    with refused(Reason.OVERSIZE):
        read(case)
