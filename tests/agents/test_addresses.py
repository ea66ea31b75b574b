"""An address is a place, and may say who has to be there."""

import pytest

from m2kt.errors import RequestError
from m2kt_agents.addresses import Address, is_loopback, read_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7001", Address(None, "127.0.0.1:7001")),
        ("teacher-1@[::1]:7001", Address("teacher-1", "[::1]:7001")),
        ("unix:/run/m2kt.sock", Address(None, "unix:/run/m2kt.sock")),
    ],
)
def test_a_name_may_stand_before_the_place(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "@", "teacher@", "@host:1", "Te acher@host:1", "x" * 600])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(RequestError, match="host:port"):
        read_address(text)


@pytest.mark.parametrize(
    ("target", "here"),
    [
        ("127.0.0.1:1", True),
        ("127.8.9.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/run/m2kt.sock", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.5:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
        ("example", False),
    ],
)
def test_only_this_machine_is_loopback(target, here):
    assert is_loopback(target) is here
