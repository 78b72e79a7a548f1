"""Looks at everything and does nothing: what `core.plan` is computed from.

The same events that a session's work gives are folded into a state of this plan's own, which no
store holds and no controller sees; so a plan can be made at any time, beside a session too.  What
is independent runs side by side: the cluster is found and listed while files are digested.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tiltd.core import follow, foreign, live, naming, plan, reduce, stock
from tiltd.core import graph as graphs
from tiltd.core.parts import Past, Used
from tiltd.core.reconcile import sources
from tiltd.model import events
from tiltd.model.actions import EnsureImage
from tiltd.model.desired import Image, LocalTarget, Manifest, Project
from tiltd.model.graph import Graph
from tiltd.model.names import ImageName, ObjectId, ResourceName, image_node
from tiltd.model.observed import Grounds
from tiltd.model.state import ImageReady, SessionSpec, State
from tiltd.model.trial import Trial
from tiltd.ports import Cluster, Loaded, Log, PermanentError, TransientError
from tiltd.runtime import loading, origin, pruning, reading
from tiltd.runtime.logs import LogStore
from tiltd.runtime.memory import Memory
from tiltd.runtime.worker import Calls, Outside

_TRIALS = 40
_FINDS = 8
_READS = 8
_SECONDS = 30.0

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan, and the state that it is about."""

    state: State
    nodes: tuple[plan.Planned, ...]


class Planner:
    """See the module.

    Args:
        outside: the ports, as soon as they are there.
        logs: learns the values that must not be shown.
        pool: for computations that would hold up the loop.
        memory: what is known of earlier runs.
    """

    def __init__(
        self, outside: asyncio.Future[Outside], logs: LogStore, pool: Calls, memory: Memory
    ) -> None:
        self._coming, self._logs, self._pool, self._memory = outside, logs, pool, memory

    async def load(self, spec: SessionSpec, log: Log) -> tuple[Loaded, Graph]:
        """The project, and nothing else: neither cluster nor engine is asked.

        Raises:
            PermanentError: the Tiltfile is wrong.
        """
        outside = await asyncio.shield(self._coming)

        def build(project: Project, namespace: str) -> Awaitable[Graph]:
            return self._pool.run(graphs.build, project, namespace)

        loaded, graph = await loading.load(outside.contexts, outside.tiltfiles, build, spec, log)
        self._logs.scrub(loaded.secrets)
        return loaded, graph

    async def draw(self, spec: SessionSpec, log: Log, *, offline: bool) -> Drawn:
        """A plan for what `ci` would do.

        Args:
            spec: as of a session.
            log: where the Tiltfile prints.
            offline: ask neither cluster nor engine nor registry.

        Raises:
            PermanentError: the Tiltfile is wrong, or something can't be read or reached.
            TransientError: likewise, and another try may help.
        """
        outside = await asyncio.shield(self._coming)
        s = reduce.reduce(State(), events.SessionStarted(spec, 0.0))
        loaded, graph = await self.load(spec, log)
        read = events.TiltfileLoaded(loaded.project, graph, loaded.kube_context, 1)
        s = reduce.reduce(s, read)
        if offline:
            past = await self._pool.run(self._memory.past, s)
            s = await self._with_inputs(s, outside, spec, log, past)
            deps = await _deps(s, outside)
            looks = plan.Looks(deps=deps, past=await self._past(s, outside, deps))
            return Drawn(s, await self._pool.run(plan.plan, s, looks))
        cluster = outside.clusters(s.label) if sources.needed(s) else None
        try:
            return await self._looked(s, outside, cluster, spec, log)
        finally:
            if cluster is not None:
                await cluster.close()

    async def remember(self, s: State) -> None:
        """Note what a session has used that has ended."""
        if s.project is not None and self._coming.done():
            await self._pool.run(self._memory.note, s, self._coming.result().inputs.listing)

    async def _looked(
        self, s: State, outside: Outside, cluster: Cluster | None, spec: SessionSpec, log: Log
    ) -> Drawn:
        with reading.unwrapped():
            async with asyncio.TaskGroup() as group:
                inputs = self._with_inputs(s, outside, spec, log)
                reading_all = group.create_task(inputs, name="inputs")
                depending = group.create_task(_deps(s, outside), name="deps")
                looking = group.create_task(_found(s, cluster, spec), name="look")
        s = reading_all.result()
        for event in looking.result():
            s = reduce.reduce(s, event)
        images = await self._find(s, outside, spec, log)
        trials: Mapping[ObjectId, Trial] = {}
        gone: tuple[plan.Gone, ...] = ()
        if cluster is not None:
            trials = await self._try(s, cluster, images)
            where = await self._pool.run(origin.of, spec.tiltfile)
            gone = await _gone(s, cluster, where, log)
        deps = depending.result()
        looks = plan.Looks(images, trials, gone, deps, await self._past(s, outside, deps))
        return Drawn(s, await self._pool.run(plan.plan, s, looks))

    async def _with_inputs(
        self, s: State, outside: Outside, spec: SessionSpec, log: Log, past: Past | None = None
    ) -> State:
        """All inputs of all images, also of those that take no part: they have keys, too.

        With a past, what engine and registries would say is taken from there.
        """

        def known(image: Image) -> Grounds | None:
            if past is None:
                return None
            used = past.nodes.get(image_node(image.name), Used("", {}))
            return foreign.remembered(image, used.parts, spec.env)

        images = tuple(i for i in s.graph.images.values() if not i.of_deploy)
        found = await _each(
            images, lambda i: reading.read(outside, i, 1, spec, log, known(i)), _READS
        )
        for event in found:
            s = reduce.reduce(s, event)
        return s

    async def _find(
        self, s: State, outside: Outside, spec: SessionSpec, log: Log
    ) -> dict[ImageName, ImageReady | None]:
        async def find(image: Image) -> ImageReady | None:
            key = naming.key(image.name, s)
            action = EnsureImage(image, key, plan.refs(image, s), {}, s.images[image.name].inputs)
            try:
                return await outside.images.find(action, spec, log)
            except (PermanentError, TransientError) as error:
                log.write(f"{image.name}: can't look for it: {error.problem.message}\n")
                return None

        images = [
            i for n, i in s.graph.images.items() if image_node(n) in s.wanted and not i.of_deploy
        ]
        found = await _each(images, find, _FINDS)
        return {image.name: there for image, there in zip(images, found, strict=True)}

    async def _try(
        self, s: State, cluster: Cluster, images: Mapping[ImageName, ImageReady | None]
    ) -> dict[ObjectId, Trial]:
        async def attempt(manifest: Manifest) -> Trial:
            body = plan.rendered(manifest, s, images).body
            return await cluster.trial(body, _SECONDS, known=manifest.id in s.found)

        doubtful = await self._pool.run(lambda: tuple(plan.doubtful(s, images)))
        found = await _each(doubtful, attempt, _TRIALS)
        return {m.id: trial for m, trial in zip(doubtful, found, strict=True)}

    async def _past(self, s: State, outside: Outside, deps: Mapping[ResourceName, str]) -> Past:
        past = await self._pool.run(self._memory.past, s)
        digests = {*(i.inputs for i in s.images.values()), *deps.values()}
        now = {digest: outside.inputs.listing(digest) for digest in digests}
        known = {digest: listing for digest, listing in now.items() if listing}
        return Past(past.nodes, {**past.listings, **known})


