"""One Kubernetes cluster: `ports.Cluster` over raw requests.

`run` owns the tasks that follow; the app keeps it running beside the engine.  `follow` and
`follow_logs` only say what is wanted (see `keeping`).  Importing aiohttp takes a tenth of a second,
so it happens in a thread: `warm` does it early, `connect` waits for it.

The first contact asks for everything at once: the version, all kinds, the registry that the cluster
announces.  Asking for kinds also proves the credentials: the version is told to anybody.

The skew of the clocks comes from the answer's `Date`, which counts whole seconds, in the middle of
the round trip; what is less than 1.5 s can't be told from rounding, and counts as none.

Source of the registry: KEP-1755 (`local-registry-hosting`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, cast

import yaml

from tiltd import ports
from tiltd.adapters.kubernetes import executing, faults, kubeconfig, local, logs, objects, watching
from tiltd.adapters.kubernetes.discovery import Discovery
from tiltd.adapters.kubernetes.faults import Refused
from tiltd.adapters.kubernetes.forwarding import Forwarding
from tiltd.adapters.kubernetes.inventory import Inventory
from tiltd.adapters.kubernetes.keeping import Keeper
from tiltd.adapters.kubernetes.wire import NoAnswer, Request, Trouble, Wire
from tiltd.core import inject, podspec
from tiltd.model.desired import JSON
from tiltd.model.live_update import Target
from tiltd.model.names import ObjectId
from tiltd.model.observed import (
    ClusterInfo,
    ContainerRun,
    Forward,
    FoundObject,
    KubeContext,
    PodPort,
    Scope,
)
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec
from tiltd.model.trial import Trial
from tiltd.runtime import imports, threads

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_PAUSES = (0.2, 0.4, 0.6, 0.8)
_PASSING = frozenset({Trouble.REFUSED, Trouble.NO_SUCH_HOST, Trouble.CLOSED})
_MIN_SKEW = 1.5
_LOOKS = 8
_LOG_GRACE = 2.0
_OF_ITSELF = 0.1
"""Seconds in which a log that is followed may come to its end by itself."""
_BEAT, _UNEASY, _DEAF = 2.0, 1.0, 4.0
"""Seconds between two questions, until a missing answer counts, and until it is given up."""
_FORBIDDEN = 403
_REGISTRY = "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting"
_MICROK8S_REGISTRY = "/api/v1/namespaces/container-registry/services/registry"


@dataclass(frozen=True, slots=True)
class _Link:
    """What belongs to one connection."""

    connection: Any
    kinds: Discovery
    objects: objects.Objects
    logs: logs.Logs
    inventory: Inventory

    @property
    def wire(self) -> Wire:
        """The connection as everybody else sees it."""
        return cast("Wire", self.connection)


class KubeCluster:
    """`ports.Cluster`; see the module.

    Args:
        project_label: the value of this project's label on its objects (`core.inject`).
        watch_seconds: how long one watch lasts before it is renewed.
    """

    def __init__(self, project_label: str, *, watch_seconds: float = 60.0) -> None:
        self._label = project_label
        self._selector = f"{inject.PROJECT_LABEL}={project_label}"
        self._watch_seconds = watch_seconds
        self._closed = asyncio.Event()
        self._link: _Link | None = None
        self._batch = watching.Batch()
        self._unreadable: ports.Unreadable = _unheard
        self._tell_blind: ports.Blind = _unseen
        self._tell_silence: ports.Silence = _unnoticed
        self._blind: frozenset[Scope] = frozenset()
        self._doubtful: frozenset[Scope] = frozenset()
        self._scopes: frozenset[Scope] = frozenset()
        self._positions: dict[Scope, watching.Position] = {}
        self._log: Callable[[ContainerRun], ports.Log] | None = None
        self._watches = Keeper[Scope, Scope](self._watch)
        self._streams = Keeper[logs.Key, ContainerRun](self._stream, grace=_LOG_GRACE)
        self._forwarding = Forwarding(lambda: self._connected().wire)

    async def warm(self) -> None:
        """Import what takes long, in a thread."""
        await threads.alone("kubernetes", _import)

    async def run(self) -> None:
        """Follow what is wanted, until cancelled or closed."""
        async with asyncio.TaskGroup() as group:
            keepers = (self._watches, self._streams, self._forwarding)
            tasks = [group.create_task(keeper.run(), name="keeper") for keeper in keepers]
            tasks.append(group.create_task(self._listen_for_life(), name="life"))
            await self._closed.wait()
            for task in tasks:
                task.cancel()

    async def connect(self, spec: SessionSpec, context: KubeContext) -> ClusterInfo:
        """See `ports.Cluster`; what was followed before is not any more.

        Raises:
            PermanentError: no such context, wrong credentials, or nobody there (after 2 s).
            TransientError: the API server is starting.
        """
        merged = kubeconfig.read(spec)
        if not context.name:
            raise ports.PermanentError(_no_context(merged, spec))
        await self.warm()
        await self._disconnect()
        module = imports.load("tiltd.adapters.kubernetes.connection")
        secrets = imports.load("tiltd.adapters.kubernetes.credentials")
        credentials = secrets.Credentials(merged, context, spec.env, module.refresh)
        connection = module.Connection(credentials)
        kinds = Discovery(connection)
        placed = objects.Objects(connection, kinds, context.namespace)
        kept = Inventory(connection, self._label, context.namespace)
        told = logs.Logs(connection, self._forbidden_log, self._silence)
        link = _Link(connection, kinds, placed, told, kept)
        try:
            info = await _contact(link, merged, spec, context)
        except BaseException:
            await connection.close()
            raise
        self._link = link
        return info

    def tell_unreadable(self, listener: ports.Unreadable) -> None:
        """See `ports.Cluster`."""
        self._unreadable = listener

    def tell_blind(self, listener: ports.Blind) -> None:
        """See `ports.Cluster`."""
        self._tell_blind = listener

    def tell_silence(self, listener: ports.Silence) -> None:
        """See `ports.Cluster`."""
        self._tell_silence = listener

    async def look(self, scopes: frozenset[Scope]) -> tuple[FoundObject, ...]:
        """See `ports.Cluster`."""
        link = self._connected()
        limit = asyncio.Semaphore(_LOOKS)

        async def one(scope: Scope) -> list[FoundObject]:
            async with limit:
                return await self._list(link, scope)

        found = await asyncio.gather(*(one(scope) for scope in sorted(scopes)))
        return tuple(item for part in found for item in part)

    async def apply(self, body: JSON, seconds: float) -> ports.AppliedObject:
        """See `ports.Cluster`; the answer comes without `managedFields`.

        A namespaced object without a namespace goes to the context's.
        """
        return await self._connected().objects.apply(body, seconds)

    async def trial(self, body: JSON, seconds: float, *, known: bool) -> Trial:
        """See `ports.Cluster`."""
        return await self._connected().objects.trial(body, seconds, known=known)

    async def stock(self) -> Mapping[str, str]:
        """See `ports.Cluster`."""
        return await self._connected().inventory.read()

    async def stocks_elsewhere(self) -> Sequence[tuple[str, Mapping[str, str]]]:
        """See `ports.Cluster`."""
        return await self._connected().inventory.others()

    async def note_stock(self, name: str, text: str | None) -> None:
        """See `ports.Cluster`."""
        await self._connected().inventory.note(name, text)

    async def delete(self, bodies: Sequence[JSON], seconds: float) -> None:
        """See `ports.Cluster`."""
        await self._connected().objects.delete(bodies, seconds)

    async def execute(
        self, target: Target, argv: Sequence[str], log: ports.Log, stdin: bytes | None = None
    ) -> int:
        """See `ports.Cluster`."""
        return await executing.execute(self._connected().wire, target, argv, log, stdin)

    def follow(self, scopes: frozenset[Scope], listener: ports.ClusterListener) -> None:
        """See `ports.Cluster`; objects are told without `managedFields`.

        Nothing is told of the objects of a scope that is not wanted any more.
        """
        self._batch.listener = listener
        for scope in self._blind - scopes:
            self._see(scope, False)  # noqa: FBT003 - see `Watching`
        for scope in self._positions.keys() - scopes:
            del self._positions[scope]
        self._scopes = scopes
        self._watches.want({scope: scope for scope in scopes})

    def follow_logs(
        self, runs: frozenset[ContainerRun], log: Callable[[ContainerRun], ports.Log]
    ) -> None:
        """See `ports.Cluster`; a life that is not wanted any more has 2 s for its last lines."""
        self._log = log
        self._streams.want({logs.key(run): run for run in sorted(runs)})

    async def drain(self, runs: frozenset[ContainerRun], seconds: float) -> None:
        """See `ports.Cluster`; gives up after `seconds`."""
        lives = {logs.key(run) for run in runs}
        await self._streams.ended(lives, min(_OF_ITSELF, seconds))
        if self._link is not None:
            self._link.logs.hurry(lives)
        await self._streams.ended(lives, seconds)

    def forward(
        self, wanted: Mapping[Forward, PodPort | None], listener: ports.ForwardListener
    ) -> None:
        """See `ports.Cluster`."""
        self._forwarding.want(wanted, listener)

    async def close(self) -> None:
        """See `ports.Cluster`."""
        self._closed.set()
        await self._disconnect()

    async def _listen_for_life(self) -> NoReturn:
        """A connection that swallows everything looks like a quiet cluster: so ask, now and then.

        Without an answer nothing is seen; and what was asked for long ago is asked for anew, since
        the connections may be dead.
        """
        while True:
            await asyncio.sleep(_BEAT)
            if self._link is None or not self._scopes:
                continue
            timer = asyncio.get_running_loop().call_later(_UNEASY, self._see_nothing)
            try:
                async with asyncio.timeout(_DEAF):
                    await self._link.wire.ask(Request("GET", "/version", seconds=_DEAF))
            except (NoAnswer, TimeoutError, ports.PermanentError, ports.TransientError):
                self._see_nothing()
                self._doubtful = frozenset()  # the new watches tell when they see
                await self._watches.stop()
                self._watches.want({scope: scope for scope in self._scopes})
            else:
                self._see_again()
            finally:
                timer.cancel()

    def _see_nothing(self) -> None:
        self._doubtful = self._scopes - self._blind
        for scope in self._doubtful:
            self._see(scope, True)  # noqa: FBT003 - see `Watching`

    def _see_again(self) -> None:
        """The answer was only late: the watches have been there all the while."""
        doubtful, self._doubtful = self._doubtful, frozenset[Scope]()
        for scope in doubtful:
            self._see(scope, False)  # noqa: FBT003 - see `Watching`

    async def _disconnect(self) -> None:
        self._scopes, self._positions = frozenset(), {}
        await asyncio.gather(self._watches.stop(), self._streams.stop(), self._forwarding.stop())
        link, self._link = self._link, None
        if link:
            await link.connection.close()

    def _connected(self) -> _Link:
        if self._link is None:
            raise RuntimeError("connect to the cluster first")
        return self._link

    async def _list(self, link: _Link, scope: Scope) -> list[FoundObject]:
        selector = self._selector if scope.ours else ""
        try:
            kind = await link.kinds.find(scope.group, scope.version, scope.kind)
            if kind is None:
                return []
            found, _ = await objects.listed(link.wire, kind, scope.namespace, selector)
        except Refused as refused:
            if refused.reply.status not in {403, 404, 405}:
                what = f"can't list {scope.kind}: {refused.words}"
                raise ports.TransientError(Problem(Code.CLUSTER_UNREACHABLE, what)) from refused
            _log.info("can't list %s in %r: %s", scope.kind, scope.namespace, refused.words)
            if refused.reply.status == _FORBIDDEN:
                self._unreadable(scope, refused.words)
            return []
        except NoAnswer as error:
            what = f"can't list {scope.kind}: the cluster went away: {error}"
            raise ports.TransientError(Problem(Code.CLUSTER_UNREACHABLE, what)) from error
        return [FoundObject(_id(body, scope), body) for body in found]

    async def _watch(self, scope: Scope) -> None:
        link, seconds = self._connected(), self._watch_seconds
        watch = watching.Watching(
            link.wire,
            link.kinds,
            self._selector,
            self._batch,
            seconds,
            self._forbidden,
            self._see,
            self._positions,
        )
        await watch.follow(scope)

    def _see(self, scope: Scope, blind: bool) -> None:  # noqa: FBT001 - see `Watching`
        now = self._blind | {scope} if blind else self._blind - {scope}
        if now != self._blind:
            self._blind = now
            self._tell_blind(now)

    def _forbidden(self, scope: Scope, words: str) -> None:
        self._unreadable(scope, words)

    def _forbidden_log(self, namespace: str, words: str) -> None:
        self._unreadable(Scope("", "v1", ports.LOG_KIND, namespace, ours=False), words)

    def _silence(self, run: ContainerRun, silent: bool) -> None:  # noqa: FBT001 - see `ports.Silence`
        self._tell_silence(run, silent)

    async def _stream(self, run: ContainerRun) -> None:
        if self._log:
            await self._connected().logs.follow(run, self._log(run))


def _unheard(_scope: Scope, _words: str) -> None:
    """Until somebody listens."""


def _unseen(_blind: frozenset[Scope]) -> None:
    """Until somebody listens."""


def _unnoticed(_run: ContainerRun, _silent: bool) -> None:  # noqa: FBT001 - see `ports.Silence`
    """Until somebody listens."""


def _import() -> None:
    imports.load("tiltd.adapters.kubernetes.connection")


def _id(body: JSON, scope: Scope) -> ObjectId:
    metadata = podspec.section(body, "metadata")
    return ObjectId(
        scope.group, scope.kind, str(metadata.get("namespace") or ""), str(metadata["name"])
    )


def _no_context(merged: kubeconfig.Kubeconfig, spec: SessionSpec) -> Problem:
    if not merged.files:
        what = f"there is no kubeconfig: looked for {', '.join(merged.searched)}"
        hint = "Set KUBECONFIG, or start a cluster: tilt-client cluster up, kind, k3d, minikube …"
    elif wanted := spec.context or merged.current:
        what = f"there is no context {wanted!r} in {', '.join(merged.files)}"
        hint = f"There are: {', '.join(sorted(merged.contexts)) or 'none'}."
    else:
        what = f"no context is chosen in {', '.join(merged.files)}"
        hint = (
            "Choose one with `kubectl config use-context NAME`, or with --context; "
            "`tilt-client ci --cluster embedded` needs none."
        )
    return Problem(Code.CLUSTER_CONFIG, what, None, hint)


async def _contact(
    link: _Link, merged: kubeconfig.Kubeconfig, spec: SessionSpec, context: KubeContext
) -> ClusterInfo:
    pauses = iter(_PAUSES)
    while True:
        try:
            await link.connection.open()
            return await _greet(link, merged, spec, context)
        except (NoAnswer, Refused) as error:
            again = error.trouble in _PASSING if isinstance(error, NoAnswer) else _busy(error)
            pause = next(pauses, None) if again else None
            if pause is None:
                faults.raise_connect(error, context)
            await asyncio.sleep(pause)


def _busy(refused: Refused) -> bool:
    return refused.reply.status in {429, 500, 502, 503, 504}


async def _greet(
    link: _Link, merged: kubeconfig.Kubeconfig, spec: SessionSpec, context: KubeContext
) -> ClusterInfo:
    entry = merged.clusters.get(context.cluster)
    value: JSON = entry.value if entry else {}
    what, signed = local.product(context.cluster, value), local.engine(value)
    (version, skew), _, registry, runtime = await asyncio.gather(
        _version(link.wire),
        link.kinds.load(),
        _registry(link.wire, what),
        _runtime(link.wire, what),
    )
    shares = local.shares_engine(what, context.name, spec.env, runtime=runtime, signed=signed)
    return ClusterInfo(context, version, skew, *registry, shares_engine=shares)


async def _version(wire: Wire) -> tuple[str, float]:
    before = time.time()
    reply = await wire.ask(Request("GET", "/version", seconds=_CONNECT_SECONDS))
    middle = (before + time.time()) / 2
    if not reply.ok:
        raise Refused(reply)
    return str(reply.json().get("gitVersion") or ""), skew(reply.headers.get("Date", ""), middle)


def skew(date: str, ours: float) -> float:
    """The server's clock minus ours in seconds, 0 where that is less than a `Date` can tell."""
    with suppress(ValueError):
        found = parsedate_to_datetime(date).timestamp() + 0.5 - ours
        return found if abs(found) >= _MIN_SKEW else 0.0
    return 0.0


