"""Fixtures of the agents' tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.simulator import Town


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """An empty town for one test."""
    async with Town(tmp_path) as town:
        yield town
