"""A cluster in memory: it keeps state, and can be told to be slow, to fail, to play controllers.

It behaves like the adapter over a real API server as far as the engine can see; the suite in
`tests/adapters/kubernetes/test_contract.py` runs on both.  It reads time from the event loop only,
so it works in virtual time.

    cluster.errors["Deployment/web"].append(ports.TransientError(...))   the next apply fails
    cluster.on("Deployment", lambda c, live: c.later(2, ...))            a controller
    cluster.put(pod); cluster.change(pod, status=…); cluster.remove(pod) what others do
    cluster.say(pod, "main", "hello\\n")                                  a container prints
"""

import asyncio
import copy
from base64 import b64encode
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from tests.fakes.forwards import FakeForwards
from tests.fakes.inside import Insides
from tiltd import ports
from tiltd.core import inject
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
    Uid,
)
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec
from tiltd.model.trial import Trial

Obj = dict[str, Any]
Path = tuple[str, ...]
Controller = Callable[["FakeCluster", Obj], None]

_CLUSTER_SCOPED = frozenset(
    {
        *("Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"),
        *("PersistentVolume", "StorageClass", "PriorityClass", "IngressClass", "APIService"),
    }
)
_GROUPS = {
    "": "ConfigMap Secret Service ServiceAccount Pod PersistentVolumeClaim Namespace Event "
    "PersistentVolume Endpoints ReplicationController",
    "apps": "Deployment StatefulSet DaemonSet ReplicaSet",
    "batch": "Job CronJob",
    "networking.k8s.io": "Ingress IngressClass NetworkPolicy",
    "rbac.authorization.k8s.io": "Role RoleBinding ClusterRole ClusterRoleBinding",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "autoscaling": "HorizontalPodAutoscaler",
    "policy": "PodDisruptionBudget",
    "storage.k8s.io": "StorageClass",
    "scheduling.k8s.io": "PriorityClass",
    "apiregistration.k8s.io": "APIService",
}
_FIELDS = frozenset(
    {
        *("apiVersion", "kind", "metadata", "spec", "status", "data", "binaryData", "stringData"),
        *("immutable", "type", "rules", "subjects", "roleRef", "aggregationRule", "secrets"),
        *("imagePullSecrets", "automountServiceAccountToken", "provisioner", "parameters"),
        *("value", "description", "involvedObject", "reason", "message", "source", "count"),
    }
)
_IMMUTABLE: Mapping[str, Path] = {
    "Deployment": ("spec", "selector"),
    "StatefulSet": ("spec", "selector"),
    "DaemonSet": ("spec", "selector"),
    "Job": ("spec", "template"),
    "RoleBinding": ("roleRef",),
}
_OURS = "tiltd"
_MISSING = object()


