"""The ConfigMap with the account of what projects have applied (`core.stock`)."""

import re
from collections.abc import Mapping
from typing import Any

from tiltd import ports
from tiltd.adapters.kubernetes.faults import Refused, raise_apply
from tiltd.adapters.kubernetes.wire import NoAnswer, Request, Wire
from tiltd.core import podspec
from tiltd.model.problems import Code, Problem

_NOT_FOUND, _CONFLICT = 404, 409
_SECONDS = 10.0
_PREFIX = "tiltd-inventory-"
_LABEL = "app.kubernetes.io/managed-by"
_PATCH = "application/merge-patch+json"


class Inventory:
    """One account.

    Args:
        wire: to the cluster.
        label: that of the project.
        namespace: where it is.
    """

    def __init__(self, wire: Wire, label: str, namespace: str) -> None:
        self._wire = wire
        bare = re.sub(r"[^a-z0-9.-]", "-", label.lower()).strip("-.")
        self._name, self._namespace = f"{_PREFIX}{bare}", namespace
        self._folder = f"/api/v1/namespaces/{namespace}/configmaps"

    async def read(self) -> Mapping[str, str]:
        """The lists by name; none where there is no account."""
        reply = await self._ask("GET", f"{self._folder}/{self._name}", None)
        if reply is None:
            return {}
        return {name: str(text) for name, text in podspec.section(reply, "data").items()}

    async def others(self) -> list[tuple[str, Mapping[str, str]]]:
        """The accounts in the whole cluster but this one, each with its namespace."""
        reply = await self._ask("GET", "/api/v1/configmaps", None, labelSelector=f"{_LABEL}=tiltd")
        found: list[tuple[str, Mapping[str, str]]] = []
        for item in podspec.rows(reply.get("items")) if reply is not None else ():
            metadata = podspec.section(item, "metadata")
            where, name = str(metadata.get("namespace")), str(metadata.get("name"))
            if (where, name) != (self._namespace, self._name) and name.startswith(_PREFIX):
                data = podspec.section(item, "data")
                found.append((where, {key: str(text) for key, text in data.items()}))
        return found

    async def note(self, name: str, text: str | None) -> None:
        """Write one list, or remove it; the last one takes the account along.

        Where the namespace is not there (yet), nothing is written.
        """
        path = f"{self._folder}/{self._name}"
        reply = await self._ask("PATCH", path, {"data": {name: text}}, _PATCH)
        if reply is None and text is not None:
            await self._ask("POST", self._folder, self._made(name, text))
        elif reply is not None and not podspec.section(reply, "data"):
            version = podspec.section(reply, "metadata").get("resourceVersion")
            options = {"preconditions": {"resourceVersion": version}}
            await self._ask("DELETE", path, options)

    def _made(self, name: str, text: str) -> dict[str, Any]:
        labels = {_LABEL: "tiltd"}
        metadata = {"name": self._name, "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {name: text}}

    async def _ask(
        self, method: str, path: str, body: Any, kind: str = "application/json", **query: str
    ) -> Mapping[str, Any] | None:
        """The answer; `None` if there is no such thing, or another client was faster."""
        if method in {"PATCH", "POST"}:
            query["fieldManager"] = "tiltd"
        request = Request(method, path, query, body, kind, seconds=_SECONDS)
        try:
            reply = await self._wire.ask(request)
        except NoAnswer as error:
            what = f"the cluster went away: {error}"
            raise ports.TransientError(Problem(Code.CLUSTER_UNREACHABLE, what)) from error
        if reply.status in {_NOT_FOUND, _CONFLICT}:
            return None
        if not reply.ok:
            named = {"kind": "ConfigMap", "metadata": {"name": self._name}}
            raise_apply(Refused(reply), named, doing="keep")
        return reply.json()
