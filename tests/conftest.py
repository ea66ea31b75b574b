"""What all tests share: the flag for goldens, threads, and no network but loopback."""

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent

# Two cores that others use too say nothing about how long an example may take; and a run in CI
# must fail for the change that it tests, not for a new example.
hypothesis.settings.register_profile("m2kt", deadline=None, derandomize=True)
hypothesis.settings.load_profile("m2kt")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write the golden files under tests/wire/golden instead of comparing with them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """One thread for torch: two workers share two cores, and sums must not depend on it."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A command that is tested here may set torch's threads, as it does in a process of its own."""
    yield
    torch = sys.modules["torch"]
    torch.set_num_threads(1)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    """Compares bytes with a file that was committed, or writes that file if asked to."""

    def check(path: Path, found: bytes) -> None:
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found)
        assert path.exists(), f"{path} is missing; run pytest --update-goldens and commit it"
        assert found == path.read_bytes(), f"the bytes of {path.name} have changed"

    return check


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuses connections to any address that is not of this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and self.type == socket.SOCK_STREAM:
            host = str(address[0]) if isinstance(address, tuple) else str(address)
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise PermissionError(f"expected a loopback address, found {host}; tests stay here")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()
