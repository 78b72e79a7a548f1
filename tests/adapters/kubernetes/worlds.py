"""A cluster under test, real or not, with what a test needs to know of it."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.cluster import FakeCluster
from tiltd import ports
from tiltd.adapters.kubernetes import connection, credentials, kubeconfig, wire
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.core import inject
from tiltd.model.desired import JSON
from tiltd.model.names import SessionId
from tiltd.model.observed import ContainerRun, KubeContext, Scope, Uid
from tiltd.model.state import Mode, SessionSpec

PATIENCE = 30.0


def need_a_cluster() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")


def session(env: Mapping[str, str], *, context: str = "", namespace: str = "") -> SessionSpec:
    return SessionSpec(
        SessionId("test"), Mode.CI, "/project/Tiltfile", (), context, namespace, env, "/"
    )


@dataclass
class Seen:
    """A listener that remembers, and can be waited for."""

    bodies: dict[Uid, Any] = field(default_factory=dict[Uid, Any])
    gone: list[Uid] = field(default_factory=list[Uid])
    calls: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(
        self, bodies: tuple[JSON, ...], gone: tuple[Uid, ...], ages: tuple[float, ...]
    ) -> None:
        assert len(ages) == len(bodies)
        assert all(age >= 0 for age in ages)
        self.calls += 1
        for body in bodies:
            self.bodies[Uid(body["metadata"]["uid"])] = body
        for uid in gone:
            self.bodies.pop(uid, None)
            self.gone.append(uid)
        self._changed.set()

    async def until(self, what: Callable[["Seen"], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what(self):
                self._changed.clear()
                await self._changed.wait()

    def names(self) -> set[str]:
        return {body["metadata"]["name"] for body in self.bodies.values()}

    def named(self, name: str) -> Any:
        found = (body for body in self.bodies.values() if body["metadata"]["name"] == name)
        return next(found, None)


@dataclass
class Told:
    """Logs that remember, and can be waited for."""

    text: dict[ContainerRun, str] = field(default_factory=dict[ContainerRun, str])
    levels: list[str] = field(default_factory=list[str])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, run: ContainerRun) -> ports.Log:
        return _Log(self, run)

    def add(self, run: ContainerRun, text: str, level: str) -> None:
        self.text[run] = self.text.get(run, "") + text
        self.levels.append(level)
        self._changed.set()

    async def until(self, what: Callable[["Told"], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what(self):
                self._changed.clear()
                await self._changed.wait()


@dataclass
class _Log:
    told: Told
    run: ContainerRun

    def write(self, text: str, *, level: str = "info") -> None:
        self.told.add(self.run, text, level)


@dataclass
class World:
    """A connected cluster and a namespace in it that is this test's own."""

    cluster: ports.Cluster
    namespace: str
    label: str

    def scope(self, kind: str, *, group: str = "", ours: bool = True) -> Scope:
        return Scope(group, "v1", kind, self.namespace, ours)

    def config_map(self, name: str = "settings", **data: str) -> dict[str, Any]:
        return self.body("v1", "ConfigMap", name, data=data)

    def body(self, api: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        labels = {inject.PROJECT_LABEL: self.label}
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}

    async def apply(self, body: JSON) -> ports.AppliedObject:
        return await self.cluster.apply(body, PATIENCE)

    async def other_applies(self, body: JSON) -> None:
        """Somebody else sets top-level fields of an object."""
        fields = {k: v for k, v in body.items() if k not in {"apiVersion", "kind", "metadata"}}
        if isinstance(self.cluster, FakeCluster):
            name = body["metadata"]["name"]
            live = self.cluster.get(body["kind"], name, self.namespace)
            merged = {k: {**live.get(k, {}), **v} for k, v in fields.items()}
            self.cluster.change(live, manager="other", **merged)
        else:
            path = f"/api/v1/namespaces/{self.namespace}/configmaps/{body['metadata']['name']}"
            query = {"fieldManager": "other", "force": "true"}
            how = "application/apply-patch+yaml"
            request = wire.Request("PATCH", path, query, body, how)
            async with somebody_else() as other:
                reply = await other.ask(request)
            assert reply.ok, reply.body


@asynccontextmanager
async def fake_world() -> AsyncGenerator[World]:
    cluster = FakeCluster("a-project")
    await cluster.connect(session({}), KubeContext("fake", "fake"))
    world = World(cluster, "somewhere", "a-project")
    await world.apply(_namespace("somewhere"))
    yield world
    await cluster.close()


@asynccontextmanager
async def real_world() -> AsyncGenerator[World]:
    name = f"tiltd-test-{uuid.uuid4().hex[:8]}"
    async with connected(os.environ, label=name) as cluster:
        world = World(cluster, name, name)
        await world.apply(_namespace(name))
        try:
            yield world
        finally:
            path = f"/api/v1/namespaces/{name}"  # its end is not waited for: that takes seconds
            async with somebody_else() as other:
                await other.ask(wire.Request("DELETE", path))


@asynccontextmanager
async def somebody_else() -> AsyncGenerator[wire.Wire]:
    """Another way to the real cluster."""
    spec = session(os.environ)
    merged = kubeconfig.read(spec)
    context = await kubeconfig.KubeContexts().read(spec)
    loader = credentials.Credentials(merged, context, spec.env, connection.refresh)
    way = connection.Connection(loader)
    await way.open()
    try:
        yield way
    finally:
        await way.close()


@asynccontextmanager
async def connected(
    env: Mapping[str, str], *, label: str = "a-project", watch_seconds: float = 60.0
) -> AsyncGenerator[KubeCluster]:
    spec = session(env)
    cluster = KubeCluster(label, watch_seconds=watch_seconds)
    context = await kubeconfig.KubeContexts().read(spec)
    async with asyncio.TaskGroup() as group:
        group.create_task(cluster.run())
        try:
            await cluster.connect(spec, context)
            yield cluster
        finally:
            await cluster.close()


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def kubeconfig_for(server: str, **user: Any) -> str:
    """The text of a kubeconfig with one context (JSON is YAML)."""
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user}],
    }
    return json.dumps(document)
