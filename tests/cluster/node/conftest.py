"""A cluster for each test, and nothing of it left in the Engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.node import small


@pytest.fixture
async def cluster(docker_engine: str, tmp_path: Path) -> AsyncIterator[small.Small]:
    del docker_engine
    made = small.new_api(tmp_path)
    try:
        async with small.running(made) as found:
            yield found
    finally:
        await small.clean(made)
