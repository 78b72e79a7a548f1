"""Has an image: finds it, or makes it; the adapter behind `ports.Images`.

An image's tag is its key, so a tag that is there already is the image.  The registry is asked
first, since what it has needs no engine at all; then the engine; only then is it built.

Where the command of a `custom_build` puts the image by itself (`disable_push`,
`skips_local_docker`, `outputs_image_ref_to`) an image in the engine proves nothing about where
it has to be: then only the registry's word counts, and without it the command runs, as in Tilt.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from tiltd import ports
from tiltd.adapters.images import (
    buildx,
    classic,
    context,
    credentials,
    custom,
    dockerconfig,
    engine,
    events,
    failures,
    grounds,
    heard,
    pushing,
    registry,
    straight,
)
from tiltd.adapters.images import endpoint as endpoints
from tiltd.core import dockerfile, reference, reuse
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import CustomBuild, DockerBuild, Image
from tiltd.model.observed import Grounds
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Cache, ImageReady, SessionSpec
from tiltd.runtime import threads

_SHORT_CALLS = 4
_DOCKER_VARIABLES = ("PATH", "HOME", "DOCKER_CONFIG")
_ENGINE = "engine"
_MOST_REBUILT = 100
"""A registry that says yes to everything must not keep us asking for ever."""


class DockerImages:
    """Implements `ports.Images` by Docker Engine, BuildKit and registries.

    Args:
        processes: runs the docker command line, and the commands of `custom_build`.
        push_patience: how long a push goes on trying, in seconds.
        state: the user's state folder, if there is one.
        largest: bytes of a context that is sent to the Engine in one piece; 0: none is.
    """

    def __init__(
        self,
        processes: ports.Processes,
        *,
        push_patience: float = pushing.PATIENCE,
        state: Path | None = None,
        largest: int = straight.LARGEST,
    ) -> None:
        self._tools = _Tools(processes, push_patience, state, largest)

    async def ensure(
        self,
        action: EnsureImage,
        spec: SessionSpec,
        log: ports.Log,
        phase: ports.Phase,
        check: ports.Check,
    ) -> ImageReady:
        """Find the image, or build and push it. See `ports.Images`."""
        config = dockerconfig.read(spec.env)
        return await _Ensuring(self._tools, action, spec, config, log, phase, check).run()

    async def grounds(self, image: Image, spec: SessionSpec, log: ports.Log) -> Grounds:
        """What the key covers of engine and registries. See `ports.Images`."""
        config = dockerconfig.read(spec.env)
        try:
            docker = self._tools.engine(spec.env, config)
        except ports.PermanentError:
            docker = None  # an image that the registry has needs none
        return await self._tools.asker.find(image, spec, docker, config, log)

    async def find(
        self, action: EnsureImage, spec: SessionSpec, log: ports.Log
    ) -> ImageReady | None:
        """Where the image is already. See `ports.Images`."""
        config = dockerconfig.read(spec.env)
        return await _Ensuring(self._tools, action, spec, config, log, _no_phase, _no_check).find()

    async def close(self) -> None:
        """Close all connections."""
        await self._tools.close()


class _Tools:
    """What all images share."""

    def __init__(
        self, processes: ports.Processes, patience: float, state: Path | None, largest: int
    ) -> None:
        self.processes, self.patience, self.largest = processes, patience, largest
        self.pool = threads.Pool("docker", _SHORT_CALLS)
        self.credentials = credentials.Credentials()
        self._last = heard.Heard(state and state / "bases.json")
        self.asker = grounds.Asker(self.credentials, self._last)
        self._engines: dict[endpoints.Endpoint, engine.Engine] = {}
        self._buildx: dict[tuple[str | None, ...], bool] = {}
        self._buildx_lock = asyncio.Lock()

    def engine(self, env: Mapping[str, str], config: dockerconfig.Config) -> engine.Engine:
        """The engine of a session."""
        where = endpoints.resolve(env, config)
        if where not in self._engines:
            self._engines[where] = engine.Engine(where, self.pool)
        return self._engines[where]

    async def has_buildx(self, env: Mapping[str, str]) -> bool:
        """Whether to build by buildx; the docker of an environment is asked once."""
        if classic.is_asked_for(env):
            return False
        key = tuple(env.get(name) for name in _DOCKER_VARIABLES)
        async with self._buildx_lock:
            if key not in self._buildx:
                self._buildx[key] = await buildx.is_there(self.processes, env)
            return self._buildx[key]

    async def close(self) -> None:
        for each in self._engines.values():
            await each.close()
        self._last.close()
        self.pool.close()


@dataclasses.dataclass(frozen=True, slots=True)
class _Ensuring:
    """One `ensure`."""

    tools: _Tools
    action: EnsureImage
    spec: SessionSpec
    config: dockerconfig.Config
    log: ports.Log
    phase: ports.Phase
    check: ports.Check

    async def run(self) -> ImageReady:
        self.phase("find")
        found = None if self.spec.cache is Cache.OFF else await self._newest()
        if found is not None and not self.action.rebuild:
            ready, number = found
            if ready.reused == _ENGINE and self.action.refs.push:
                return self._at(number).ready(await self._at(number).push(), reused=_ENGINE)
            return ready
        if not reuse.shared(self.spec):
            return await self._named(reuse.private(self.action.refs, self.spec)).build()
        return await self._at(0 if found is None else found[1] + 1).build()

    async def find(self) -> ImageReady | None:
        """Where it is; what is in the engine alone may have to be pushed yet."""
        found = await self._newest()
        return None if found is None else found[0]

    async def _newest(self) -> tuple[ImageReady, int] | None:
        """The image, and how often it has been built again (`core.reuse`)."""
        found = await self._last(lambda one: one.in_registry())
        if found is not None or self._puts_itself():
            return found
        return await self._last(lambda one: one.fitting())

    async def _last(
        self, look: Callable[["_Ensuring"], Coroutine[Any, Any, ImageReady | None]]
    ) -> tuple[ImageReady, int] | None:
        found, following = await asyncio.gather(look(self), look(self._at(1)))
        number = 0
        while found is not None and following is not None and number < _MOST_REBUILT:
            found, number = following, number + 1
            following = await look(self._at(number + 1))
        return None if found is None else (found, number)

    async def fitting(self) -> ImageReady | None:
        found = await self._in_engine(self.action.refs.local)
        if found is None or not self._fits(found):
            return None
        return self.ready(found.id, reused=_ENGINE)

    def _at(self, number: int) -> "_Ensuring":
        return self._named(reuse.revised(self.action.refs, number))

    def _named(self, refs: ImageRefs) -> "_Ensuring":
        return dataclasses.replace(self, action=dataclasses.replace(self.action, refs=refs))

    def _puts_itself(self) -> bool:
        """Whether it is the build's own business where the image goes."""
        build = self.action.image.build
        return isinstance(build, CustomBuild) and bool(
            build.disable_push or build.skips_local_docker or build.outputs_image_ref_to
        )

    async def in_registry(self) -> ImageReady | None:
        if not self.action.refs.push and not self._puts_itself():
            return None
        ref = reference.parse(self.action.refs.local)
        env = self.spec.env
        credential = await self.tools.credentials.get(ref.domain, self.config, env, self.log)
        match await registry.has(ref, self._platform(), credential, env):
            case registry.Present(digest):
                return self.ready(digest, reused="registry")
            case registry.Unknown(reason):
                self.log.write(f"can't tell whether {ref.domain} has it: {reason}\n")
            case registry.Absent():
                pass
        return None

    def _platform(self) -> str:
        build = self.action.image.build
        return build.platform if isinstance(build, DockerBuild) else ""

    def _fits(self, found: events.EngineImage) -> bool:
        platform = self._platform()
        if "," in platform:
            return False  # no engine's store holds one for several
        return not platform or registry.fits(
            found.system, found.architecture, found.variant, platform
        )

    async def _in_engine(self, ref: str) -> events.EngineImage | None:
        try:
            return await self._engine().image(ref)
        except events.EngineError as error:
            image = self.action.image
            raise failures.engine(image.name, image.place, error) from error

    def _engine(self) -> engine.Engine:
        return self.tools.engine(self.spec.env, self.config)

    async def build(self) -> ImageReady:
        self.phase("build")
        match self.action.image.build:
            case DockerBuild() as build:
                return await self._docker_build(build)
            case CustomBuild() as build:
                return await self._custom_build(build)

    async def _docker_build(self, build: DockerBuild) -> ImageReady:
        env, refs = self.spec.env, self.action.refs
        made = context.prepare(self.action.image, build, self.action.bases, env)
        prepared = dataclasses.replace(made, fresh=self.action.rebuild)
        if await self._straight(prepared):
            pass
        elif await self.tools.has_buildx(env):
            if await self._buildx(prepared):
                await self.check()  # it is in the registry by now, from where we take nothing away
                return self.ready("")
        else:
            docker = self._engine()
            await classic.build(
                prepared,
                refs.local,
                env,
                docker,
                await self._base_credentials(prepared),
                self.config.proxy_build_args(docker.endpoint.url),
                self.log,
            )
        await self._checked()
        return await self.deliver()

    async def _checked(self) -> None:
        """A tag is its key: what does not pass must not be found under it by the next run."""
        passed = False
        try:
            await self.check()
            passed = True
        finally:
            if not passed:
                await self._untag()

    async def _untag(self) -> None:
        ref = self.action.refs.local
        try:
            await self._engine().untag(ref)
        except events.EngineError as error:
            self.log.write(f"{ref} can't be removed: {error.message}\n", level="warn")

    async def _straight(self, prepared: context.Prepared) -> bool:
        """Build by BuildKit without buildx, where that takes no more than a request; whether."""
        env = self.spec.env
        if not self.tools.largest or classic.is_asked_for(env) or not straight.fits(prepared, env):
            return False
        if not (buildx.program(env, self.config) or await self.tools.has_buildx(env)):
            return False
        docker = self._engine()
        if not await straight.bases_are_there(prepared, docker):
            return False
        sent = await self.tools.pool.run(straight.request, prepared, self.tools.largest)
        if sent is None:
            return False
        proxies = self.config.proxy_build_args(docker.endpoint.url)
        return await straight.build(
            prepared, sent, self.action.refs.local, docker, proxies, self.log
        )

    async def _buildx(self, prepared: context.Prepared) -> bool:
        """Build by BuildKit; whether the image was pushed too."""
        cwd = self.spec.cwd or str(Path(self.spec.tiltfile).parent)
        await self.tools.pool.run(context.check_secrets, prepared, self.spec.env, cwd)
        ignores = await self.tools.pool.run(prepared.ignore_list)
        with context.folder(prepared, ignores) as folder:
            return await buildx.build(
                prepared,
                folder,
                self.action.refs.local,
                self.tools.processes,
                self.spec.env,
                self.config,
                cwd,
                self.log,
                push=self.action.refs.push,
            )

    async def _base_credentials(self, prepared: context.Prepared) -> dict[str, dict[str, str]]:
        """For each registry that a base image comes from, and for cached layers."""
        bases = dockerfile.base_images(
            prepared.dockerfile,
            prepared.build_args,
            prepared.build.target,
            prepared.build.platform,
        )
        named = [*(base.reference for base in bases), *prepared.build.cache_from]
        found: dict[str, dict[str, str]] = {}
        for host in sorted({domain for name in named if (domain := _domain(name))}):
            known = await self.tools.credentials.get(host, self.config, self.spec.env, self.log)
            if known:
                key = credentials.HUB_KEY if host == reference.HUB else host
                found[key] = known.auth_config()
        return found

    async def _custom_build(self, build: CustomBuild) -> ImageReady:
        refs = await custom.run(self.action, build, self.tools.processes, self.spec.env, self.log)
        await self.check()
        made = dataclasses.replace(self, action=dataclasses.replace(self.action, refs=refs))
        if build.skips_local_docker:
            return made.ready("")
        if build.tag and not build.outputs_image_ref_to:
            await made.retag(custom.expected(self.action, build))
        return await made.deliver(push=not build.disable_push)

    async def retag(self, source: str) -> None:
        if await self._in_engine(source) is None:
            raise self._not_made(source)
        try:
            await self._engine().tag(source, self.action.refs.local)
        except events.EngineError as error:
            image = self.action.image
            raise failures.engine(image.name, image.place, error) from error

    async def deliver(self, *, push: bool = True) -> ImageReady:
        """What was built is in the engine: see that it is, then push it if that is asked for."""
        found = await self._in_engine(self.action.refs.local)
        if found is None:
            raise self._not_made(self.action.refs.local)
        if push and self.action.refs.push:
            return self.ready(await self.push())
        return self.ready(found.id)

    def _not_made(self, ref: str) -> ports.PermanentError:
        image = self.action.image
        custom_hint = (
            "the command must tag the image as $EXPECTED_REF; if it uses no Docker Engine, "
            "set skips_local_docker=True"
        )
        return ports.PermanentError(
            Problem(
                Code.BUILD,
                f"building {image.name} left no image {ref} in the Docker Engine",
                place=image.place,
                hint=custom_hint
                if isinstance(image.build, CustomBuild)
                else "see where the builder puts images: `docker buildx ls`",
            )
        )

    async def push(self) -> str:
        self.phase("push")
        ref = self.action.refs.local
        host = reference.parse(ref).domain
        credential = await self.tools.credentials.get(host, self.config, self.spec.env, self.log)
        return await pushing.push(
            self.action.image.name,
            ref,
            self._engine(),
            credential,
            self.log,
            self.tools.patience,
        )

    def ready(self, digest: str, *, reused: str = "") -> ImageReady:
        return ImageReady(self.action.key, self.action.refs, digest, reused)


def _domain(name: str) -> str:
    try:
        return reference.parse(name).domain
    except reference.InvalidReferenceError:
        return ""  # `type=registry,…` of cache_from, which only BuildKit reads


def _no_phase(_name: str) -> None:
    """To look takes no phases."""


async def _no_check() -> None:
    """Nothing was built."""
