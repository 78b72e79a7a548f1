"""Where objects are: memory, one counter for every change, and a window of history for watches.

Every collection keeps its newest changes.  A watch is a position in that history, not a queue: who
reads slowly costs nothing, and who falls out of the window is told that it is gone (410), as etcd's
compaction does.  Controllers subscribe instead, and get every object's newest state once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.objects import Change, Event, Object, Resource

WINDOW = 4096
"""How many changes of a collection a watch may lag behind."""

Key = tuple[str, str]
"""Namespace (or empty) and name."""


class Record:
    """One change in a collection's history.

    Args:
        version: the resourceVersion that it made.
        change: what happened.
        obj: the object after it (deleted: as it was last, with that version).
        before: the object before it, if there was one.
    """

    __slots__ = ("before", "change", "encoded", "obj", "version")

    def __init__(self, version: int, change: Change, obj: Object, before: Object | None) -> None:
        self.version = version
        self.change = change
        self.obj = obj
        self.before = before
        self.encoded: dict[str, bytes] = {}
        """Bytes of the event, by form, so that many watchers share one encoding."""


class Collection:
    """The objects of one resource, and what happened to them lately."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self._sorted: list[Key] | None = []
        self.owned: dict[str, dict[Key, Object]] = {}
        self.base = 0
        self.history: list[Record] = []
        self.forgotten = 0
        """Changes up to this version are not in the history any more."""
        self._waiters: list[asyncio.Future[None]] = []
        self.closed = False

    def ordered(self) -> Sequence[Key]:
        """All keys in order."""
        if self._sorted is None:
            self._sorted = sorted(self.objects)
        return self._sorted

    def put(self, key: Key, obj: Object | None) -> None:
        """Store or, with None, remove."""
        before = self.objects.pop(key, None) if obj is None else self.objects.get(key)
        if before is not None and (owner := fields.controller(before)):
            self.owned.get(owner["uid"], {}).pop(key, None)
        if obj is not None:
            if before is None:
                self._sorted = None
            self.objects[key] = obj
            if owner := fields.controller(obj):
                self.owned.setdefault(owner["uid"], {})[key] = obj
        else:
            self._sorted = None

    def remember(self, record: Record) -> None:
        """Add to the history and wake who waits."""
        self.history.append(record)
        if len(self.history) > 2 * WINDOW:
            self.forgotten = self.history[WINDOW - 1].version
            del self.history[:WINDOW]
            self.base += WINDOW
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """The collection is gone (its CRD was deleted); watches end."""
        self.closed = True
        self._wake()

    @property
    def end(self) -> int:
        """The position behind the newest change."""
        return self.base + len(self.history)

    def position(self, version: int) -> int | None:
        """Where the changes after a resourceVersion begin; None if some are forgotten."""
        if version < self.forgotten:
            return None
        low, high = 0, len(self.history)
        while low < high:
            middle = (low + high) // 2
            if self.history[middle].version <= version:
                low = middle + 1
            else:
                high = middle
        return self.base + low

    def after(self, position: int, most: int = 256) -> Sequence[Record] | None:
        """Up to `most` changes from a position; None if it has left the window."""
        if position < self.base:
            return None
        at = position - self.base
        return self.history[at : at + most]

    async def changed(self) -> None:
        """Wait for the next change."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)


class Subscriber:
    """A coalescing stream of events: the newest state of each object, once."""

    def __init__(self, wanted: frozenset[Resource]) -> None:
        self._wanted = wanted
        self._waiting: dict[str, Event] = {}
        self._some = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Take note of a change."""
        if self._wanted and event.resource not in self._wanted:
            return
        uid = fields.uid(event.object)
        earlier = self._waiting.pop(uid, None)
        if earlier and earlier.change is Change.ADDED and event.change is Change.MODIFIED:
            event = Event(Change.ADDED, event.resource, event.object)
        self._waiting[uid] = event
        self._some.set()

    def take(self) -> Sequence[Event]:
        """Everything that is waiting now."""
        waiting, self._waiting = self._waiting, {}
        self._some.clear()
        return tuple(waiting.values())

    async def batch(self) -> Sequence[Event]:
        """Wait until there is something, then take it all."""
        await self._some.wait()
        return self.take()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Every event, for ever."""
        while True:
            for event in await self.batch():
                yield event


class Store:
    """All collections and the counter of changes."""

    def __init__(self) -> None:
        self.version = 1
        self._floor = 0
        self._collections: dict[Resource, Collection] = {}
        self._subscribers: set[Subscriber] = set()
        self.journal: Callable[[Resource, Key, Object | None, int], None] | None = None

    def collection(self, resource: Resource) -> Collection:
        """The collection of a resource, made when first asked for."""
        found = self._collections.get(resource)
        if found is None:
            found = self._collections[resource] = Collection()
            found.forgotten = self._floor
        return found

    def items(self) -> Iterator[tuple[Resource, Collection]]:
        """All collections that were ever used."""
        return iter(tuple(self._collections.items()))

    def drop(self, resource: Resource) -> None:
        """Forget a collection whose kind has gone."""
        found = self._collections.pop(resource, None)
        if found is not None:
            found.close()

    def next_version(self) -> int:
        """The resourceVersion of the change that is being made."""
        self.version += 1
        return self.version

    def write(self, resource: Resource, obj: dict[str, Any]) -> Object:
        """Store an object under a new resourceVersion, which is set in its metadata."""
        key = key_of(obj)
        collection = self.collection(resource)
        before = collection.objects.get(key)
        version = self.next_version()
        obj["metadata"]["resourceVersion"] = str(version)
        collection.put(key, obj)
        change = Change.MODIFIED if before else Change.ADDED
        self._note(resource, collection, Record(version, change, obj, before))
        return obj

    def remove(self, resource: Resource, obj: Object) -> Object:
        """Remove an object; it is told as it was last, under a new resourceVersion."""
        collection = self.collection(resource)
        key = key_of(obj)
        version = self.next_version()
        metadata = {**obj["metadata"], "resourceVersion": str(version)}
        last = {**obj, "metadata": metadata}
        collection.put(key, None)
        self._note(resource, collection, Record(version, Change.DELETED, last, obj))
        return last

    def _note(self, resource: Resource, collection: Collection, record: Record) -> None:
        if self.journal:
            kept = None if record.change is Change.DELETED else record.obj
            self.journal(resource, key_of(record.obj), kept, record.version)
        collection.remember(record)
        event = Event(record.change, resource, record.obj)
        for subscriber in tuple(self._subscribers):
            subscriber.tell(event)

    def load(self, resource: Resource, obj: Object) -> None:
        """Put back an object that was kept on disk; nobody is told."""
        self.collection(resource).put(key_of(obj), obj)

    def begin(self, version: int) -> None:
        """After loading: nothing before this version can be watched."""
        self.version = self._floor = max(self.version, version)
        for collection in self._collections.values():
            collection.forgotten = self.version

    def subscribe(self, resources: frozenset[Resource]) -> Subscriber:
        """A subscriber that begins with everything that is there."""
        subscriber = Subscriber(resources)
        for resource, collection in self.items():
            for obj in collection.objects.values():
                subscriber.tell(Event(Change.ADDED, resource, obj))
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a subscription."""
        self._subscribers.discard(subscriber)


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    metadata: Mapping[str, Any] = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]
