"""The loop that drives every controller: changes in, keys out, one `sync` at a time.

Objects are in memory and calls don't wait, so one task serves all controllers: there are never two
on one object, and a rollout's whole cascade (Deployment, ReplicaSet, pods, scheduling) takes
milliseconds.  A key that is queued twice is served once.  A `sync` that raises is retried with a
back-off, and hurts only its own key.  The loop yields to the API between batches.
"""

import asyncio
import heapq
import itertools
import logging
import time
from dataclasses import dataclass, field

from tilt_cluster import fields, recorder
from tilt_cluster.controllers import claims, garbage, namespaces, wiring
from tilt_cluster.controllers.plan import (
    Create,
    Delete,
    Key,
    Status,
    Steps,
    Tell,
    Update,
    View,
    Write,
)
from tilt_cluster.objects import (
    NAMESPACES,
    NODES,
    ApiError,
    Change,
    Cluster,
    Event,
    Object,
    Resource,
)

_LOG = logging.getLogger(__name__)
_BATCH = 20
_RETRY, _RETRY_MAX = 0.05, 30.0
_GARBAGE = "garbage-collector"
_NAMESPACE = "namespace-controller"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing to look at: which controller (by number in the table), and its key."""

    controller: int
    key: Key


@dataclass(slots=True)
class Queue:
    """What has to be looked at now, and what later; each item once."""

    now: dict[Item, None] = field(default_factory=dict[Item, None])
    later: list[tuple[float, int, Item]] = field(default_factory=list[tuple[float, int, Item]])
    due: dict[Item, float] = field(default_factory=dict[Item, float])
    failures: dict[Item, int] = field(default_factory=dict[Item, int])
    _tick: "itertools.count[int]" = field(default_factory=itertools.count)

    def add(self, item: Item) -> None:
        """Look at it soon."""
        self.now.setdefault(item)

    def add_at(self, item: Item, at: float) -> None:
        """Look at it at a time; of several, the earliest counts."""
        if at < self.due.get(item, float("inf")):
            self.due[item] = at
            heapq.heappush(self.later, (at, next(self._tick), item))

    def ripen(self, at: float) -> float | None:
        """Move what is due; the seconds until the next item is."""
        while self.later and self.later[0][0] <= at:
            when, _, item = heapq.heappop(self.later)
            if self.due.get(item) == when:
                del self.due[item]
                self.add(item)
        return max(0.0, self.later[0][0] - at) if self.later else None

    def retry(self, item: Item, at: float) -> None:
        """Look at it again later, the later the more often it failed."""
        count = self.failures.get(item, 0)
        self.failures[item] = count + 1
        self.add_at(item, at + min(_RETRY * 2 ** min(count, 16), _RETRY_MAX))


def execute(cluster: Cluster, tell: recorder.Recorder, write: Write) -> Object | ApiError | None:
    """Do one write; what was stored, or why it was refused."""
    try:
        match write:
            case Create(resource, obj):
                return cluster.create(resource, obj)
            case Update(resource, obj):
                return cluster.update(resource, _fresh(cluster, resource, obj))
            case Status(resource, obj):
                return _write_status(cluster, resource, obj)
            case Delete(resource, obj, propagation):
                return cluster.delete(
                    resource,
                    fields.name(obj),
                    fields.namespace(obj),
                    uid=fields.uid(obj),
                    propagation=propagation,
                )
            case Tell(resource, obj, kind, reason, message):
                tell.tell(resource, obj, kind, reason, message)
                return None
    except ApiError as error:
        return error


def _fresh(cluster: Cluster, resource: Resource, obj: Object) -> Object:
    """With the newest resourceVersion: our own status write may have come in between.

    Nothing runs between a controller's reading and its writing, so this can't hide a conflict.
    """
    found = cluster.find(resource, fields.name(obj), fields.namespace(obj))
    if found is None or fields.uid(found) != fields.uid(obj):
        return obj
    version = fields.get(found, "metadata", "resourceVersion")
    return fields.with_metadata(obj, resourceVersion=version)


def _write_status(cluster: Cluster, resource: Resource, obj: Object) -> Object | None:
    found = cluster.find(resource, fields.name(obj), fields.namespace(obj))
    if found is None or fields.uid(found) != fields.uid(obj):
        return None
    if found.get("status") == obj.get("status"):
        return found
    return cluster.update_status(resource, fields.with_status(found, obj.get("status") or {}))


def drive(cluster: Cluster, tell: recorder.Recorder, steps: Steps) -> float | None:
    """Run a controller's generator to its end; when it wants to look again, in seconds."""
    outcome: Object | ApiError | None = None
    refused: ApiError | None = None
    while True:
        try:
            write = steps.send(outcome)
        except StopIteration as stop:
            again: float | None = stop.value
            break
        outcome = execute(cluster, tell, write)
        if isinstance(outcome, ApiError):
            refused = outcome
    if refused is not None and again is None and refused.code == _CONFLICT:
        return 0.05
    return again


