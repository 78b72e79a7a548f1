"""A real Docker Engine and registries; tests that need them are skipped where there are none.

TILTD_TEST_REGISTRY   use this registry instead of starting one (Debian's `docker-registry`)
TILTD_TEST_BASE       the base image of the builds, in the engine already
TILTD_TEST_BUILDX     the buildx plugin's binary, where docker does not find it by itself
"""

import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from tests.adapters.images import servers
from tests.adapters.images.workshop import Workshop
from tiltd.adapters import images, processes
from tiltd.adapters.images import straight as straight_build

BASE = os.environ.get("TILTD_TEST_BASE", "localhost:5000/base/busybox:1")
_Make = Callable[[images.DockerImages], Workshop]


@pytest.fixture(scope="session")
def base(docker_engine: str) -> str:
    """A base image in a real engine."""
    inspect = [docker_engine, "image", "inspect", BASE]
    has = subprocess.run(inspect, capture_output=True, check=False)
    if has.returncode:
        pytest.skip(f"the engine has no {BASE}: run `python3 -m tools.base_images`")
    return BASE


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry."""
    if given := os.environ.get("TILTD_TEST_REGISTRY"):
        yield given
        return
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def buildx_config(tmp_path: Path) -> Path:
    """A Docker configuration under which docker has buildx."""
    folder = tmp_path / "docker-with-buildx"
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True)
    own = Path.home() / ".docker" / "cli-plugins" / "docker-buildx"
    given = Path(os.environ.get("TILTD_TEST_BUILDX", own))
    if given.exists():
        (plugins / "docker-buildx").symlink_to(given)
    works = subprocess.run(
        ["docker", "buildx", "version"],
        env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(folder)},
        capture_output=True,
        check=False,
    )
    if works.returncode:
        pytest.skip("docker has no buildx")
    return folder


@contextlib.asynccontextmanager
async def _adapter(largest: int = straight_build.LARGEST) -> AsyncGenerator[images.DockerImages]:
    local = processes.LocalProcesses()
    adapter = images.DockerImages(local, push_patience=3, largest=largest)
    yield adapter
    await adapter.close()
    await local.close()


@pytest.fixture
async def docker_images() -> AsyncGenerator[images.DockerImages]:
    async with _adapter() as adapter:
        yield adapter


@pytest.fixture
async def buildx_images() -> AsyncGenerator[images.DockerImages]:
    async with _adapter(largest=0) as adapter:
        yield adapter


@pytest.fixture
async def classic(
    docker_images: images.DockerImages, base: str, registry: str, tmp_path: Path
) -> AsyncGenerator[Workshop]:
    """Builds by the classic builder: no docker command line is on this PATH."""
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    workshop = Workshop(docker_images, registry, base, tmp_path, env)
    yield workshop
    workshop.clean()


@pytest.fixture
def with_buildx(base: str, registry: str, tmp_path: Path, buildx_config: Path) -> _Make:
    """Makes the workshop of an adapter in whose environment docker has buildx."""
    path, config = os.environ["PATH"], str(buildx_config)
    env = {"PATH": path, "HOME": str(tmp_path), "DOCKER_CONFIG": config}
    return lambda adapter: Workshop(adapter, registry, base, tmp_path, env)


@pytest.fixture
async def buildkit(
    buildx_images: images.DockerImages, with_buildx: _Make
) -> AsyncGenerator[Workshop]:
    """Builds by BuildKit, through buildx."""
    workshop = with_buildx(buildx_images)
    yield workshop
    workshop.clean()


@pytest.fixture
async def straight(
    docker_images: images.DockerImages, with_buildx: _Make
) -> AsyncGenerator[Workshop]:
    """Builds by BuildKit, by one request to the Engine where that is enough."""
    workshop = with_buildx(docker_images)
    yield workshop
    workshop.clean()


@pytest.fixture
def buildkit_beside(
    buildx_images: images.DockerImages, straight: Workshop, tmp_path: Path
) -> Workshop:
    """Builds through buildx, beside what goes straight; `straight` cleans up."""
    (tmp_path / "beside").mkdir()
    return Workshop(
        buildx_images, straight.registry, straight.base, tmp_path / "beside", straight.env
    )


@pytest.fixture(params=["classic", "buildkit", "straight"])
def workshop(request: pytest.FixtureRequest) -> Workshop:
    """All ways to build in turn."""
    chosen: Workshop = request.getfixturevalue(request.param)
    return chosen
