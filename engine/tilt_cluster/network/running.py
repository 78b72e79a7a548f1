"""The network while the cluster runs: what could be had at the start, and following the objects."""

import asyncio
import ipaddress
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tilt_cluster import engine, fields
from tilt_cluster.network import bridge, dns, joining, names, ports, resolver, rules
from tilt_cluster.network.joining import Joining
from tilt_cluster.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    ApiError,
    Cluster,
    Object,
    Resource,
)

_LOG = logging.getLogger(__name__)
_ZONE = "cluster.local"
_SETTLE, _APART = 0.02, 0.2
"""Changes are waited for together: shortly after a quiet time, longer where they go on and on."""
_NFT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Facilities:
    """What the network can do here.

    Args:
        bridge: that pods join.
        names: somebody answers on port 53 of the bridge.
        addresses: cluster IPs work.
        missing: what is missing, why, and what that means; one sentence each.
        joining: puts pods on the bridge; None: the Engine does.
    """

    bridge: bridge.Bridge
    names: bool
    addresses: bool
    missing: Sequence[str]
    joining: Joining | None = None


def _table(cluster: str) -> str:
    return "tilt-" + re.sub(r"[^a-zA-Z0-9-]", "-", cluster)


async def _nft(script: str) -> str | None:
    """Give nft a script; what is wrong, or None."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_NFT_SECONDS):
            _, errors = await process.communicate(script.encode())
    except (OSError, TimeoutError) as error:
        return str(error) or "nft does not answer"
    return None if process.returncode == 0 else errors.decode(errors="replace").strip()


async def start(cluster: Cluster, client: engine.Engine) -> Facilities:
    """Make the bridge, and find out what else can be had.

    Raises:
        engine.EngineError, engine.EngineAwayError: there is no bridge.
    """
    facts = cluster.facts
    made = await bridge.ensure(client, facts.name, facts.labels, facts.service_cidr)
    missing: list[str] = []
    can_bind = _can_bind(made.gateway)
    if not can_bind:
        missing.append(
            f"Names of Services need port 53 on {made.gateway}, which only root may open (or "
            f"another program has it): pods can't find Services by name. Run the cluster as root."
        )
    trouble = await _addresses_trouble(facts.name, made.subnet, facts.service_cidr)
    if trouble:
        instead = (
            "a Service's name gives the addresses of its pods instead, so its port must be the "
            "target port"
            if can_bind
            else "nobody answers there"
        )
        missing.append(
            f"Cluster IPs need rules of nftables ({trouble}): {instead}. Run the cluster as root."
        )
    return Facilities(made, can_bind, not trouble, missing, await joining.find(facts.name, made))


def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 53))
        except OSError:
            return False
    return True


async def _addresses_trouble(name: str, subnet: str, cidr: str) -> str | None:
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("nft") is None:
        return "there is no program nft"
    return await _nft(rules.script(_table(name), bridge.interface(name), subnet, cidr, ()))


async def stop(cluster: str, client: engine.Engine) -> None:
    """Take away the rules and the bridge of a cluster by its name; its containers must be gone."""
    if os.geteuid() == 0 and shutil.which("nft") is not None:
        await _nft(rules.removal(_table(cluster)))
    await bridge.remove(client, cluster)


async def run(cluster: Cluster, facilities: Facilities) -> None:
    """Answer names and keep addresses and ports until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        network = _Network(cluster, facilities, tasks)
        await network.run()


