"""A whole cluster: the API, and beside it the controllers and the node.

Everything is started in order and stopped in reverse.  The API answers before the other two are
imported, since a client that has just started one wants to talk to it at once.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tilt_cluster import access, api, engine, journal, lacking, tokens
from tilt_cluster.objects import (
    NAMESPACES,
    PRIORITY_CLASSES,
    SERVICES,
    Facts,
    Object,
    PodRuntime,
    Resource,
)
from tilt_cluster.server import handler, listen

_LOG = logging.getLogger(__name__)
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_IN_CLUSTER = "10.96.0.1"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run a cluster.

    Args:
        name: of the cluster; everything outside carries it as a label.
        folder: where its files are (kubeconfig, keys; nothing else is written).
        port: of the API; 0 takes a free one.
        keep: keep objects on disk, and read them at start.
        controllers: act on workloads, services and owners.
        node: run pods on the Docker Engine.
        labels: further labels for what is made outside.
    """

    name: str
    folder: Path
    port: int = 0
    keep: bool = False
    controllers: bool = True
    node: bool = True
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster that answers.

    Args:
        objects: its objects.
        kubeconfig: the file with which clients reach it.
        access: its certificates.
    """

    objects: api.Api
    kubeconfig: Path
    access: access.Access


@contextlib.asynccontextmanager
async def run(settings: Settings) -> AsyncGenerator[Running]:
    """Run a cluster until the block ends.

    Raises:
        OSError: the port is taken, or the folder can't be written.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    listening = listen.bind(settings.port)
    port = int(listening.getsockname()[1])
    keys = access.load(settings.folder, [_IN_CLUSTER])
    server = f"https://127.0.0.1:{port}"
    facts = Facts(
        settings.name, settings.folder, server, port, keys.ca, labels=dict(settings.labels)
    )
    signer = tokens.Signer(keys.secret)
    objects = api.Api(facts, signer)
    kept = journal.Journal(settings.folder / "objects.jsonl") if settings.keep else None
    if kept:
        kept.load(objects.store)
        objects.restore()
        kept.start(objects.store)
    _begin(objects)
    answering = handler.Handler(objects, signer)
    context = access.server_context(keys, settings.folder)
    try:
        async with listen.serve(answering, listening, context):
            path = settings.folder / "kubeconfig"
            access.write_private(
                path, access.kubeconfig(keys, settings.name, server, _engine(settings))
            )
            async with _beside(settings, objects, answering):
                yield Running(objects, path, keys)
    finally:
        if kept:
            kept.close()
        elif settings.node:
            await _take_away(settings.name)


def _engine(settings: Settings) -> str:
    """The Docker Engine that pods run on, if there can be one."""
    try:
        return f"unix://{engine.socket_path()}" if settings.node else ""
    except ValueError:
        return ""


async def _take_away(name: str) -> None:
    """What an ephemeral cluster has made in the Engine goes with it."""
    from tilt_cluster import removal  # noqa: PLC0415 - loaded with the node, or not needed

    try:
        path = engine.socket_path()
        if os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK):
            return  # this user has never made anything there
        async with engine.Engine(path) as client:
            await removal.remove(name, client)
    except (engine.EngineAwayError, engine.EngineError, TimeoutError, ValueError) as error:
        why = str(error) or "it takes too long"
        _LOG.warning("cluster %s leaves something in the Docker Engine: %s", name, why)


@contextlib.asynccontextmanager
async def _beside(
    settings: Settings, objects: api.Api, answering: handler.Handler
) -> AsyncGenerator[None]:
    def register(runtime: PodRuntime) -> None:
        answering.runtime = runtime

    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        if settings.controllers:
            tasks.append(group.create_task(_controllers(objects), name="controllers"))
        if settings.node:
            tasks.append(group.create_task(_node(objects, register), name="node"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _controllers(objects: api.Api) -> None:
    await asyncio.sleep(0)
    from tilt_cluster import controllers  # noqa: PLC0415 - after the API answers

    await controllers.run(objects)


async def _node(objects: api.Api, register: Callable[[PodRuntime], None]) -> None:
    await asyncio.sleep(0)
    from tilt_cluster import node  # noqa: PLC0415 - after the API answers

    await node.run(objects, register)


def _begin(objects: api.Api) -> None:
    """What every cluster has from its first moment."""
    for name in _SYSTEM_NAMESPACES:
        _make(objects, NAMESPACES, {"metadata": {"name": name}})
    for name, value in (
        ("system-cluster-critical", 2_000_000_000),
        ("system-node-critical", 2_000_001_000),
    ):
        _make(objects, PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})
    service: Object = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": _IN_CLUSTER,
            "ports": [{"name": "https", "port": 443, "targetPort": objects.facts.port}],
        },
    }
    _make(objects, SERVICES, service)


def _make(objects: api.Api, resource: Resource, obj: Object) -> None:
    metadata = obj["metadata"]
    if objects.find(resource, metadata["name"], metadata.get("namespace", "")) is None:
        objects.create(resource, obj)


def lines(settings: Settings, running: Running, started: float) -> Sequence[str]:
    """What to tell a person when the cluster answers."""
    taken = time.monotonic() - started
    missing = lacking.of_node() if settings.node else ()
    return (
        f'cluster "{settings.name}" answers at {running.objects.facts.server} ({taken:.2f} s)',
        *(f"missing: {sentence}" for sentence in missing),
        f"export KUBECONFIG={running.kubeconfig}",
    )