_CONFLICT = 409


class Loop:
    """The state of the loop: queue, index of owners, recorders."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._queue = Queue()
        self._index = garbage.Owned()
        self._nodes: dict[str, object] = {}
        self._controllers = (
            *wiring.CONTROLLERS,
            wiring.Controller(_NAMESPACE, namespaces.sync_deletion),
            wiring.Controller(_GARBAGE, self._collect),
        )
        self._recorders = [recorder.Recorder(cluster, one.name) for one in self._controllers]
        self._by_resource: dict[Resource, list[tuple[int, wiring.Keys]]] = {}
        for number, one in enumerate(wiring.CONTROLLERS):
            for resource, keys in one.watches.items():
                self._by_resource.setdefault(resource, []).append((number, keys))
        self._of_all = [
            (number, wiring.ON_ANYTHING[one.name])
            for number, one in enumerate(wiring.CONTROLLERS)
            if one.name in wiring.ON_ANYTHING
        ]
        self._last = len(self._controllers) - 1

    def _collect(self, view: View, key: Key, _now: float) -> Steps:
        return garbage.sync(view, self._index, key.name)

    async def run(self) -> None:
        """Serve until cancelled."""
        drive(
            self._cluster,
            self._recorders[0],
            claims.sync_class(self._cluster, Key("", ""), time.time()),
        )
        async with self._cluster.watch() as changes:
            while True:
                for event in changes.take():
                    self._note(event)
                wait = self._queue.ripen(time.monotonic())
                if self._queue.now:
                    self._serve()
                    await asyncio.sleep(0)
                    continue
                try:
                    async with asyncio.timeout(wait):
                        batch = await changes.batch()
                except TimeoutError:
                    continue
                for event in batch:
                    self._note(event)

    def _serve(self) -> None:
        for item in list(itertools.islice(self._queue.now, _BATCH)):
            del self._queue.now[item]
            self._sync(item)

    def _sync(self, item: Item) -> None:
        controller = self._controllers[item.controller]
        now = time.monotonic()
        try:
            steps = controller.sync(self._cluster, item.key, time.time())
            again = drive(self._cluster, self._recorders[item.controller], steps)
        except Exception:  # noqa: BLE001 - a fault with one object must not stop the others
            _LOG.exception("%s failed on %s", controller.name, item.key)
            self._queue.retry(item, now)
            return
        self._queue.failures.pop(item, None)
        if again is not None:
            self._queue.add_at(item, now + again)

    def _note(self, event: Event) -> None:
        obj, resource = event.object, event.resource
        uid = fields.uid(obj)
        if event.change is Change.DELETED:
            for other in self._index.drop(uid):
                self._queue.add(Item(self._last, Key("", other)))
        else:
            self._index.put(resource, obj)
            if fields.get(obj, "metadata", "ownerReferences") or fields.deleting(obj):
                self._queue.add(Item(self._last, Key("", uid)))
        self._namespace(event)
        if resource == NODES:
            self._node(event)
        for number, keys in (*self._by_resource.get(resource, ()), *self._of_all):
            for key in keys(self._cluster, obj):
                self._queue.add(Item(number, key))

    def _namespace(self, event: Event) -> None:
        """Look again at a namespace that is being deleted when something in it has changed."""
        if event.resource == NAMESPACES:
            name = fields.name(event.object)
        elif event.change is Change.DELETED:
            name = fields.namespace(event.object)
        else:
            return
        found = self._cluster.find(NAMESPACES, name) if name else None
        if found is not None and fields.deleting(found):
            self._queue.add(Item(self._last - 1, Key("", name)))

    def _node(self, event: Event) -> None:
        name = fields.name(event.object)
        facts = (event.change is Change.DELETED, wiring.node_facts(event.object))
        if self._nodes.get(name) == facts:
            return
        self._nodes[name] = facts
        for number, one in enumerate(wiring.CONTROLLERS):
            keys = wiring.ON_NODES.get(one.name)
            for key in keys(self._cluster, event.object) if keys else ():
                self._queue.add(Item(number, key))


async def run(cluster: Cluster) -> None:
    """Run every controller until cancelled."""
    await Loop(cluster).run()
