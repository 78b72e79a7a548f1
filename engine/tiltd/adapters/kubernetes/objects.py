"""Apply, delete and list objects, by raw requests.

Apply is server-side apply without `force` first: a conflict costs a second request, and only then,
and its answer names the fields and their managers, which are reported.  A field that can't be
changed takes a delete and a create, except where that would lose what the object holds.

Objects that are being deleted accept changes and then vanish; so an answer with a
`deletionTimestamp` is waited out, and the object applied again.

A delete that names a uid takes that object and no other: one that somebody has made in its place
since it was listed stays.

Sources: "Server-Side Apply", "API Concepts" (chunks), "Garbage Collection", kubernetes.io.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tiltd import ports
from tiltd.adapters.kubernetes import discovery, faults
from tiltd.adapters.kubernetes.discovery import Discovery
from tiltd.adapters.kubernetes.faults import Meaning, Refused
from tiltd.adapters.kubernetes.wire import NoAnswer, Reply, Request, Trouble, Wire
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.observed import Kind
from tiltd.model.problems import Code, Problem
from tiltd.model.trial import Trial

MANAGER = "tiltd"
_APPLY = "application/apply-patch+yaml"
_PAGE = "2000"
_NEW_KIND_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_DELETES = 20
_NOT_FOUND, _CONFLICT, _GONE = 404, 409, 410
_KEPT = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}
)
"""Never deleted to change a field: what they hold would be lost."""


class Objects:
    """The objects of one cluster.

    Args:
        namespace: where objects go that name none.
    """

    def __init__(self, wire: Wire, kinds: Discovery, namespace: str) -> None:
        self._wire, self._kinds, self._namespace = wire, kinds, namespace

    async def apply(self, body: JSON, seconds: float) -> ports.AppliedObject:
        """See `ports.Cluster`; the answer comes without `managedFields`."""
        async with _translated(body, seconds, "apply"):
            kind = await self._kind(body, seconds)
            body = self._placed(body, kind)
            metadata = podspec.section(body, "metadata")
            if not metadata.get("name"):
                return ports.AppliedObject(_light(await self._create(body, kind, seconds)))
            path = discovery.path(kind, str(metadata.get("namespace") or ""), metadata["name"])
            try:
                return await self._apply(body, path, seconds)
            except Refused as refused:
                if refused.reply.status == _NOT_FOUND:
                    self._kinds.forget(kind)  # its definition may have been deleted: ask again
                raise

    async def trial(self, body: JSON, seconds: float, *, known: bool) -> Trial:
        """See `ports.Cluster`."""
        async with _translated(body, seconds, "try"):
            kind = await self._kinds.find(*group_version_kind(body))
            if kind is None:
                return Trial(words=f"the cluster knows no {body.get('kind')} yet")
            body = self._placed(body, kind)
            metadata = podspec.section(body, "metadata")
            if not metadata.get("name"):
                return Trial(words="its name is made by the cluster")
            path = discovery.path(kind, str(metadata.get("namespace") or ""), metadata["name"])
            before = None if known else await self._read(path, seconds)
            try:
                after, conflicts = await self._patch(body, path, seconds, dry=True)
            except Refused as refused:
                return replace(_refused(refused, body), before=before)
            return Trial(after, before, conflicts=conflicts)

    async def delete(self, bodies: Sequence[JSON], seconds: float) -> None:
        """See `ports.Cluster`; what `generateName` made can't be found again and is left."""
        limit = asyncio.Semaphore(_DELETES)

        async def one(body: JSON) -> None:
            async with limit, _translated(body, seconds, "delete"):
                metadata = podspec.section(body, "metadata")
                kind = await self._kinds.find(*group_version_kind(body))
                if kind and metadata.get("name"):
                    metadata = podspec.section(self._placed(body, kind), "metadata")
                    namespace = str(metadata.get("namespace") or "")
                    path = discovery.path(kind, namespace, metadata["name"])
                    pods = any(True for _ in podspec.templates(body))
                    how = "Foreground" if pods else "Background"
                    await self._delete(path, how, seconds, str(metadata.get("uid") or ""))

        tasks = [one(body) for body in bodies]
        failures = [f for f in await asyncio.gather(*tasks, return_exceptions=True) if f]
        if failures:
            raise failures[0]

    async def _apply(self, body: JSON, path: str, seconds: float) -> ports.AppliedObject:
        recreated = False
        while True:
            try:
                live, conflicts = await self._patch(body, path, seconds)
            except Refused as refused:
                immutable = faults.meaning(refused) is Meaning.IMMUTABLE
                if recreated or not immutable or body.get("kind") in _KEPT:
                    raise
                # A StatefulSet's new pods have the names of the old ones, which must go first.
                how = "Foreground" if body.get("kind") == "StatefulSet" else "Background"
                await self._delete(path, how, seconds)
            else:
                if not podspec.section(live, "metadata").get("deletionTimestamp"):
                    return ports.AppliedObject(_light(live), recreated, conflicts)
                await self._until_gone(path, str(live["metadata"]["uid"]), seconds)
            recreated = True

    async def _read(self, path: str, seconds: float) -> JSON | None:
        reply = await self._wire.ask(Request("GET", path, seconds=seconds))
        return None if reply.status == _NOT_FOUND else _checked(reply)

    async def _patch(
        self, body: JSON, path: str, seconds: float, *, dry: bool = False
    ) -> tuple[JSON, tuple[str, ...]]:
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "false"}
        if dry:
            query["dryRun"] = "All"
        try:
            return await self._send("PATCH", path, query, body, seconds), ()
        except Refused as refused:
            if faults.meaning(refused) is not Meaning.CONFLICT:
                raise
            query["force"] = "true"
            return await self._send("PATCH", path, query, body, seconds), faults.conflicts(refused)

    async def _create(self, body: JSON, kind: Kind, seconds: float) -> JSON:
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        namespace = str(podspec.section(body, "metadata").get("namespace") or "")
        return await self._send("POST", discovery.path(kind, namespace), query, body, seconds)

    async def _send(
        self, method: str, path: str, query: dict[str, str], body: JSON, seconds: float
    ) -> JSON:
        how = _APPLY if method == "PATCH" else "application/json"
        request = Request(method, path, query, body, how, seconds=seconds)
        try:
            reply = await self._wire.ask(request)
        except NoAnswer as error:
            # A connection that was kept open may close just as it is used; applying twice is safe.
            if error.trouble is not Trouble.CLOSED or method != "PATCH":
                raise
            reply = await self._wire.ask(request)
        return _checked(reply)

    async def _delete(self, path: str, how: str, seconds: float, only: str = "") -> None:
        """Delete what is at a path; with a uid, only the object that has it."""
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": how,
        }
        if only:
            options["preconditions"] = {"uid": only}
        reply = await self._wire.ask(Request("DELETE", path, {}, options, seconds=seconds))
        if reply.status == _NOT_FOUND:
            return
        if reply.status == _CONFLICT and only and await self._replaced(path, only, seconds):
            return
        answer = _checked(reply)
        metadata = podspec.section(answer, "metadata")
        uid = metadata.get("uid") or podspec.section(answer, "details").get("uid")
        if answer.get("kind") != "Status" or uid is None:
            await self._until_gone(path, str(uid or ""), seconds)

    async def _replaced(self, path: str, uid: str, seconds: float) -> bool:
        """Whether the object of this uid is gone, and another one may have taken its place."""
        reply = await self._wire.ask(Request("GET", path, seconds=seconds))
        if reply.status == _NOT_FOUND:
            return True
        return podspec.section(_checked(reply), "metadata").get("uid") != uid

    async def _until_gone(self, path: str, uid: str, seconds: float) -> None:
        pause = _FIRST_PAUSE
        while True:
            reply = await self._wire.ask(Request("GET", path, seconds=seconds))
            if reply.status == _NOT_FOUND:
                return
            metadata = podspec.section(_checked(reply), "metadata")
            if uid and metadata.get("uid") != uid:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _kind(self, body: JSON, seconds: float) -> Kind:
        group, version, name = group_version_kind(body)
        kind = await self._kinds.wait(group, version, name, min(seconds / 2, _NEW_KIND_SECONDS))
        if kind is None:
            what = f"{faults.name(body)}: the cluster knows no {name} in {body.get('apiVersion')}"
            hint = "Install its CustomResourceDefinition first, or correct apiVersion and kind."
            raise ports.PermanentError(Problem(Code.APPLY, what, None, hint))
        return kind

    def _placed(self, body: JSON, kind: Kind) -> JSON:
        metadata = podspec.section(body, "metadata")
        if kind.namespaced and not metadata.get("namespace"):
            return {**body, "metadata": {**metadata, "namespace": self._namespace}}
        return body


