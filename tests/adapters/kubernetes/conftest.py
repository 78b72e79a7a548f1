"""The same cluster tests run on the fake and on a real cluster; that is why the fake is trusted."""

from collections.abc import AsyncGenerator

import pytest

from tests.adapters.kubernetes import servers, worlds


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def world(request: pytest.FixtureRequest) -> AsyncGenerator[worlds.World]:
    if request.param == "real":
        worlds.need_a_cluster()
    make = worlds.real_world if request.param == "real" else worlds.fake_world
    async with make() as made:
        yield made


@pytest.fixture
async def real() -> AsyncGenerator[worlds.World]:
    worlds.need_a_cluster()
    async with worlds.real_world() as made:
        yield made


@pytest.fixture
async def server() -> AsyncGenerator[servers.Server]:
    async with servers.serving() as made:
        yield made
