"""Starting the node: the Engine, the network, the image of sandboxes, then the kubelet."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from tilt_cluster import engine, fields, network
from tilt_cluster.node import kubelet, machine, pause, world
from tilt_cluster.objects import NODES, ApiError, Cluster, PodRuntime

_LOG = logging.getLogger(__name__)
_AGAIN = 1.0


async def run(cluster: Cluster, register: Callable[[PodRuntime], None]) -> None:
    """Be the cluster's node until cancelled.

    Args:
        cluster: its objects.
        register: gets what serves logs, exec, attach and port-forward.
    """
    try:
        path = engine.socket_path()
    except ValueError as error:
        _absent(cluster, str(error))
        await asyncio.Event().wait()
        return
    async with engine.Engine(path) as client:
        while True:
            try:
                await _run(cluster, client, register)
            except* (engine.EngineAwayError, engine.EngineError) as errors:
                _absent(cluster, str(errors.exceptions[0]))
            await asyncio.sleep(_AGAIN)


async def _run(
    cluster: Cluster, client: engine.Engine, register: Callable[[PodRuntime], None]
) -> None:
    """Be the node, as long as the Engine can do what a node needs at its start."""
    info, has = await _prepare(cluster, client)
    for sentence in has.missing:
        _LOG.warning("%s", sentence)
    joined = world.Network(
        name=has.bridge.name,
        gateway=has.bridge.gateway,
        dns=has.bridge.gateway if has.names else None,
        joining=has.joining,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(network.run(cluster, has), name="network")
        tasks.create_task(kubelet.run(cluster, client, joined, info, register), name="kubelet")


async def _prepare(
    cluster: Cluster, client: engine.Engine
) -> tuple[Mapping[str, Any], network.Facilities]:
    """What the node needs of the Engine, as soon as there is one."""
    while True:
        try:
            info = await client.call("GET", "/info", timeout=10)
            await pause.ensure(client, info)
            return info, await network.start(cluster, client)
        except (engine.EngineAwayError, engine.EngineError, ValueError) as error:
            _absent(cluster, str(error))
            await asyncio.sleep(_AGAIN)


def _absent(cluster: Cluster, why: str) -> None:
    """A node that can't run anything: NotReady, and tainted so that pods wait and say why."""
    try:
        found = cluster.find(NODES, world.NODE)
        if found is None:
            found = cluster.create(NODES, machine.describe({}, "127.0.0.1"))
        status = machine.status({}, "127.0.0.1", found, ready=False, message=why)
        old = fields.condition(found, "Ready")
        if old is None or old.get("message") != f"container runtime is down: {why}":
            _LOG.warning("%s", why)
            cluster.update_status(NODES, fields.with_status(found, status))
    except ApiError as error:
        _LOG.warning("node status: %s", error)
