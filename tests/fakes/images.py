"""Images without Docker: two sets of references stand for the engine and the registry.

It keeps the contract that `tests/adapters/images/contract.py` checks on it and on the real thing.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace

from tiltd import ports
from tiltd.core import foreign, reuse
from tiltd.model.actions import EnsureImage, ImageRefs
from tiltd.model.desired import Image
from tiltd.model.names import ImageName
from tiltd.model.observed import Grounds
from tiltd.model.problems import Code, Problem
from tiltd.model.state import Cache, ImageReady, SessionSpec


class FakeImages:
    """Implements `ports.Images`.

    Args:
        holds: a build of this image waits for its event.
        failures: a build of this image raises this, each time.
        faults: so many builds of this image fail with a `TransientError` before one succeeds.

    Attributes:
        engine, registry: the references that are there; tests put in and take out as they like.
        built, pushed: what was done, in order.
        digests: of the images of others, by reference; `None` or not there: nobody can tell.
        platform: what is built for where the Tiltfile names nothing.
        running: builds at this moment; `most_running`: their highest number so far.
    """

    def __init__(
        self,
        *,
        holds: Mapping[ImageName, asyncio.Event] | None = None,
        failures: Mapping[ImageName, Exception] | None = None,
        faults: Mapping[ImageName, int] | None = None,
    ) -> None:
        self.engine: set[str] = set()
        self.registry: set[str] = set()
        self.built: list[ImageName] = []
        self.pushed: list[str] = []
        self.digests: dict[str, str] = {}
        self.platform = "linux/amd64"
        self.running = 0
        self.most_running = 0
        self._holds = dict(holds or {})
        self._failures = dict(failures or {})
        self._faults = dict(faults or {})

    async def ensure(
        self,
        action: EnsureImage,
        spec: SessionSpec,
        log: ports.Log,
        phase: ports.Phase,
        check: ports.Check,
    ) -> ImageReady:
        phase("find")
        await asyncio.sleep(0)
        action, found = self._chosen(action, spec)
        refs = action.refs
        if found and refs.push and refs.local in self.registry:
            return ImageReady(action.key, refs, _digest(action), "registry")
        if not found:
            phase("build")
            await self._build(action, log)
            try:
                await check()
            except Exception:
                self.engine.discard(refs.local)
                raise
        if refs.push:
            phase("push")
            await asyncio.sleep(0)
            self.registry.add(refs.local)
            self.pushed.append(refs.local)
            log.write(f"pushed {refs.local}\n")
        return ImageReady(action.key, refs, _digest(action), "engine" if found else "")

    async def grounds(self, image: Image, spec: SessionSpec, log: ports.Log) -> Grounds:
        del log
        await asyncio.sleep(0)
        names = foreign.references(image, self.platform, spec.env)
        return Grounds({name: self.digests.get(name) for name in names}, self.platform)

    async def find(
        self, action: EnsureImage, spec: SessionSpec, log: ports.Log
    ) -> ImageReady | None:
        del spec, log
        await asyncio.sleep(0)
        refs = reuse.revised(action.refs, self._number(action.refs) or 0)
        if refs.push and refs.local in self.registry:
            return ImageReady(action.key, refs, _digest(action), "registry")
        if refs.local in self.engine:
            return ImageReady(action.key, refs, _digest(action), "engine")
        return None

    def _number(self, refs: ImageRefs) -> int | None:
        """How often the newest that is there has been built again."""
        there = self.registry | self.engine
        names = itertools.takewhile(
            lambda n: reuse.revised(refs, n).local in there, itertools.count()
        )
        return max(names, default=None)

    def _chosen(self, action: EnsureImage, spec: SessionSpec) -> tuple[EnsureImage, bool]:
        """What is used or built, and whether it is there."""
        number = self._number(action.refs) if spec.cache is not Cache.OFF else None
        if number is not None and not action.rebuild:
            return replace(action, refs=reuse.revised(action.refs, number)), True
        if not reuse.shared(spec):
            return replace(action, refs=reuse.private(action.refs, spec)), False
        following = 0 if number is None else number + 1
        return replace(action, refs=reuse.revised(action.refs, following)), False

    async def _build(self, action: EnsureImage, log: ports.Log) -> None:
        name = action.image.name
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            log.write(f"building {name}\n")
            await asyncio.sleep(0)
            if hold := self._holds.get(name):
                await hold.wait()
            self._fail(name)
        finally:
            self.running -= 1
        self.engine.add(action.refs.local)
        self.built.append(name)

    def _fail(self, name: ImageName) -> None:
        if failure := self._failures.get(name):
            raise failure
        if self._faults.get(name):
            self._faults[name] -= 1
            raise ports.TransientError(
                Problem(Code.BUILD, f"building {name} failed: the registry is busy")
            )


def _digest(action: EnsureImage) -> str:
    return f"sha256:{action.key}"
