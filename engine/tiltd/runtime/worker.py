"""Does one action in the outside world, and says what followed.

Each action has a log of its own: the lines go under the resource that it is done for.  The worker
knows the ports and nothing behind them; it keeps no state beyond the cluster that the session is
connected to.
"""

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, ParamSpec, Protocol, TypeVar, assert_never

from tiltd.core import diff, follow, live, live_update, parts
from tiltd.core import graph as graphs
from tiltd.model import events
from tiltd.model.actions import (
    Action,
    Apply,
    ComposeDown,
    ComposeUp,
    ComposeWatch,
    Connect,
    Delete,
    Deploy,
    EnsureImage,
    LiveUpdate,
    LoadTiltfile,
    Look,
    ReadInputs,
    RunCommand,
    Serve,
    TakeStock,
    Undeploy,
)
from tiltd.model.desired import JSON, ComposeTarget, LocalTarget, Project
from tiltd.model.graph import Graph
from tiltd.model.live_update import Target
from tiltd.model.names import ImageName, ObjectId, ResourceName
from tiltd.model.observed import ContainerRun, Scope, ServiceContainer
from tiltd.model.problems import Code, Problem
from tiltd.model.state import ImageState, Mode, SessionSpec
from tiltd.ports import (
    Cluster,
    Composes,
    Contexts,
    Images,
    Inputs,
    LoadError,
    Log,
    PermanentError,
    Phase,
    Processes,
    Reader,
    Tiltfiles,
)
from tiltd.runtime import (
    archive,
    deploying,
    live_updating,
    loading,
    moving,
    origin,
    pruning,
    reading,
)
from tiltd.runtime.clock import Clock
from tiltd.runtime.logs import LogStore
from tiltd.runtime.store import Store

P = ParamSpec("P")
R = TypeVar("R")