async def listed(
    wire: Wire, kind: Kind, namespace: str, selector: str
) -> tuple[list[dict[str, Any]], str]:
    """All objects of a kind, each with its `kind` and `apiVersion`, and the list's version.

    Raises:
        Refused: it must not be listed, or is not known any more.
        NoAnswer: see `Wire`.
    """
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": _PAGE}
    if selector:
        query["labelSelector"] = selector
    path = discovery.path(kind, namespace)
    while True:
        reply = await wire.ask(Request("GET", path, query))
        if reply.status == _GONE and query.pop("continue", ""):
            query.pop("limit", "")  # the pages have expired: all at once then
            found.clear()
            continue
        page = _checked(reply)
        found += [item for item in page.get("items") or () if item["metadata"].get("uid")]
        metadata = podspec.section(page, "metadata")
        if not metadata.get("continue"):
            break
        query["continue"] = str(metadata["continue"])
    version = f"{kind.group}/{kind.version}" if kind.group else kind.version
    for item in found:
        item["kind"], item["apiVersion"] = kind.kind, version
    return found, str(metadata.get("resourceVersion") or "")


def group_version_kind(body: JSON) -> tuple[str, str, str]:
    """The group (empty for core), version and kind of an object."""
    group, _, version = str(body.get("apiVersion") or "").rpartition("/")
    return group, version, str(body.get("kind") or "")


