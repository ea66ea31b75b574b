"""Every error has a reason, travels between processes, and is in the drawing of the tree."""

import pickle
import re

import pytest

from m2kt import errors
from m2kt.errors import M2KTError
from m2kt.reasons import SENTENCES, Reason

TREE = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, M2KTError)
]


@pytest.mark.parametrize("error", TREE)
def test_an_error_survives_pickling_with_message_and_reason(error):
    found = pickle.loads(pickle.dumps(error("expected this, found that; do so")))
    assert type(found) is error
    assert str(found) == "expected this, found that; do so"
    assert found.reason is error.reason


@pytest.mark.parametrize("error", TREE)
def test_an_error_has_a_reason_that_can_be_said(error):
    assert isinstance(error.reason, Reason)
    assert SENTENCES[error.reason].endswith(".")
    assert error is M2KTError or error.reason is not Reason.INTERNAL


def test_no_two_leaves_of_one_branch_share_a_reason():
    for branch in TREE:
        reasons = [child.reason for child in branch.__subclasses__() if child in TREE]
        assert len(set(reasons)) == len(reasons)


def test_the_drawing_names_every_error_and_nothing_else():
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__))
    assert drawn == {error.__name__ for error in TREE}


def test_every_reason_is_its_own_name():
    for reason in Reason:
        assert reason.value == reason.name
    assert len(set(SENTENCES.values())) == len(SENTENCES)