class _Network:
    def __init__(self, cluster: Cluster, facilities: Facilities, tasks: asyncio.TaskGroup) -> None:
        self._cluster, self._has, self._tasks = cluster, facilities, tasks
        self._doors: dict[int, ports.Door] = {}
        self._routes: Sequence[rules.Route] = ()
        self._written: str | None = None

    async def run(self) -> None:
        facts, made = self._cluster.facts, self._has.bridge
        door = ports.Door([made.gateway], facts.port, lambda: [("127.0.0.1", facts.port)])
        if trouble := await door.open():
            _LOG.warning("pods can't reach the API: %s", trouble)
        self._say_where_the_api_is()
        close = None
        if self._has.names:
            try:
                close = await resolver.listen(self._look_up, made.gateway, self._tasks)
            except OSError as error:
                _LOG.warning("pods can't find Services by name: %s", error)
        try:
            await self._follow()
        finally:
            door.close()
            for one in self._doors.values():
                one.close()
            if close is not None:
                await close()

    def _look_up(self, asked: dns.Question) -> names.Found | None:
        ranges = (self._has.bridge.subnet, self._cluster.facts.service_cidr)
        return names.lookup(self._cluster, _ZONE, ranges, asked, direct=not self._has.addresses)

    def _say_where_the_api_is(self) -> None:
        """The Service `kubernetes` and its addresses, by which pods reach the API."""
        facts, gateway = self._cluster.facts, self._has.bridge.gateway
        ip = str(ipaddress.IPv4Network(facts.service_cidr)[1])
        labels = {"component": "apiserver", "provider": "kubernetes"}
        port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": facts.port}
        spec = {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP", "ports": [port]}
        metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
        target = {"name": "https", "port": facts.port, "protocol": "TCP"}
        ready = {"addresses": [gateway], "conditions": {"ready": True}}
        owned = {"kubernetes.io/service-name": "kubernetes"}
        wanted: Sequence[tuple[Resource, Object]] = (
            (SERVICES, {"metadata": metadata, "spec": spec}),
            (
                ENDPOINT_SLICES,
                {
                    "metadata": {"name": "kubernetes", "namespace": "default", "labels": owned},
                    "addressType": "IPv4",
                    "endpoints": [ready],
                    "ports": [target],
                },
            ),
            (
                ENDPOINTS,
                {
                    "metadata": {"name": "kubernetes", "namespace": "default"},
                    "subsets": [{"addresses": [{"ip": gateway}], "ports": [target]}],
                },
            ),
        )
        for resource, obj in wanted:
            self._put(resource, obj)

    def _put(self, resource: Resource, obj: Object) -> None:
        found = self._cluster.find(resource, "kubernetes", "default")
        try:
            if found is None:
                self._cluster.create(resource, obj)
            elif resource != SERVICES:
                metadata = fields.get(found, "metadata")
                self._cluster.update(resource, {**found, **obj, "metadata": metadata})
        except ApiError as error:
            _LOG.warning("%s kubernetes: %s", resource, error)

    async def _follow(self) -> None:
        rested = 0.0
        async with self._cluster.watch(SERVICES, ENDPOINT_SLICES) as changes:
            while True:
                await changes.batch()
                await asyncio.sleep(max(_SETTLE, rested - time.monotonic()))
                changes.take()
                await self._apply()
                rested = time.monotonic() + _APART

    async def _apply(self) -> None:
        found = rules.routes(self._cluster.list(SERVICES), self._cluster.list(ENDPOINT_SLICES))
        self._routes = found
        if self._has.addresses:
            facts = self._cluster.facts
            script = rules.script(
                _table(facts.name),
                bridge.interface(facts.name),
                self._has.bridge.subnet,
                facts.service_cidr,
                found,
            )
            if script != self._written:
                if trouble := await _nft(script):
                    _LOG.error("service addresses: %s", trouble)
                else:
                    self._written = script
        opened = {one.node_port for one in found if one.node_port and one.protocol == "tcp"}
        await self._node_ports(opened)

    async def _node_ports(self, wanted: set[int]) -> None:
        for gone in self._doors.keys() - wanted:
            self._doors.pop(gone).close()
        for port in wanted - self._doors.keys():
            where = ["127.0.0.1", self._has.bridge.gateway]

            def targets(port: int = port) -> Sequence[tuple[str, int]]:
                return [t for one in self._routes if one.node_port == port for t in one.targets]

            door = ports.Door(where, port, targets)
            self._doors[port] = door
            if trouble := await door.open():
                _LOG.warning("node port: %s", trouble)