class FakeCluster:
    """See the module.

    Args:
        label: the value of the project's label.
        delay: seconds that each request takes.
        epoch: the date at the loop's time 0.
    """

    def __init__(
        self, label: str = "test", *, delay: float = 0.01, epoch: float = 1_800_000_000.0
    ) -> None:
        self.label, self.delay, self.epoch = label, delay, epoch
        self.objects: dict[Uid, Obj] = {}
        self.errors: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.delete_errors: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.connect_errors: deque[Exception] = deque()
        self.info = ClusterInfo(KubeContext(), "v1.36.0")
        self.forbidden: set[str] = set()
        self.stocks: dict[str, str] = {}
        self.other_stocks: list[tuple[str, dict[str, str]]] = []
        self.stock_errors: deque[Exception] = deque()
        self.stock_writes = 0
        self.blind: ports.Blind = _unseen
        self.silence: ports.Silence = _unnoticed
        self._unreadable: ports.Unreadable = _unheard
        self.drained: list[tuple[frozenset[ContainerRun], float]] = []
        self.applied: list[str] = []
        self.recreated: list[str] = []
        self.deleted: list[str] = []
        self.active = self.most_active = 0
        self.scopes: frozenset[Scope] = frozenset()
        self.forwards = FakeForwards()
        self.closed = False
        self.inside = Insides()
        self._closing = asyncio.Event()
        self._namespace = "default"
        self._managers: defaultdict[Uid, dict[Path, str]] = defaultdict(dict)
        self._controllers: defaultdict[str, list[Controller]] = defaultdict(list)
        self._kinds = {(g, k) for g, kinds in _GROUPS.items() for k in kinds.split()}
        self._listener: ports.ClusterListener = _nobody
        self._seen: dict[Uid, Obj] = {}
        self._gone: dict[Uid, None] = {}
        self._printed: defaultdict[tuple[str, str, int], str] = defaultdict(str)
        self._told: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._logs: dict[tuple[str, str, int], ports.Log] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self._counter = 0
        for name in ("default", "kube-system"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    # The port.

    async def connect(self, spec: SessionSpec, context: KubeContext) -> ClusterInfo:
        """See `ports.Cluster`."""
        del spec  # nothing here needs credentials
        await asyncio.sleep(self.delay)
        if self.connect_errors:
            raise self.connect_errors.popleft()
        if not context.name:
            problem = Problem(Code.CLUSTER_CONFIG, "there is no kubeconfig")
            raise ports.PermanentError(problem)
        self._namespace = context.namespace
        old = self.info
        self.info = ClusterInfo(
            context,
            old.version,
            old.skew,
            old.registry_host,
            old.registry_host_from_cluster,
            old.shares_engine,
        )
        return self.info

    def tell_unreadable(self, listener: ports.Unreadable) -> None:
        """See `ports.Cluster`."""
        self._unreadable = listener

    def tell_blind(self, listener: ports.Blind) -> None:
        """See `ports.Cluster`; a test calls `blind`."""
        self.blind = listener

    def tell_silence(self, listener: ports.Silence) -> None:
        """See `ports.Cluster`; a test calls `silence`."""
        self.silence = listener

    async def look(self, scopes: frozenset[Scope]) -> tuple[FoundObject, ...]:
        """See `ports.Cluster`."""
        await asyncio.sleep(self.delay)
        for scope in sorted(scopes):
            if scope.kind in self.forbidden:
                self._unreadable(scope, f"cannot list {scope.kind}")
        return tuple(
            FoundObject(_id(body), {**copy.deepcopy(body), "metadata": self._managed(uid, body)})
            for scope in sorted(scopes)
            for uid, body in self.objects.items()
            if self._covers(scope, body) and scope.kind not in self.forbidden
        )

    async def apply(self, body: JSON, seconds: float) -> ports.AppliedObject:
        """See `ports.Cluster`."""
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(self.delay)
                return await self._apply(_plain(body), seconds)
        except TimeoutError:
            what = f"{title(body)}: the apply did not end within {seconds:g} s"
            raise ports.TransientError(Problem(Code.TIMEOUT, what)) from None
        finally:
            self.active -= 1

    async def trial(self, body: JSON, seconds: float, *, known: bool) -> Trial:
        """See `ports.Cluster`."""
        del seconds  # nothing here holds it up
        await asyncio.sleep(self.delay)
        wanted = self._placed(_plain(body))
        if (_group(wanted), wanted["kind"]) not in self._kinds:
            return Trial(words=f"the cluster knows no {wanted['kind']} yet")
        try:
            self._check(wanted)
        except ports.TransientError:
            return Trial(words="its namespace is not there yet")
        except ports.PermanentError as error:
            return Trial(refused=error.problem)
        live = self._find(wanted)
        if live is None:
            return Trial(wanted)
        before = None if known else copy.deepcopy(live)
        if _immutable_changed(live, wanted):
            return Trial(before=before, immutable=True)
        after, conflicts, _ = self._merged(live, wanted)
        return Trial(after, before, conflicts=conflicts)

    async def stock(self) -> Mapping[str, str]:
        """See `ports.Cluster`."""
        await asyncio.sleep(self.delay)
        if self.stock_errors:
            raise self.stock_errors.popleft()
        return dict(self.stocks)

    async def stocks_elsewhere(self) -> Sequence[tuple[str, Mapping[str, str]]]:
        """See `ports.Cluster`."""
        await asyncio.sleep(self.delay)
        return tuple(self.other_stocks)

    async def note_stock(self, name: str, text: str | None) -> None:
        """See `ports.Cluster`."""
        await asyncio.sleep(self.delay)
        self.stock_writes += 1
        if text is None:
            self.stocks.pop(name, None)
        else:
            self.stocks[name] = text

    async def delete(self, bodies: Sequence[JSON], seconds: float) -> None:
        """See `ports.Cluster`."""
        del seconds  # nothing here holds a delete up
        await asyncio.sleep(self.delay)
        for body in bodies:
            live = self._find(self._placed(_plain(body)))
            if errors := self.delete_errors[title(body)]:
                raise errors.popleft()
            only = body["metadata"].get("uid")
            if live is not None and only in {None, live["metadata"]["uid"]}:
                self.remove(live)

    async def execute(
        self, target: Target, argv: Sequence[str], log: ports.Log, stdin: bytes | None = None
    ) -> int:
        """See `ports.Cluster`; only containers that pods tell of are there."""
        lives = (
            status.get("containerID")
            for body in self.objects.values()
            if body["kind"] == "Pod"
            for status in body.get("status", {}).get("containerStatuses", ())
        )
        if target.id not in lives:
            problem = Problem(Code.COMMAND, f"no program can be run in {target}: not found")
            raise ports.GoneError(problem)
        return await self.inside.execute(target, argv, log, stdin)

    def follow(self, scopes: frozenset[Scope], listener: ports.ClusterListener) -> None:
        """See `ports.Cluster`."""
        self._listener = listener
        before, self.scopes = self.scopes, scopes
        for body in self.objects.values():
            if self._watched(body) and not any(self._covers(s, body) for s in before):
                self._tell(body)

    def follow_logs(
        self, runs: frozenset[ContainerRun], log: Callable[[ContainerRun], ports.Log]
    ) -> None:
        """See `ports.Cluster`."""
        self._logs = {(run.uid, run.container, run.restart): log(run) for run in sorted(runs)}
        for key in self._logs:
            self._print(key)

    async def drain(self, runs: frozenset[ContainerRun], seconds: float) -> None:
        """See `ports.Cluster`; what was said here has been told at once."""
        self.drained.append((runs, seconds))
        await asyncio.sleep(0)

    def forward(
        self, wanted: Mapping[Forward, PodPort | None], listener: ports.ForwardListener
    ) -> None:
        """See `ports.Cluster`."""
        self.forwards.want(wanted, listener)

    async def run(self) -> None:
        """See `ports.Cluster`; nothing here needs a task."""
        await self._closing.wait()

    async def close(self) -> None:
        """See `ports.Cluster`."""
        await asyncio.sleep(0)
        self.closed = True
        self._closing.set()
        self.scopes, self._logs = frozenset(), {}
        self.forwards.stop()
        for timer in self._timers:
            timer.cancel()

    # What others do.

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.epoch + asyncio.get_running_loop().time()

    def stamp(self) -> str:
        """The time as the API server writes it."""
        loop = _loop()
        moment = self.epoch + (loop.time() if loop else 0.0)
        return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something after a while, as controllers do; not after `close`."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, do))

    def on(self, kind: str, controller: Controller) -> None:
        """Play a controller: called with each object of a kind that is made or changed."""
        self._controllers[kind].append(controller)

    def put(self, body: JSON) -> Obj:
        """Make an object as somebody else would; its uid may be given."""
        live = self._placed(_plain(body))
        metadata = live["metadata"]
        metadata.setdefault("uid", f"uid-{self._next()}")
        metadata.setdefault("creationTimestamp", self.stamp())
        self._save(live)
        return live

    def change(self, body: JSON, *, manager: str = "someone", **fields: Any) -> Obj:
        """Replace top-level fields (`status`, `spec` …) as somebody else would."""
        live = copy.deepcopy(self.objects[Uid(body["metadata"]["uid"])])
        before = dict(_leaves(live))
        live |= copy.deepcopy(fields)
        owned = self._managers[Uid(live["metadata"]["uid"])]
        for path, value in _leaves({key: live[key] for key in fields}):
            if before.get(path, _MISSING) != value:
                owned[path] = manager
        if "spec" in fields:
            live["metadata"]["generation"] = int(live["metadata"].get("generation") or 0) + 1
        self._save(live)
        return live

    def remove(self, body: JSON) -> None:
        """Remove an object, and all that it owns or holds."""
        uid = Uid(body["metadata"]["uid"])
        live = self.objects.pop(uid, None)
        if live is None:
            return
        self._managers.pop(uid, None)
        self.deleted.append(title(live))
        if self._watched(live):
            self._schedule()
            self._seen.pop(uid, None)
            self._gone[uid] = None
        if live["kind"] == "CustomResourceDefinition":
            self._kinds.discard((live["spec"]["group"], live["spec"]["names"]["kind"]))
        for other in tuple(self.objects.values()):
            if (_group(other), other["kind"]) not in self._kinds:
                self.remove(other)
            owners = other["metadata"].get("ownerReferences") or ()
            held = live["kind"] == "Namespace" and _where(other) == live["metadata"]["name"]
            if held or any(owner["uid"] == uid for owner in owners):
                self.remove(other)

    def say(self, pod: JSON, container: str, text: str, *, restart: int = 0) -> None:
        """A container prints."""
        key = (str(pod["metadata"]["uid"]), container, restart)
        self._printed[key] += text
        self._print(key)

    def get(self, kind: str, name: str, namespace: str = "default") -> Obj:
        """A live object.

        Raises:
            LookupError: there is none.
        """
        for body in self.objects.values():
            named = (body["kind"], body["metadata"]["name"]) == (kind, name)
            if named and _where(body) in {namespace, ""}:
                return body
        raise LookupError(f"{kind}/{name} in {namespace}")

    # How it works.

    async def _apply(self, body: Obj, seconds: float) -> ports.AppliedObject:
        scripted = self.errors.get(title(body)) or self.errors.get("")
        if scripted:
            raise scripted.popleft()
        await self._known(body, seconds)
        body = self._placed(body)
        self._check(body)
        self.applied.append(title(body))
        if "name" not in body["metadata"]:
            body["metadata"]["name"] = f"{body['metadata'].pop('generateName')}{self._next():05d}"
        live = self._find(body)
        recreated = live is not None and _immutable_changed(live, body)
        if recreated and live is not None:
            self.recreated.append(title(body))
            self.remove(live)
            live = None
        conflicts: tuple[str, ...] = ()
        if live is None:
            live = self._create(body)
        else:
            live, conflicts = self._merge(live, body)
        return ports.AppliedObject(copy.deepcopy(live), recreated, conflicts)

    async def _known(self, body: Obj, seconds: float) -> None:
        """Wait for its definition, but not for ever, like the adapter."""
        tries = 10
        for _ in range(tries):
            if (_group(body), body["kind"]) in self._kinds:
                return
            await asyncio.sleep(min(seconds / 2, 5.0) / tries)
        what = f"{title(body)}: the cluster knows no {body['kind']} in {body['apiVersion']}"
        raise ports.PermanentError(Problem(Code.APPLY, what))

    def _check(self, body: Obj) -> None:
        unknown = body.keys() - _FIELDS
        if unknown and (_group(body), body["kind"]) not in self._custom():
            what = f"{title(body)}: .{min(unknown)}: field not declared in schema"
            raise ports.PermanentError(Problem(Code.APPLY, what))
        namespace = _where(body)
        if namespace and not any(
            other["kind"] == "Namespace" and other["metadata"]["name"] == namespace
            for other in self.objects.values()
        ):
            what = f'{title(body)}: namespaces "{namespace}" not found'
            raise ports.TransientError(Problem(Code.APPLY, what))

    def _custom(self) -> set[tuple[str, str]]:
        built_in = {(g, k) for g, kinds in _GROUPS.items() for k in kinds.split()}
        return self._kinds - built_in

    def _create(self, body: Obj) -> Obj:
        live = copy.deepcopy(body)
        _encode(live)
        live["metadata"]["uid"] = f"uid-{self._next()}"
        live["metadata"]["creationTimestamp"] = self.stamp()
        if "spec" in live:
            live["metadata"]["generation"] = 1
        owned = self._managers[Uid(live["metadata"]["uid"])]
        owned.update(dict.fromkeys((path for path, _ in _leaves(body)), _OURS))
        if body["kind"] == "CustomResourceDefinition":
            self._kinds.add((body["spec"]["group"], body["spec"]["names"]["kind"]))
        self._save(live)
        return live

    def _merge(self, old: Obj, body: Obj) -> tuple[Obj, tuple[str, ...]]:
        """What server-side apply does: our fields as wanted, those of others left alone."""
        live, conflicts, owned = self._merged(old, body)
        self._managers[Uid(live["metadata"]["uid"])] = owned
        if live != old:
            if live.get("spec") != old.get("spec"):
                live["metadata"]["generation"] = int(old["metadata"].get("generation") or 0) + 1
            self._save(live)
        return live, conflicts

    def _merged(self, old: Obj, body: Obj) -> tuple[Obj, tuple[str, ...], dict[Path, str]]:
        """The object as it would be, what was taken over, and who manages what then."""
        live = copy.deepcopy(old)
        owned = dict(self._managers[Uid(live["metadata"]["uid"])])
        wanted = dict(_leaves(body))
        before = dict(_leaves(old))
        conflicts = tuple(
            f".{'.'.join(path)} ({owned[path]})"
            for path, value in wanted.items()
            if owned.get(path, _OURS) != _OURS and before.get(path, _MISSING) != value
        )
        for path in [p for p, who in owned.items() if who == _OURS and p not in wanted]:
            _drop(live, path)
            del owned[path]
        for path, value in wanted.items():
            _put(live, path, value)
            if owned.get(path, _OURS) == _OURS or before.get(path, _MISSING) != value:
                owned[path] = _OURS
        _encode(live)
        return live, conflicts, owned

    def _save(self, live: Obj) -> None:
        live["metadata"]["resourceVersion"] = str(self._next())
        self.objects[Uid(live["metadata"]["uid"])] = live
        if self._watched(live):
            self._tell(live)
        if _loop():
            for controller in tuple(self._controllers[live["kind"]]):
                self.later(0, lambda act=controller: self._control(act, live))  # type: ignore[misc]  # mypy infers no default arguments of lambdas

    def _control(self, controller: Controller, live: Obj) -> None:
        if Uid(live["metadata"]["uid"]) in self.objects:
            controller(self, live)

    def _find(self, body: Obj) -> Obj | None:
        wanted = _id(body)
        found = (live for live in self.objects.values() if _id(live) == wanted)
        return next(found, None)

    def _placed(self, body: Obj) -> Obj:
        if body["kind"] not in _CLUSTER_SCOPED:
            body["metadata"].setdefault("namespace", self._namespace)
        return body

    def _covers(self, scope: Scope, body: Obj) -> bool:
        if (scope.group, scope.kind) != (_group(body), body["kind"]):
            return False
        if scope.namespace and _where(body) not in {scope.namespace, ""}:
            return False
        labels: JSON = body["metadata"].get("labels") or {}
        return not scope.ours or labels.get(inject.PROJECT_LABEL) == self.label

    def _watched(self, body: Obj) -> bool:
        return any(self._covers(scope, body) for scope in self.scopes)

    def _tell(self, body: Obj) -> None:
        self._schedule()
        self._gone.pop(Uid(body["metadata"]["uid"]), None)
        self._seen[Uid(body["metadata"]["uid"])] = copy.deepcopy(body)

    def _schedule(self) -> None:
        if not self._seen and not self._gone:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        seen, gone = tuple(self._seen.values()), tuple(self._gone)
        self._seen, self._gone = {}, {}
        if not self.closed and (seen or gone):
            self._listener(seen, gone, (0.0,) * len(seen))

    def _print(self, key: tuple[str, str, int]) -> None:
        text = self._printed[key][self._told[key] :]
        if key in self._logs and text:
            self._told[key] = len(self._printed[key])
            self._logs[key].write(text)

    def _managed(self, uid: Uid, body: Obj) -> Obj:
        managers: defaultdict[str, Obj] = defaultdict(dict)
        for path, who in self._managers[uid].items():
            _put(managers[who], tuple(f"f:{part}" for part in path), {})
        rows = [
            {"manager": who, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}
            for who, fields in managers.items()
        ]
        return {**body["metadata"], "managedFields": rows}

    def _next(self) -> int:
        self._counter += 1
        return self._counter


def title(body: JSON) -> str:
    """`Deployment/web`: the key in `errors`, and what `applied` and `deleted` list."""
    return f"{body['kind']}/{body['metadata'].get('name') or body['metadata'].get('generateName')}"


def _unseen(_blind: frozenset[Scope]) -> None:
    """Until somebody listens."""


def _unnoticed(_run: ContainerRun, _silent: bool) -> None:  # noqa: FBT001 - see `ports.Silence`
    """Until somebody listens."""


def _unheard(_scope: Scope, _words: str) -> None:
    """Until somebody listens."""


def _nobody(_seen: object, _gone: object, _ages: object) -> None:
    """Until somebody listens."""


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _plain(body: JSON) -> Obj:
    return copy.deepcopy(dict(body))


def _group(body: JSON) -> str:
    return str(body["apiVersion"]).rpartition("/")[0]


def _where(body: JSON) -> str:
    return str(body["metadata"].get("namespace") or "")


def _id(body: JSON) -> ObjectId:
    return ObjectId(_group(body), body["kind"], _where(body), body["metadata"].get("name", ""))


def _leaves(body: JSON, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field that is no mapping; what identifies an object is nobody's."""
    for key, value in body.items():
        path = (*above, key)
        if path in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}:
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast("JSON", value), path)
        else:
            yield path, value


def _put(body: Obj, path: Path, value: Any) -> None:
    for part in path[:-1]:
        found = body.get(part)
        if not isinstance(found, dict):
            body[part] = {}
        body = body[part]
    body[path[-1]] = copy.deepcopy(value)


def _drop(body: Obj, path: Path) -> None:
    for part in path[:-1]:
        if not isinstance(body.get(part), dict):
            return
        body = body[part]
    body.pop(path[-1], None)


def _encode(live: Obj) -> None:
    """What the server does with a Secret's `stringData`."""
    if live["kind"] == "Secret" and "stringData" in live:
        plain: dict[str, str] = live.pop("stringData")
        encoded = {key: b64encode(value.encode()).decode() for key, value in plain.items()}
        live["data"] = {**live.get("data", {}), **encoded}


def _immutable_changed(live: JSON, body: JSON) -> bool:
    if live.get("immutable") is True:
        return any(live.get(key) != body[key] for key in ("data", "immutable") if key in body)
    path = _IMMUTABLE.get(live["kind"])
    if path is None:
        return False
    old: Any = live
    new: Any = body
    for part in path:
        old, new = old.get(part) or {}, new.get(part) or {}
    return bool(old and new and old != new)
