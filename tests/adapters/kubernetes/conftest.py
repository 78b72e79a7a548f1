"""The same cluster tests run on the fake and on a real cluster; that is why the fake is trusted."""

import os
from collections.abc import AsyncGenerator

import pytest

from tests.adapters.kubernetes import servers, worlds


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def world(request: pytest.FixtureRequest) -> AsyncGenerator[worlds.World]:
    if request.param == "real" and not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    make = worlds.real_world if request.param == "real" else worlds.fake_world
    async with make() as made:
        yield made


@pytest.fixture
async def real() -> AsyncGenerator[worlds.World]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    async with worlds.real_world() as made:
        yield made


@pytest.fixture
async def server() -> AsyncGenerator[servers.Server]:
    async with servers.serving() as made:
        yield made
