"""Watches: a position in a collection's history, written out as it grows.

Nothing is queued for a client: whoever falls out of the history's window gets 410 and the stream
ends; whoever doesn't read at all is cut off when a write has waited too long.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tilt_cluster import api, refusals, tables
from tilt_cluster.objects import ApiError, Change, Object
from tilt_cluster.server import exchange
from tilt_cluster.server.query import Query
from tilt_cluster.server.target import Target
from tilt_cluster.server.verbs import Verbs
from tilt_cluster.store import Collection, Record

_PATIENCE = 30.0
"""Seconds that a write may wait for a client that doesn't read."""
_BOOKMARK_EVERY = 60.0
_SHORTEST, _LONGEST = 1800.0, 3600.0
_INITIAL_END = "k8s.io/initial-events-end"


class Watch:
    """One client's watch.

    Args:
        objects: where the collection is.
        verbs: how to show and select objects.
        request: the client's request.
        target: what it watches.
    """

    def __init__(
        self, objects: api.Api, verbs: Verbs, request: web.BaseRequest, target: Target
    ) -> None:
        self._api = objects
        self._verbs = verbs
        self._request = request
        self._target = target
        self._query = Query(request)
        self._query.check_list()
        self._form: exchange.Form = exchange.form(request)
        self._include = self._query.include
        self._test = verbs.test_of(target, self._query)
        self._bookmarks = self._query.flag("allowWatchBookmarks")
        self._shown_columns = False

    async def run(self) -> web.StreamResponse:
        """Write events until the time is over, the client leaves or history is lost."""
        collection = self._api.store.collection(self._api.catalog.home(self._target.resource))
        start = self._start(collection)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        lasts = self._query.number("timeoutSeconds") or random.uniform(_SHORTEST, _LONGEST)  # noqa: S311 - spreads reconnects, no secret
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(lasts) as limit:
                try:
                    await self._follow(collection, response, start)
                except TimeoutError:
                    # A client that doesn't read: closing politely would wait for it again.
                    if self._request.transport is not None:
                        self._request.transport.abort()
                    raise
            del limit
        if self._bookmarks and response.prepared and self._request.transport is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._write(response, self._bookmark())
        return response

    def _start(self, collection: Collection) -> int | ApiError:
        """The position after what the client knows; or why it can't go on from there."""
        asked = self._query.version or 0
        if not asked or self._initial:
            return collection.end
        found = collection.position(asked)
        if found is None:
            text = f"too old resource version: {asked} ({collection.forgotten})"
            return refusals.expired(text)
        return found

    @property
    def _initial(self) -> bool:
        asked = self._query.text("sendInitialEvents")
        if asked:
            return self._query.flag("sendInitialEvents")
        return not self._query.version

    async def _follow(
        self, collection: Collection, response: web.StreamResponse, start: int | ApiError
    ) -> None:
        if isinstance(start, ApiError):
            await self._write(response, self._error(start))
            return
        if self._initial:
            now = [collection.objects[key] for key in collection.ordered()]
            pieces = [self._event("ADDED", obj) for obj in now if self._test(obj)]
            if self._query.flag("sendInitialEvents") and self._bookmarks:
                pieces.append(self._bookmark(initial_end=True))
            for at in range(0, len(pieces), 256):
                await self._write(response, b"".join(pieces[at : at + 256]))
        await response.write(b"")
        position = start
        while not collection.closed:
            records = collection.after(position)
            if records is None:
                text = "too old resource version: the client read too slowly"
                await self._write(response, self._error(refusals.expired(text)))
                return
            if records:
                position += len(records)
                await self._write(response, self._events(records))
                continue
            await self._wait(collection, response)

    async def _wait(self, collection: Collection, response: web.StreamResponse) -> None:
        if not self._bookmarks:
            await collection.changed()
            return
        try:
            async with asyncio.timeout(_BOOKMARK_EVERY):
                await collection.changed()
        except TimeoutError:
            await self._write(response, self._bookmark())

    async def _write(self, response: web.StreamResponse, content: bytes) -> None:
        if content:
            async with asyncio.timeout(_PATIENCE):
                await response.write(content)

    def _events(self, records: Sequence[Record]) -> bytes:
        return b"".join(piece for record in records if (piece := self._one(record)))

    def _one(self, record: Record) -> bytes:
        """The event of a record for this client's selection: coming into it is ADDED."""
        was = record.before is not None and self._test(record.before)
        now = record.change is not Change.DELETED and self._test(record.obj)
        if not was and not now:
            return b""
        word = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
        if self._form != "object":
            return self._event(word, record.obj)
        key = f"{word} {self._target.resource.group}/{self._target.version}"
        if key not in record.encoded:
            record.encoded[key] = self._event(word, record.obj)
        return record.encoded[key]

    def _event(self, word: str, obj: Object) -> bytes:
        shown = self._verbs.shown(self._target, obj)
        kind, version = self._target.kind, self._target.version
        value = exchange.shaped(self._form, self._include, kind, version, shown)
        if self._form == "table":
            # Later tables repeat no columns, as the real server's.
            if self._shown_columns:
                value["columnDefinitions"] = None
            self._shown_columns = True
        return exchange.dumps({"type": word, "object": value}) + b"\n"

    def _error(self, error: ApiError) -> bytes:
        return exchange.dumps({"type": "ERROR", "object": refusals.status(error)}) + b"\n"

    def _bookmark(self, *, initial_end: bool = False) -> bytes:
        kind = self._target.kind
        metadata: dict[str, Any] = {"resourceVersion": str(self._api.store.version)}
        if initial_end:
            metadata["annotations"] = {_INITIAL_END: "true"}
        obj: dict[str, Any] = {
            "kind": kind.kind,
            "apiVersion": kind.api_version(self._target.version),
            "metadata": {**metadata, "creationTimestamp": None},
        }
        if self._form == "table":
            value = tables.table(kind, self._target.version, [], "None")
            row: dict[str, Any] = {"cells": [], "object": tables.partial(obj)}
            obj = {**value, "metadata": metadata, "rows": [row]}
        elif self._form == "metadata":
            obj = dict(tables.partial(obj))
        return exchange.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"
