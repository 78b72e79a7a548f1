"""The fake keeps the contract."""

import asyncio
import itertools

import pytest

from tests.adapters.images.contract import ImagesContract, nothing_moved
from tests.adapters.images.logs import Lines
from tests.fakes.images import FakeImages
from tiltd import ports
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName, SessionId
from tiltd.model.problems import Code, Problem
from tiltd.model.state import ImageReady, Mode, SessionSpec

FAILING, SLOW = ImageName("failing"), ImageName("slow")


class FakeWorld:
    def __init__(self) -> None:
        problem = Problem(Code.BUILD, f"building {FAILING} failed")
        self.images = FakeImages(
            holds={SLOW: asyncio.Event()}, failures={FAILING: ports.PermanentError(problem)}
        )
        self.phases: list[str] = []
        self.check: ports.Check = nothing_moved
        self._log = Lines()
        self._spec = SessionSpec(SessionId("s"), Mode.CI, "/app/Tiltfile")
        self._numbers = itertools.count()

    async def ensure(self, action: EnsureImage) -> ImageReady:
        images: ports.Images = self.images
        return await images.ensure(action, self._spec, self._log, self.phases.append, self.check)

    def good(self, *, push: bool = True) -> EnsureImage:
        return self._action(ImageName("good"), push=push)

    def failing(self) -> EnsureImage:
        return self._action(FAILING, push=True)

    def slow(self) -> EnsureImage:
        return self._action(SLOW, push=True)

    async def building(self) -> None:
        await self._log.until("building slow")

    def engine_has(self, action: EnsureImage) -> bool:
        return action.refs.local in self.images.engine

    def registry_has(self, action: EnsureImage) -> bool:
        return action.refs.local in self.images.registry

    def drop_from_engine(self, action: EnsureImage) -> None:
        self.images.engine.discard(action.refs.local)

    def drop_from_registry(self, action: EnsureImage) -> None:
        self.images.registry.discard(action.refs.local)

    def _action(self, name: ImageName, *, push: bool) -> EnsureImage:
        key = f"{next(self._numbers):064x}"
        ref = f"localhost:5000/{name}:tilt-{key[-16:]}"
        image = Image(name, DockerBuild("/app", "/app/Dockerfile", "FROM scratch\n"))
        return EnsureImage(image, key, ImageRefs(ref, ref, push), {})


class TestFakeImages(ImagesContract):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()


async def test_the_fake_fails_for_a_while_when_it_is_told_to() -> None:
    world = FakeWorld()
    world.images = FakeImages(faults={ImageName("good"): 1})
    action = world.good()
    with pytest.raises(ports.TransientError):
        await world.ensure(action)
    assert (await world.ensure(action)).reused == ""
    assert world.images.built == [ImageName("good")]
