"""What combining costs is measured for real, at a size that costs next to nothing."""

import json
import mmap
import time

import pytest
import torch

from m2kt.bench.burden import EXEMPLARS, MIB, Burden, _packets, _Watch, exponent
from m2kt.domains.tables import modular
from m2kt.reading import View

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
"""Of memory that was never had before: what the process has freed is resident already."""

SMALL = Burden(teachers=3, concepts=20, width=16)


@pytest.fixture(scope="module")
def found():
    return SMALL.run()


def packets(burden: Burden):
    domain = modular(3)
    return _packets(burden, domain, View(domain, torch.eye(3, burden.width)))


def test_an_exponent_is_a_slope_on_logarithms():
    assert exponent([1.0, 2.0, 4.0, 8.0], [5.0, 20.0, 80.0, 320.0]) == pytest.approx(2.0)
    assert exponent([3.0, 9.0, 27.0], [4.0, 4.0, 4.0]) == pytest.approx(0.0)
    # By hand, in powers of two: x = 0, 1, 2 and y = 0, 2, 1 have a slope of 1 / 2.
    assert exponent([1.0, 2.0, 4.0], [1.0, 4.0, 2.0]) == pytest.approx(0.5)


def test_a_size_is_measured_and_can_be_written_down(found):
    assert json.loads(json.dumps(found)) == found
    assert found["learnt"] == SMALL.concepts, "all have all, and none contradicts another"
    assert found["mean"] == found["seconds"]
    assert found["mib"] >= 0


def test_a_packet_is_as_large_as_its_tensors(found):
    numbers = SMALL.concepts * SMALL.width * (1 + EXEMPLARS)
    steps = sum(len(trace.steps) for trace in packets(SMALL)[0].packet.traces)
    assert found["packet_mib"] * MIB == 4 * (numbers + 2 * steps)


def test_every_teacher_has_the_same_concepts_and_tells_half_in_a_space_of_its_own():
    one, two, _ = packets(SMALL)
    assert one.packet.concepts == two.packet.concepts
    assert len(one.packet.concepts) == SMALL.concepts
    assert one.packet.traces == two.packet.traces
    assert len(one.packet.traces) == SMALL.concepts / 2
    assert one.voter != two.voter
    cosines = torch.nn.functional.cosine_similarity(one.packet.means, two.packet.means)
    assert float(cosines.mean()) < 0.8
    grams = [its.packet.means @ its.packet.means.T for its in (one, two)]
    assert torch.allclose(*grams, atol=0.3), "the same but for a turn, and noise"


def test_what_a_process_holds_for_a_moment_is_seen():
    with _Watch() as watch:
        held = mmap.mmap(-1, 64 * MIB, flags=PRIVATE)
        end = time.monotonic() + 60
        while watch.peak_mib < 50 and time.monotonic() < end:
            held[::4096] = bytes(len(held[::4096]))
        held.close()
    assert watch.peak_mib > 50


def test_a_size_says_what_it_is():
    assert SMALL.title == "3 teachers, 20 concepts"
    assert (SMALL.kind, SMALL.models) == ("burden", ())