class Calls(Protocol):
    """Runs a function without holding up the loop (`runtime.threads.Pool`)."""

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn`."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """The ports, each with what stands behind it."""

    tiltfiles: Tiltfiles
    contexts: Contexts
    inputs: Inputs
    images: Images
    processes: Processes
    printed: Reader
    clusters: Callable[[str], Cluster]
    composes: Composes


class Worker:
    """See the module.

    Args:
        outside: the ports, as soon as they are there.
        store: read for the session and the project; facts go back through the controller.
        logs: where the lines go.
        pool: for computations that would hold up the loop.
    """

    def __init__(
        self,
        outside: asyncio.Future[Outside],
        store: Store,
        logs: LogStore,
        pool: Calls,
        clock: Clock,
    ) -> None:
        self._coming, self._store, self._logs = outside, store, logs
        self._pool, self._clock = pool, clock
        self._cluster: Cluster | None = None
        self._clusters: asyncio.Queue[Cluster] = asyncio.Queue()

    async def run(self) -> NoReturn:
        """Keep the clusters running that sessions connect to. Never ends."""
        async with asyncio.TaskGroup() as group:
            while True:
                cluster = await self._clusters.get()
                group.create_task(cluster.run(), name="cluster")

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that the session is connected to."""
        return self._cluster

    async def forget(self) -> None:
        """Close the connection to the cluster: the session is over."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await cluster.close()

    async def do(  # noqa: C901, PLR0911 - a table of actions
        self, action: Action, phase: Phase
    ) -> tuple[events.Event, ...]:
        """Do `action`; the facts that follow."""
        await asyncio.shield(self._coming)  # a cancelled action must not take it from the others
        match action:
            case LoadTiltfile():
                return await self._load(action)
            case Connect():
                return await self._connect()
            case Look():
                return await self._look(action)
            case ReadInputs():
                return await self._read(action)
            case EnsureImage():
                return await self._ensure(action, phase)
            case Apply():
                return await self._apply(action, phase)
            case Delete():
                return await self._delete(action, phase)
            case Deploy():
                return await self._deploy(action, phase)
            case Undeploy():
                return await self._undeploy(action, phase)
            case TakeStock():
                return await self._stock(action)
            case LiveUpdate():
                return await self._live_update(action)
            case RunCommand():
                return await self._run(action)
            case Serve():
                return await self._serve(action)
            case ComposeUp():
                return await self._compose_up(action, phase)
            case ComposeWatch():
                return await self._compose_watch(action)
            case ComposeDown():
                return await self._compose_down(action, phase)
            case _:
                assert_never(action)

    @property
    def _outside(self) -> Outside:
        return self._coming.result()

    @property
    def _spec(self) -> SessionSpec:
        session = self._store.state.session
        if session is None:
            raise RuntimeError("work without a session")
        return session.spec

    async def _load(self, action: LoadTiltfile) -> tuple[events.Event, ...]:
        log = self._logs.writer("", "tiltfile")
        outside = self._outside

        def build(project: Project, namespace: str) -> Awaitable[Graph]:
            return self._pool.run(graphs.build, project, namespace)

        try:
            loaded, graph = await loading.load(
                outside.contexts, outside.tiltfiles, build, self._spec, log
            )
        except LoadError as error:
            self._store.dispatch(events.TiltfileBroken(error.watched))
            if self._spec.mode is Mode.UP:  # goes on; in all others this is the report of the end
                hint = f"\n  hint: {error.problem.hint}" if error.problem.hint else ""
                log.write(f"{error.problem}{hint}\n", level="error")
            raise
        self._logs.scrub(loaded.secrets)
        generation = action.generation
        now = self._clock.now()
        return (events.TiltfileLoaded(loaded.project, graph, loaded.kube_context, generation, now),)

    async def _connect(self) -> tuple[events.Event, ...]:
        state = self._store.state
        await self.forget()
        self._cluster = self._outside.clusters(state.label)
        self._clusters.put_nowait(self._cluster)
        self._cluster.tell_unreadable(self._unreadable)
        self._cluster.tell_blind(self._blind)
        self._cluster.tell_silence(self._silence)
        info = await self._cluster.connect(self._spec, state.kube_context)
        return (events.Connected(info),)

    def _unreadable(self, scope: Scope, words: str) -> None:
        if scope not in self._store.state.unreadable:
            self._store.dispatch(events.Unreadable(scope, words))

    def _blind(self, scopes: frozenset[Scope]) -> None:
        before = self._store.state.blind
        if bool(before) != bool(scopes):
            away = "the cluster is away: no verdict until it is seen again"
            text = away if scopes else "the cluster is seen again"
            self._logs.writer("", "cluster").write(f"{text}\n", level="warn")
        if before != scopes:
            self._store.dispatch(events.SightChanged(scopes))

    def _silence(self, run: ContainerRun, silent: bool) -> None:  # noqa: FBT001 - see `ports.Silence`
        self._store.dispatch(events.LogEnded(run, self._clock.now() if silent else None))

    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("work on a cluster before there is one")
        return self._cluster

    async def _look(self, action: Look) -> tuple[events.Event, ...]:
        found = await self._connected().look(action.scopes)
        state = self._store.state
        bodies = (f.body for f in found)
        ours = live.named(state.graph.manifests, bodies, state.kube_context.namespace)
        return (events.Looked(action.scopes, ours),)

    async def _read(self, action: ReadInputs) -> tuple[events.Event, ...]:
        name, build = action.image.name, action.image.build
        log, kept = self._image_log(name), action.grounds
        found = await reading.read(
            self._outside, action.image, action.generation, self._spec, log, kept
        )
        if not action.listed:
            return (found,)
        listing = self._outside.inputs.listing(found.digest)
        return (replace(found, files=live_update.located(build, listing)),)

    async def _ensure(self, action: EnsureImage, phase: Phase) -> tuple[events.Event, ...]:
        name = action.image.name
        log = self._image_log(name)
        known = self._store.state.images.get(name, ImageState())

        if action.reason:
            log.write(f"building {name} anew: {action.reason}\n")

        async def check() -> None:
            digest = await self._outside.inputs.digest(action.image.build)
            if digest != action.inputs and moving.useless(action.image, known.moves, log):
                raise moving.MovedError(digest)

        try:
            ready = await self._outside.images.ensure(action, self._spec, log, phase, check)
        except moving.MovedError as moved:
            generation = known.inputs_generation
            build, listing = action.image.build, self._outside.inputs.listing(moved.digest)
            files = live_update.located(build, listing) if known.files else {}
            return (events.InputsRead(name, generation, moved.digest, moved=True, files=files),)
        return (events.ImageBuilt(name, ready, action.inputs),)

    def _image_log(self, image: ImageName) -> Log:
        """An image's lines go under the first resource that deploys it."""
        state = self._store.state
        for name, manifest in state.graph.manifests.items():
            if image in manifest.images:
                return self._logs.writer(state.graph.resource_of[name], f"build/{image}")
        for resource in state.graph.resources.values():
            if image in graphs.deploys(resource):
                return self._logs.writer(resource.name, f"build/{image}")
        return self._logs.writer("", f"build/{image}")

    async def _apply(self, action: Apply, phase: Phase) -> tuple[events.Event, ...]:
        phase("apply")
        name = action.manifest.id
        state = self._store.state
        # A reload may have dropped it since this was decided; then the next wake-up cancels this.
        log = self._logs.writer(state.graph.resource_of.get(name, ResourceName("")), "apply")
        known = state.applied.get(name)
        before = known.body if known is not None else state.found.get(name)
        if action.drifted:
            if known is not None:
                before = state.live.objects.get(known.uid, known.body)
            if await self._left(action, before or {}, log):
                seen, now = before or {}, self._clock.now()
                return (events.ObjectApplied(name, action.key, seen, now, changed=False),)
        answer = await self._connected().apply(action.body, action.timeout)
        for field in answer.conflicts:
            log.write(f"{name}: took over {field} from another manager\n", level="warn")
        await self._tell(action, before, recreated=answer.recreated, log=log)
        now = self._clock.now()
        return (events.ObjectApplied(name, action.key, answer.body, now, changed=True),)

    async def _left(self, action: Apply, before: JSON, log: Log) -> bool:
        """Somebody else has changed an object: told; whether it is left so.

        Raises:
            PermanentError: it must not be (`--no-drift`).
        """
        changes = await self._pool.run(diff.between, before, action.body)
        told = "; ".join(str(c) for c in changes[:5]) or "its fields are managed by somebody else"
        message = f"{action.manifest.id}: somebody else has changed it: {told}"
        if self._spec.no_drift:
            hint = "bring the change into the manifest, or run without --no-drift to put it right"
            raise PermanentError(Problem(Code.DRIFT, message, hint=hint))
        does = "it is left so" if self._spec.no_heal else "it is put right"
        log.write(f"{message}; {does}\n", level="warn")
        return self._spec.no_heal

    async def _delete(self, action: Delete, phase: Phase) -> tuple[events.Event, ...]:
        phase("delete")
        name = action.manifest.id
        resource = self._store.state.graph.resource_of.get(name, ResourceName(""))
        await self._connected().delete((action.body,), action.timeout)
        self._logs.writer(resource, "delete").write(f"{name}: deleted\n")
        return (events.ObjectRemoved(name),)

    async def _deploy(self, action: Deploy, phase: Phase) -> tuple[events.Event, ...]:
        phase("apply")
        log = self._logs.writer(action.resource, "apply")
        if action.reason:
            log.write(f"deploying {action.resource} anew: {action.reason}\n")
        with deploying.in_context(self._spec, action.command) as command:
            code, text = await self._within(
                action.timeout, self._outside.processes.capture(command, self._spec.env, log)
            )
        if code != 0:
            raise PermanentError(_command_failed(action.resource, code, "deploys"))
        printed = await self._pool.run(self._outside.printed, text)
        self._logs.scrub(printed.secrets)
        objects = await self._with_uids(action.resource, printed.objects)
        for body in objects:
            log.write(f"{live.object_id(body)}: applied\n")
        now = self._clock.now()
        return (events.ResourceDeployed(action.resource, action.key, objects, now),)

    async def _within(self, seconds: float, work: Awaitable[tuple[int, str]]) -> tuple[int, str]:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as error:
            message = f"the command was stopped after {seconds:g}s"
            hint = "give it more time with update_settings(k8s_upsert_timeout_secs=…)"
            raise PermanentError(Problem(Code.COMMAND, message, hint=hint)) from error

    async def _with_uids(
        self, resource: ResourceName, objects: tuple[JSON, ...]
    ) -> tuple[JSON, ...]:
        """The objects as the cluster has them, where the command does not tell their uids."""
        namespace = self._store.state.kube_context.namespace
        bare = [body for body in objects if not live.uid(body)]
        if not bare:
            return objects
        scopes = frozenset(follow.deployed_scope(body, namespace) for body in bare)
        found = {f.id: f.body for f in await self._connected().look(scopes)}
        known = [body if live.uid(body) else _found(found, body, namespace) for body in objects]
        missing = [live.object_id(b) for b, k in zip(objects, known, strict=True) if k is None]
        if missing:
            message = f"the command of {resource} printed {missing[0]}, which the cluster has not"
            hint = "print what was applied: its output ends well with kubectl get -o yaml"
            raise PermanentError(Problem(Code.COMMAND, message, hint=hint))
        return tuple(body for body in known if body is not None)

    async def _undeploy(self, action: Undeploy, phase: Phase) -> tuple[events.Event, ...]:
        phase("delete")
        log = self._logs.writer(action.resource, "delete")
        with deploying.in_context(self._spec, action.command) as command:
            run = self._outside.processes.capture(command, self._spec.env, log)
            code, text = await self._within(action.timeout, run)
        log.write(text)
        if code != 0:
            raise PermanentError(_command_failed(action.resource, code, "removes"))
        return (events.ResourceUndeployed(action.resource),)

    async def _stock(self, action: TakeStock) -> tuple[events.Event, ...]:
        namespace = self._store.state.kube_context.namespace
        log = self._logs.writer("", "delete")
        where = await self._pool.run(origin.of, self._spec.tiltfile)
        return (await pruning.take(self._connected(), action, namespace, where, log),)

    async def _tell(
        self, action: Apply, before: Mapping[str, object] | None, *, recreated: bool, log: Log
    ) -> None:
        """One line about what an apply changed."""
        name = action.manifest.id
        if recreated:
            log.write(f"{name}: deleted and made anew, because a fixed field changed\n")
        elif before is None:
            log.write(f"{name}: applied\n")
        else:
            changes = await self._pool.run(diff.between, before, action.body)
            told = "; ".join(str(c) for c in changes[:5]) or "nothing that shows"
            more = f" and {len(changes) - 5} more" if changes[5:] else ""
            log.write(f"{name}: changed {told}{more}\n")

    async def _live_update(self, action: LiveUpdate) -> tuple[events.Event, ...]:
        async def pack(copies: Sequence[tuple[str, str]]) -> bytes:
            return await self._pool.run(archive.packed, copies)

        log = self._logs.writer(action.resource, "live-update")
        updating = live_updating.Updating(
            lambda target: self._inside(action.resource, target),
            self._store.dispatch,
            pack,
            log,
            posixpath.dirname(self._spec.tiltfile),
        )
        return await updating.do(action)

    def _inside(self, resource: ResourceName, target: Target) -> live_updating.Inside:
        service = self._store.state.graph.resources[resource].target
        if isinstance(service, ComposeTarget):
            composes = self._outside.composes
            life = live_updating.Life(
                lambda: self._began(resource, target.id), self._store.snapshots
            )
            return live_updating.InService(composes, target, service, self._spec, life)
        return live_updating.InPod(self._connected(), target)

    def _began(self, resource: ResourceName, container: str) -> float:
        up = self._store.state.services.get(resource)
        known = up.containers if up is not None else ()
        lives = (c.started_at for c in known if c.id == container and c.status == "running")
        return next(lives, 0.0)

    async def _run(self, action: RunCommand) -> tuple[events.Event, ...]:
        log = self._logs.writer(action.resource, "command")
        found = await self._depends_on(action.resource)
        if found and found == action.before:
            log.write("nothing that it depends on is different: it is not run again\n")
            return (events.CommandDone(action.resource, action.key, found),)
        code = await self._outside.processes.run(action.command, self._spec.env, log)
        if code != 0:
            raise PermanentError(_command_failed(action.resource, code))
        return (events.CommandDone(action.resource, action.key, found),)

    async def _depends_on(self, name: ResourceName) -> Mapping[str, str]:
        """The parts of a command's key; none where its `deps` can't be told."""
        resource = self._store.state.graph.resources.get(name)
        if resource is None or not isinstance(resource.target, LocalTarget):
            return {}  # a reload has just dropped it
        digest = await reading.deps(self._outside.inputs, resource.target)
        return {} if digest is None else parts.of_local(resource.target, digest)

    async def _serve(self, action: Serve) -> tuple[events.Event, ...]:
        log = self._logs.writer(action.resource, "serve")
        name = action.resource
        await self._outside.processes.serve(
            action.command,
            self._spec.env,
            action.probe,
            log,
            lambda status: self._store.dispatch(events.ServeChanged(name, status)),
            action.key,
        )
        return ()

    async def _compose_up(self, action: ComposeUp, phase: Phase) -> tuple[events.Event, ...]:
        log, began = self._logs.writer(action.resource, "apply"), self._clock.now()
        seen = await self._outside.composes.up(action, self._spec, log, phase)
        name, key, now = action.resource, action.key, self._clock.now()
        return (events.ServiceStarted(name, key, action.generation, seen, began, now),)

    async def _compose_watch(self, action: ComposeWatch) -> tuple[events.Event, ...]:
        session, name = self._store.state.session, action.resource

        def changed(seen: tuple[ServiceContainer, ...]) -> None:
            self._store.dispatch(events.ServiceSeen(name, seen, self._clock.now()))

        await self._outside.composes.watch(
            action,
            self._spec,
            session.started_at if session is not None else 0.0,
            lambda c: self._logs.writer(name, f"container/{c.name}/{c.id[:12]}"),
            changed,
        )
        return ()

    async def _compose_down(self, action: ComposeDown, phase: Phase) -> tuple[events.Event, ...]:
        phase("delete")
        names = tuple(action.services.values())
        log = self._logs.writer(names[0], "delete")
        found = await self._outside.composes.down(action, self._spec, log)
        absent = frozenset(n for service, n in action.services.items() if service not in found)
        return (events.ServicesRemoved(names, absent),)


def _found(known: Mapping[ObjectId, JSON], body: JSON, namespace: str) -> JSON | None:
    name = live.find(known, body, namespace)
    return None if name is None else known[name]


def _command_failed(resource: ResourceName, code: int, does: str = "") -> Problem:
    ended = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
    which = f"the command that {does} {resource}" if does else f"the command of {resource}"
    message = f"{which} {ended}"
    return Problem(Code.COMMAND, message, hint="its output is in the log above")
