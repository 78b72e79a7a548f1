"""What an image's key covers of the outside: the digests of others' images, and the platform.

The digest is the registry's: of what stands behind the tag, an index or a manifest.  The Engine
notes it with each image that it has pulled or pushed (`RepoDigests`), so two machines agree, one
that has the image and one that asks the registry.  An image's id is another thing (the digest of
its configuration), and stands in only for an image that was made here and is in no registry.

The builder takes what the Engine has, unless that is for another platform or `pull=True`; so do we.
Then the registry is asked, and when it does not answer, what was heard last on this machine counts:
it should not be a reason to build and roll out everything that a registry is away for a minute.

Each question is asked once in a session, however many images stand on the same base, and all at
once; after some seconds nobody waits for an answer any more.
"""

import asyncio
import dataclasses
import platform as machine
from collections import OrderedDict

from tiltd import ports
from tiltd.adapters.images import credentials, dockerconfig, engine, events, heard, registry, web
from tiltd.core import foreign, reference
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.observed import Grounds
from tiltd.model.state import SessionSpec

_SECONDS = 5.0
_ENGINE_SECONDS = 3.0
_KEPT = 512
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_Question = tuple[str, str, str, bool]


@dataclasses.dataclass(slots=True)
class _Answer:
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    known: bool = False
    text: str | None = None


class Asker:
    """Asks engines and registries; remembers the answers for a session.

    Args:
        known: the credentials.
        last: what registries said last.
    """

    def __init__(self, known: credentials.Credentials, last: heard.Heard) -> None:
        self._credentials, self._last = known, last
        self._answers: OrderedDict[_Question, _Answer] = OrderedDict()

    async def find(
        self,
        image: Image,
        spec: SessionSpec,
        docker: engine.Engine | None,
        config: dockerconfig.Config,
        log: ports.Log,
    ) -> Grounds:
        """What an image stands on.

        Args:
            image: whichever; only a `docker_build` stands on something.
            spec: of the session.
            docker: its engine; `None`: it has none.
            config: its Docker configuration.
            log: told what can't be found out.
        """
        build = image.build
        if not isinstance(build, DockerBuild):
            return Grounds()
        asking = _Asking(self._credentials, self._last, spec, docker, config, log)
        native = build.platform or await self._once(("", spec.id, "", False), asking) or ""
        names = foreign.references(image, native, spec.env)
        questions = [(name, spec.id, native, build.pull) for name in names]
        answers = await asyncio.gather(*(self._once(each, asking) for each in questions))
        return Grounds(dict(zip(names, answers, strict=True)), native)

    async def _once(self, question: _Question, asking: "_Asking") -> str | None:
        """The answer to a question of a session, which one asks and the others wait for."""
        answer = self._answers.setdefault(question, _Answer())
        self._answers.move_to_end(question)
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        async with answer.lock:
            if not answer.known:
                name, _, native, pull = question
                answer.text = (
                    await asking.digest(name, native, pull=pull)
                    if name
                    else await asking.platform()
                )
                answer.known = True
        return answer.text


@dataclasses.dataclass(frozen=True, slots=True)
class _Asking:
    """Who is asked, and as whom."""

    credentials: credentials.Credentials
    last: heard.Heard
    spec: SessionSpec
    docker: engine.Engine | None
    config: dockerconfig.Config
    log: ports.Log

    async def platform(self) -> str:
        """The engine's; without one this machine's, since that is where the next one would be."""
        if self.docker is not None:
            try:
                async with asyncio.timeout(_ENGINE_SECONDS):
                    return await self.docker.platform()
            except _FAULTS:
                pass
        name = machine.machine().lower()
        return f"linux/{_ARCHITECTURES.get(name, name)}"

    async def digest(self, name: str, platform: str, *, pull: bool) -> str | None:
        """Of a reference; `None`: nobody can tell."""
        image = reference.parse(name)
        if not pull and (found := await self._in_engine(name, image, platform)):
            return found
        answer = await self._in_registry(image)
        match answer:
            case registry.Present(digest) if digest:
                await self.last.note(name, digest)
                return digest
            case registry.Unknown(reason):
                why = reason
            case registry.Present():
                why = f"{image.domain} gives no digest"
            case registry.Absent():
                why = f"{image.domain} does not have it"
        if pull and (found := await self._in_engine(name, image, platform)):
            return found
        return await self._by_memory(name, why)

    async def _by_memory(self, name: str, why: str) -> str | None:
        known = await self.last.digest(name)
        does = "its last known digest" if known else "its name alone"
        self.log.write(f"can't tell which {name} this is built on ({why}): {does} counts\n")
        return known

    async def _in_registry(self, image: reference.Reference) -> registry.Answer:
        env = self.spec.env
        try:
            async with asyncio.timeout(_SECONDS):
                known = await self.credentials.get(image.domain, self.config, env, self.log)
                return await registry.has(image, "", known, env)
        except TimeoutError:
            return registry.Unknown(f"{image.domain} did not answer within {_SECONDS:g} s")

    async def _in_engine(self, name: str, image: reference.Reference, platform: str) -> str | None:
        if self.docker is None:
            return None
        try:
            async with asyncio.timeout(_ENGINE_SECONDS):
                found = await self.docker.glance(name)
        except _FAULTS:
            return None
        if found is None or not _fits(found, platform):
            return None
        digests = _digests(found, image)
        if not digests:
            return foreign.local(found.id)
        if len(digests) > 1:  # pulled from an index, and pushed as what it led to
            answer = await self._in_registry(image)
            if isinstance(answer, registry.Present) and answer.digest in digests:
                return answer.digest
        return min(digests)


_FAULTS = (
    TimeoutError,
    web.WebError,
    events.EngineError,
    ports.PermanentError,
    ports.TransientError,
    ValueError,
    KeyError,
)
"""An engine that can't be asked is no reason to fail: it may not be needed at all."""


def _fits(found: events.EngineImage, platform: str) -> bool:
    """Whether the builder takes it, and does not ask the registry for another one."""
    return not platform or registry.fits(found.system, found.architecture, found.variant, platform)


def _digests(found: events.EngineImage, image: reference.Reference) -> set[str]:
    """Those by which the registry of that reference knows it."""
    digests: set[str] = set()
    for text in found.digests:
        repository, _, digest = text.partition("@")
        try:
            known = reference.parse(repository)
        except reference.InvalidReferenceError:
            continue  # `<none>`
        if digest and known.repository == image.repository:
            digests.add(digest)
    return digests
