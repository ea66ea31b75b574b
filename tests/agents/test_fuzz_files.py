"""Whatever is in a file of an agent's, or of its user's, is read or refused, with a reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, examples
from tests.fuzz.watching import fault

FILES = [name for name, target in TARGETS.items() if not target.peer]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@settings(max_examples=100)
@given(rng=st.randoms(use_true_random=False))
def test_what_was_valid_and_is_spoilt_is_read_or_refused(name, rng):
    target = TARGETS[name]
    case = target.change(rng.choice(examples(name)), rng)
    assert fault(target.read, case) == "", case


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40)
@given(
    noise=st.binary(max_size=1000)
    | st.text(max_size=500).map(lambda text: text.encode(errors="replace"))
)
def test_noise_is_read_or_refused(name, noise):
    assert fault(TARGETS[name].read, noise) == "", noise
