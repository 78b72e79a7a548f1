"""A place to build in: a context folder, a session, an engine and a registry to look into."""

import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.adapters.images.contract import nothing_moved
from tests.adapters.images.logs import Lines
from tiltd import ports
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import CustomBuild, DockerBuild, Image
from tiltd.model.names import ImageName, SessionId
from tiltd.model.state import ImageReady, Mode, SessionSpec

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Workshop:
    """Makes actions with names of their own, runs them, and cleans up after them."""

    def __init__(
        self,
        adapter: ports.Images,
        registry: str,
        base: str,
        folder: Path,
        env: dict[str, str],
    ) -> None:
        self.adapter, self.registry, self.base, self.env = adapter, registry, base, env
        self.folder = folder / "context"
        self.folder.mkdir()
        self.phases: list[str] = []
        self.check: ports.Check = nothing_moved
        self.log = Lines()
        if host := os.environ.get("DOCKER_HOST"):
            env["DOCKER_HOST"] = host
        self._prefix = f"tiltd-test/{secrets.token_hex(6)}"

    async def ensure(self, action: EnsureImage, log: ports.Log | None = None) -> ImageReady:
        spec = SessionSpec(
            SessionId("s"),
            Mode.CI,
            str(self.folder.parent / "Tiltfile"),
            env=self.env,
            cwd=str(self.folder.parent),
        )
        return await self.adapter.ensure(
            action, spec, log or self.log, self.phases.append, self.check
        )

    def action(
        self,
        steps: str,
        *,
        push: bool = False,
        registry: str = "",
        bases: Mapping[ImageName, str] | None = None,
        first: str = "",
        **options: Any,
    ) -> EnsureImage:
        """An image `FROM` the base with these steps (or `first` as its FROM)."""
        contents = f"FROM {first or self.base}\n{steps}\n"
        dockerfile = self.folder / "Dockerfile"
        build = DockerBuild(str(self.folder), str(dockerfile), contents, **options)
        return self.named(build, push=push, registry=registry, bases=bases)

    def named(
        self,
        build: DockerBuild | CustomBuild,
        *,
        push: bool = False,
        registry: str = "",
        bases: Mapping[ImageName, str] | None = None,
    ) -> EnsureImage:
        """A new image, with a key of its own."""
        key = secrets.token_hex(32)
        name = f"{self._prefix}/web"
        ref = f"{registry or self.registry}/{name}:tilt-{key[:16]}"
        image = Image(ImageName(name), build, bases=tuple(bases or ()))
        return EnsureImage(image, key, ImageRefs(ref, ref, push), bases or {})

    def good(self, *, push: bool = True) -> EnsureImage:
        return self.action("RUN echo made", push=push)

    def failing(self) -> EnsureImage:
        return self.action("RUN echo about to fail && exit 3", push=True)

    def slow(self) -> EnsureImage:
        return self.action("RUN echo waiting && sleep 60", push=True)

    async def building(self) -> None:
        await self.log.until("waiting\n")

    def run(self, action: EnsureImage, *command: str) -> str:
        """What a command prints in a container of the image."""
        return docker("run", "--rm", "--network=none", action.refs.local, *command)

    def engine_has(self, action: EnsureImage) -> bool:
        return has(action.refs.local)

    def registry_has(self, action: EnsureImage) -> bool:
        return bool(_manifest_digest(action.refs.local))

    def drop_from_engine(self, action: EnsureImage) -> None:
        docker("image", "rm", "--force", action.refs.local)

    def drop_from_registry(self, action: EnsureImage) -> None:
        digest = _manifest_digest(action.refs.local)
        assert digest
        _request("DELETE", action.refs.local, digest)

    def clean(self) -> None:
        listed = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}")
        mine = [name for name in listed.split() if self._prefix in name]
        if mine:
            docker("image", "rm", "--force", *mine)


def docker(*arguments: str) -> str:
    """Run the docker command line with the user's own configuration."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def log_in(folder: Path, address: str, user: str, password: str) -> None:
    """`docker login`, into a Docker configuration of its own."""
    folder.mkdir()
    subprocess.run(
        ["docker", "--config", str(folder), "login", "-u", user, "--password-stdin", address],
        input=password.encode(),
        capture_output=True,
        check=True,
    )


def has(ref: str) -> bool:
    """Whether the engine has an image."""
    found = subprocess.run(["docker", "image", "inspect", ref], capture_output=True, check=False)
    return found.returncode == 0


def _manifest_digest(ref: str) -> str:
    tag = ref.rpartition(":")[2]
    try:
        return str(_request("HEAD", ref, tag)["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise
        return ""


def _request(method: str, ref: str, which: str) -> Any:
    host, _, path = ref.rpartition(":")[0].partition("/")
    request = urllib.request.Request(
        f"http://{host}/v2/{path}/manifests/{which}", method=method, headers={"Accept": _MANIFEST}
    )
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - http, as above
        return reply.headers