def _checked(reply: Reply) -> JSON:
    if not reply.ok:
        raise Refused(reply)
    return reply.json()


def _refused(refused: Refused, body: JSON) -> Trial:
    """What a refusal of a dry run says about the apply."""
    if refused.reply.status == _NOT_FOUND:
        return Trial(words="its namespace is not there yet")
    if "dry run" in refused.words and "webhook" in refused.words:
        return Trial(words="a webhook of the cluster can't tell what it would change")
    if faults.meaning(refused) is Meaning.IMMUTABLE and body.get("kind") not in _KEPT:
        return Trial(immutable=True)
    try:
        faults.raise_apply(refused, body)
    except ports.PermanentError as error:
        return Trial(refused=error.problem)


def _light(live: JSON) -> JSON:
    metadata = {k: v for k, v in live["metadata"].items() if k != "managedFields"}
    return {**live, "metadata": metadata}


@asynccontextmanager
async def _translated(body: JSON, seconds: float, doing: str) -> AsyncGenerator[None]:
    """Bound the time, and turn the protocol's errors into the port's."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        what = f"{faults.name(body)}: the {doing} did not end within {seconds:g} s"
        hint = "Finalizers or a busy cluster may hold it up: see its `kubectl describe`."
        raise ports.TransientError(Problem(Code.TIMEOUT, what, None, hint)) from error
    except NoAnswer as error:
        faults.raise_no_answer(error, body, seconds)
    except Refused as refused:
        faults.raise_apply(refused, body, doing=doing)
