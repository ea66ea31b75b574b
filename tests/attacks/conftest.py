"""One besieged student for all attacks over the network: none of them may change it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.siege import Siege
from tests.simulator import Town


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    async with Town(tmp_path_factory.mktemp("siege")) as town:
        yield await Siege.laid(town)
