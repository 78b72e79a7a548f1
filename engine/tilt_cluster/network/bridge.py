"""The bridge that pods join: a network of the Engine, with a free range of addresses."""

import contextlib
import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilt_cluster import engine

_GONE = 404
_INTERFACES = Path("/sys/class/net")
_ROUTES = Path("/proc/net/route")
_CANDIDATES = [
    f"10.{second}.{third}.0/20" for second in (213, 214, 215) for third in range(0, 256, 16)
]


@dataclass(frozen=True, slots=True)
class Bridge:
    """The network in the Engine.

    Args:
        name: of the network.
        gateway: the host's address in it.
        subnet: of all its addresses.
        engines: those of them that the Engine gives; None if it may give any.
    """

    name: str
    gateway: str
    subnet: str
    engines: str | None = None


def network_name(cluster: str) -> str:
    """What the Engine calls the network of a cluster."""
    return f"tilt-{cluster}"


def interface(cluster: str) -> str:
    """The name of the bridge in the kernel, which allows 15 characters."""
    return f"tilt-{hashlib.sha256(cluster.encode()).hexdigest()[:8]}"


async def ensure(
    client: engine.Engine, cluster: str, labels: Mapping[str, str], service_cidr: str
) -> Bridge:
    """The network of a cluster, made if it isn't there.

    Raises:
        engine.EngineError: there is a foreign one of that name, or no range is free.
    """
    name = network_name(cluster)
    found = await _find(client, name)
    if found is not None:
        known: Mapping[str, str] = found.get("Labels") or {}
        if known.get(engine.CLUSTER_LABEL) != cluster:
            raise engine.EngineError(409, f"there is a network {name} that is not this cluster's")
        return _read(name, found)
    taken = [ipaddress.IPv4Network(service_cidr), *_routed()]
    refused: engine.EngineError | None = None
    for subnet in _CANDIDATES:
        network = ipaddress.IPv4Network(subnet)
        if any(network.overlaps(other) for other in taken):
            continue
        try:
            await client.make("/networks/create", _body(cluster, subnet, labels))
        except engine.EngineError as error:
            if "overlap" not in str(error).lower():
                raise
            refused = error
            continue
        made = await _find(client, name)
        if made is not None:
            return _read(name, made)
    raise refused or engine.EngineError(500, "no free range of addresses for the pods' network")


def _body(cluster: str, subnet: str, labels: Mapping[str, str]) -> Mapping[str, Any]:
    network = ipaddress.IPv4Network(subnet)
    gateway = str(network[1])
    _, engines = network.subnets()
    config = {"Subnet": subnet, "Gateway": gateway, "IPRange": str(engines)}
    return {
        "Name": network_name(cluster),
        "Driver": "bridge",
        "CheckDuplicate": True,
        "IPAM": {"Config": [config]},
        "Options": {"com.docker.network.bridge.name": interface(cluster)},
        "Labels": {**labels, engine.CLUSTER_LABEL: cluster},
    }


async def _find(client: engine.Engine, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = await client.call("GET", f"/networks/{name}")
    except engine.EngineError as error:
        if error.status == _GONE:
            return None
        raise
    return found


def _read(name: str, found: Mapping[str, Any]) -> Bridge:
    config = found["IPAM"]["Config"][0]
    subnet = str(config["Subnet"])
    gateway = str(config.get("Gateway") or ipaddress.IPv4Network(subnet)[1]).partition("/")[0]
    return Bridge(name, gateway, subnet, config.get("IPRange") or None)


def reflect(cluster: str) -> None:
    """Let pods reach themselves by their Services: packets may leave the bridge as they came.

    Where bridged packets pass the packet filter (br_netfilter), one that is sent to its own sender
    never reaches the host's routing, and a port of the bridge drops it unless it is in hairpin
    mode, as the kubelet sets it.  Without the right to, or without such a bridge, nothing changes.
    """
    for port in (_INTERFACES / interface(cluster) / "brif").glob("*/hairpin_mode"):
        with contextlib.suppress(OSError):
            port.write_text("1")


def _routed() -> list[ipaddress.IPv4Network]:
    """What the host's routes already lead to, without the default route."""
    found: list[ipaddress.IPv4Network] = []
    if not _ROUTES.exists():
        return found
    for line in _ROUTES.read_text().splitlines()[1:]:
        words = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(words[n]), "little") for n in (1, 7))
        if mask:
            length = mask.bit_count()
            found.append(ipaddress.IPv4Network((address, length)))
    return found


async def remove(client: engine.Engine, cluster: str) -> None:
    """Remove the network; one that isn't there is no error."""
    try:
        await client.call("DELETE", f"/networks/{network_name(cluster)}")
    except engine.EngineError as error:
        if error.status != _GONE:
            raise