async def _deps(s: State, outside: Outside) -> dict[ResourceName, str]:
    """The digests of what local resources depend on."""
    local = [
        (name, resource.target)
        for name, resource in s.graph.resources.items()
        if isinstance(resource.target, LocalTarget)
    ]
    found = await _each(local, lambda item: reading.deps(outside.inputs, item[1]), _READS)
    return {name: digest or "" for (name, _), digest in zip(local, found, strict=True)}


async def _found(s: State, cluster: Cluster | None, spec: SessionSpec) -> tuple[events.Event, ...]:
    if cluster is None:
        return ()
    info = await cluster.connect(spec, s.kube_context)
    scopes = follow.look_scopes(s)
    bodies = (f.body for f in await cluster.look(scopes))
    ours = live.named(s.graph.manifests, bodies, s.kube_context.namespace)
    return events.Connected(info), events.Looked(scopes, ours)


async def _gone(s: State, cluster: Cluster, where: str, log: Log) -> tuple[plan.Gone, ...]:
    """What would be deleted, because it is no longer in the Tiltfile."""
    namespace, now = s.kube_context.namespace, stock.entries(s.graph)
    try:
        lists = stock.parse(await cluster.stock())
    except PermanentError as error:
        log.write(f"what is gone from the Tiltfile can't be told: {error.problem.message}\n")
        return ()
    lost = stock.gone(lists, stock.own(lists, now, namespace, where), now, namespace)
    found = await pruning.there(cluster, lost, namespace)
    bodies = tuple(found.items())
    stays = await _each(
        bodies, lambda item: pruning.reason_to_stay(cluster, *item, namespace), _FINDS
    )
    return tuple(plan.Gone(entry, why) for (entry, _), why in zip(bodies, stays, strict=True))


async def _each(
    items: Sequence[T], do: Callable[[T], Coroutine[Any, Any, R]], most: int
) -> list[R]:
    """What `do` gives for each, so many at once; the first error ends all."""
    limit = asyncio.Semaphore(most)

    async def one(item: T) -> R:
        async with limit:
            return await do(item)

    with reading.unwrapped():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item), name="look") for item in items]
    return [task.result() for task in tasks]