async def _optional(wire: Wire, path: str, query: Mapping[str, str] | None = None) -> JSON:
    """An object that may be missing, or not for us to see."""
    with suppress(NoAnswer):
        reply = await wire.ask(Request("GET", path, query or {}, seconds=_CONNECT_SECONDS))
        if reply.ok:
            return reply.json()
    return {}


async def _registry(wire: Wire, what: local.Product) -> tuple[str, str]:
    """The registry as we push, and as the cluster pulls."""
    announced = podspec.section(await _optional(wire, _REGISTRY), "data")
    try:
        hosting: object = yaml.safe_load(str(announced.get("localRegistryHosting.v1") or "")) or {}
    except yaml.YAMLError:
        hosting = {}
    row: JSON = cast("JSON", hosting) if isinstance(hosting, dict) else {}
    if row.get("host"):
        return str(row["host"]), str(row.get("hostFromContainerRuntime") or row["host"])
    if what is local.Product.MICROK8S:
        service = podspec.section(await _optional(wire, _MICROK8S_REGISTRY), "spec")
        for port in podspec.rows(service.get("ports")):
            if port.get("nodePort"):
                host = f"localhost:{port['nodePort']}"
                return host, host
    return "", ""


async def _runtime(wire: Wire, what: local.Product) -> str:
    if not local.asks_for_runtime(what):
        return ""
    for node in podspec.rows((await _optional(wire, "/api/v1/nodes", {"limit": "1"})).get("items")):
        info = podspec.section(podspec.section(node, "status"), "nodeInfo")
        return str(info.get("containerRuntimeVersion") or "")
    return ""
