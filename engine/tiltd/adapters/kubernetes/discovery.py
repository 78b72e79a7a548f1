"""How kinds are spelled in URLs: what the server serves, asked once and then as needed.

Aggregated discovery gives every kind in two requests.  A kind that is not in there may have come
since (a CRD of this very run): its group and version are then asked for alone, which also is the
way with servers that know no aggregation.

Source: KEP-3352 (aggregated discovery), apidiscovery.k8s.io/v2.
"""

import asyncio
from collections.abc import Iterator

from tiltd.adapters.kubernetes import faults
from tiltd.adapters.kubernetes.wire import Reply, Request, Wire
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.observed import Kind

_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)
_NOT_FOUND = 404
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class Discovery:
    """The kinds of one cluster."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._kinds: dict[tuple[str, str, str], Kind] = {}

    async def load(self) -> None:
        """Ask for everything there is.

        Raises:
            Refused: the server does not let us.
            NoAnswer: see `Wire`.
        """
        asked = [Request("GET", path, accept=_AGGREGATED) for path in ("/api", "/apis")]
        for reply in await asyncio.gather(*(self._wire.ask(request) for request in asked)):
            if not reply.ok and reply.status != _NOT_FOUND:
                raise faults.Refused(reply)
            self._add(_aggregated(reply.json()))

    async def find(self, group: str, version: str, kind: str) -> Kind | None:
        """A kind, `None` where the server does not know it (now).

        Raises:
            Refused: the server does not let us.
            NoAnswer: see `Wire`.
        """
        known = self._kinds.get((group, version, kind))
        if known is None:
            reply = await self._wire.ask(Request("GET", _root(group, version)))
            if not reply.ok and reply.status != _NOT_FOUND:
                raise faults.Refused(reply)
            self._add(_classic(reply, group, version))
            known = self._kinds.get((group, version, kind))
        return known

    async def wait(self, group: str, version: str, kind: str, seconds: float) -> Kind | None:
        """Likewise, but wait for a while: its definition may just have been applied."""
        pause = _FIRST_PAUSE
        try:
            async with asyncio.timeout(seconds):
                while not (found := await self.find(group, version, kind)):
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        except TimeoutError:
            return None
        return found

    def forget(self, kind: Kind) -> None:
        """The server no longer knows it."""
        self._kinds.pop((kind.group, kind.version, kind.kind), None)

    def _add(self, kinds: Iterator[Kind]) -> None:
        self._kinds.update({(kind.group, kind.version, kind.kind): kind for kind in kinds})


def path(kind: Kind, namespace: str, name: str = "") -> str:
    """Where the objects of a kind are (of every namespace if it is empty), or one of them."""
    middle = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{_root(kind.group, kind.version)}{middle}/{kind.plural}{name and '/' + name}"


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _aggregated(document: JSON) -> Iterator[Kind]:
    if document.get("kind") != "APIGroupDiscoveryList":
        return
    for item in podspec.rows(document.get("items")):
        group = str(podspec.section(item, "metadata").get("name") or "")
        for version in podspec.rows(item.get("versions")):
            for row in podspec.rows(version.get("resources")):
                made = podspec.section(row, "responseKind")
                yield Kind(
                    group,
                    str(version.get("version")),
                    str(made.get("kind")),
                    str(row.get("resource")),
                    row.get("scope") == "Namespaced",
                )


def _classic(reply: Reply, group: str, version: str) -> Iterator[Kind]:
    if not reply.ok:
        return
    for row in podspec.rows(reply.json().get("resources")):
        plural = str(row.get("name"))
        if "/" not in plural:  # subresources make no objects of their own
            yield Kind(group, version, str(row.get("kind")), plural, bool(row.get("namespaced")))
