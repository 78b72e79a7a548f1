"""What every `ports.Images` must do; run on the fake and on the real thing.

A subclass gives a fixture `world`.
"""

import asyncio
from dataclasses import replace
from typing import Protocol

import pytest

from tiltd import ports
from tiltd.model.actions import EnsureImage
from tiltd.model.problems import Code
from tiltd.model.state import ImageReady


async def nothing_moved() -> None:
    """A check that everything passes."""
    await asyncio.sleep(0)


class World(Protocol):
    """An engine, a registry, and images that can be asked for; each action is a new image."""

    phases: list[str]
    check: ports.Check

    async def ensure(self, action: EnsureImage) -> ImageReady: ...
    def good(self, *, push: bool = True) -> EnsureImage: ...
    def failing(self) -> EnsureImage: ...
    def slow(self) -> EnsureImage: ...
    async def building(self) -> None:
        """Wait until the slow image's build has begun."""
        ...

    def engine_has(self, action: EnsureImage) -> bool: ...
    def registry_has(self, action: EnsureImage) -> bool: ...
    def drop_from_engine(self, action: EnsureImage) -> None: ...
    def drop_from_registry(self, action: EnsureImage) -> None: ...


class _MovedError(Exception):
    """What a check says."""


class ImagesContract:
    async def test_what_is_rebuilt_gets_a_tag_of_its_own_which_is_found_from_then_on(
        self, world: World
    ) -> None:
        action = world.good()
        first = await world.ensure(action)
        again = await world.ensure(replace(action, rebuild=True))
        assert again.reused == ""
        assert again.refs.local == f"{action.refs.local}-r1"
        assert again.refs.in_cluster == f"{action.refs.in_cluster}-r1"
        third = await world.ensure(replace(action, rebuild=True))
        assert third.refs.local.endswith("-r2")
        found = await world.ensure(action)
        assert (found.refs, found.reused) == (third.refs, "registry")
        assert first.refs == action.refs

    async def test_what_does_not_pass_its_check_is_not_there(self, world: World) -> None:
        async def moved() -> None:
            await asyncio.sleep(0)
            raise _MovedError

        action = world.good()
        world.check = moved
        with pytest.raises(_MovedError):
            await world.ensure(action)
        assert not world.engine_has(action)
        assert not world.registry_has(action)

    async def test_what_is_there_already_is_not_checked(self, world: World) -> None:
        async def never() -> None:
            await asyncio.sleep(0)
            raise AssertionError("only what is built can have moved")

        action = world.good()
        await world.ensure(action)
        world.check = never
        assert (await world.ensure(action)).reused == "registry"

    async def test_a_new_image_is_built_and_pushed(self, world: World) -> None:
        action = world.good()
        ready = await world.ensure(action)
        assert (ready.key, ready.refs, ready.reused) == (action.key, action.refs, "")
        assert ready.digest.startswith("sha256:")
        assert world.engine_has(action)
        assert world.registry_has(action)
        assert world.phases == ["find", "build", "push"]

    async def test_an_image_that_needs_no_registry_is_only_built(self, world: World) -> None:
        action = world.good(push=False)
        assert (await world.ensure(action)).reused == ""
        assert world.engine_has(action)
        assert not world.registry_has(action)
        assert world.phases == ["find", "build"]

    async def test_what_the_registry_has_is_neither_built_nor_pushed(self, world: World) -> None:
        action = world.good()
        first = await world.ensure(action)
        world.drop_from_engine(action)
        world.phases.clear()
        again = await world.ensure(action)
        assert (again.reused, again.digest) == ("registry", first.digest)
        assert world.phases == ["find"]
        assert not world.engine_has(action)

    async def test_what_only_the_engine_has_is_pushed_and_not_built(self, world: World) -> None:
        action = world.good()
        await world.ensure(action)
        world.drop_from_registry(action)
        world.phases.clear()
        assert (await world.ensure(action)).reused == "engine"
        assert world.phases == ["find", "push"]
        assert world.registry_has(action)

    async def test_what_the_engine_has_is_enough_without_a_registry(self, world: World) -> None:
        action = world.good(push=False)
        await world.ensure(action)
        world.phases.clear()
        assert (await world.ensure(action)).reused == "engine"
        assert world.phases == ["find"]

    async def test_a_build_that_fails_leaves_no_image(self, world: World) -> None:
        action = world.failing()
        with pytest.raises(ports.PermanentError) as caught:
            await world.ensure(action)
        assert caught.value.problem.code is Code.BUILD
        assert str(action.image.name) in caught.value.problem.message
        assert not world.engine_has(action)
        assert not world.registry_has(action)

    async def test_a_cancelled_build_ends_within_a_second_and_leaves_no_image(
        self, world: World
    ) -> None:
        action = world.slow()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.ensure(action))
            await world.building()
            begin = loop.time()
            task.cancel()
        assert task.cancelled()
        assert loop.time() - begin < 1
        assert not world.engine_has(action)

    async def test_images_are_made_side_by_side(self, world: World) -> None:
        actions = [world.good() for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(world.ensure(action)) for action in actions]
        assert [task.result().refs for task in tasks] == [action.refs for action in actions]
        assert all(world.registry_has(action) for action in actions)
