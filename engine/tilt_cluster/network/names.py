"""What the names of a cluster stand for: a pure lookup in Services and EndpointSlices.

Kubernetes' DNS specification 1.1: `SERVICE.NS.svc.ZONE` is the cluster IP, of a headless Service
the addresses of its ready pods; `HOSTNAME.SERVICE.NS.svc.ZONE` is one pod;
`_PORT._PROTOCOL.SERVICE…` are SRV records; `1-2-3-4.NS.pod.ZONE` is the address in the name.
Where service addresses can't be had (no root), a Service's name gives its pods' addresses.
"""

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tilt_cluster import fields
from tilt_cluster.network import dns
from tilt_cluster.objects import ENDPOINT_SLICES, NAMESPACES, SERVICES, Object, Resource

_SERVICE = "kubernetes.io/service-name"
_REVERSE = ".in-addr.arpa"


class Objects(Protocol):
    """Where Services are looked up."""

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        ...

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Object | None = None,
        owner: str | None = None,
    ) -> Sequence[Object]:
        """The objects of a collection."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for.

    Args:
        code: of the answer.
        records: the answer.
        extra: addresses of the targets.
        follow: an outside name, whose addresses have to be asked for.
    """

    code: int
    records: Sequence[dns.Record] = ()
    extra: Sequence[dns.Record] = ()
    follow: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One address of a Service: its own name under it, and ports by name."""

    ip: str
    hostname: str
    ports: Sequence[tuple[str, str, int]]


def lookup(
    objects: Objects, zone: str, networks: Sequence[str], asked: dns.Question, *, direct: bool
) -> Found | None:
    """Look a name up; None if it isn't the cluster's to answer.

    Args:
        objects: of the cluster.
        zone: `cluster.local`.
        networks: of pods and Services, for which nobody outside has names.
        asked: the question.
        direct: give pods' addresses instead of cluster IPs.
    """
    name = asked.name
    if name.endswith(_REVERSE):
        return _reverse(objects, zone, networks, name)
    if name != zone and not name.endswith(f".{zone}"):
        return None
    parts = name.removesuffix(zone).rstrip(".").split(".")
    found = _in_zone(objects, zone, name, parts, asked.kind, direct=direct)
    if found is None:
        return Found(dns.UNKNOWN)
    kept = [r for r in found.records if asked.kind in {r.kind, dns.ANY} or r.kind == dns.CNAME]
    return Found(dns.OK, kept, found.extra, found.follow)


def _in_zone(
    objects: Objects, zone: str, name: str, parts: Sequence[str], kind: int, *, direct: bool
) -> Found | None:
    match parts:
        case [""] | ["svc"] | ["pod"] | [_, "svc" | "pod"]:
            exists = len(parts) == 1 or objects.find(NAMESPACES, parts[0]) is not None
            return Found(dns.OK) if exists else None
        case [dashed, namespace, "pod"]:
            return _pod(objects, name, dashed, namespace)
        case [service, namespace, "svc"]:
            return _service(objects, name, service, namespace, direct=direct)
        case [hostname, service, namespace, "svc"]:
            members = members_of(objects, service, namespace)
            found = [one for one in members if one.hostname == hostname]
            return Found(dns.OK, [dns.address(name, one.ip) for one in found]) if found else None
        case [port, protocol, service, namespace, "svc"] if kind in {dns.SRV, dns.ANY}:
            return _ports(objects, zone, name, (port, protocol), (service, namespace))
        case [_, _, _, _, "svc"]:
            return Found(dns.OK)
        case _:
            return None


def _pod(objects: Objects, name: str, dashed: str, namespace: str) -> Found | None:
    if objects.find(NAMESPACES, namespace) is None:
        return None
    try:
        ip = str(ipaddress.IPv4Address(dashed.replace("-", ".")))
    except ValueError:
        return None
    return Found(dns.OK, [dns.address(name, ip)])


def _service(
    objects: Objects, name: str, service: str, namespace: str, *, direct: bool
) -> Found | None:
    found = objects.find(SERVICES, service, namespace)
    if found is None:
        return None
    if fields.get(found, "spec", "type") == "ExternalName":
        target = str(fields.get(found, "spec", "externalName", default="")).rstrip(".").lower()
        return Found(dns.OK, [dns.alias(name, target)], follow=target)
    ip = str(fields.get(found, "spec", "clusterIP", default="None"))
    if ip not in {"None", ""} and not direct:
        return Found(dns.OK, [dns.address(name, ip)])
    members = members_of(objects, service, namespace)
    if not members and ip in {"None", ""}:
        return None  # as CoreDNS: a headless Service without ready pods has no name
    ips = list(dict.fromkeys(one.ip for one in members))
    random.shuffle(ips)
    return Found(dns.OK, [dns.address(name, one) for one in ips])


def members_of(objects: Objects, service: str, namespace: str) -> list[Member]:
    """The ready addresses of a Service."""
    members: list[Member] = []
    slices = objects.list(ENDPOINT_SLICES, namespace, labels={"matchLabels": {_SERVICE: service}})
    for one in slices:
        ports = [
            (str(p.get("name") or ""), str(p.get("protocol", "TCP")).lower(), int(p["port"]))
            for p in one.get("ports") or ()
            if p.get("port")
        ]
        for endpoint in one.get("endpoints") or ():
            if fields.get(endpoint, "conditions", "ready", default=True):
                hostname = str(endpoint.get("hostname") or "")
                members += [Member(str(ip), hostname, ports) for ip in endpoint["addresses"]]
    return members


def _ports(
    objects: Objects, zone: str, name: str, asked: tuple[str, str], of: tuple[str, str]
) -> Found | None:
    port, protocol = (part.removeprefix("_") for part in asked)
    service, namespace = of
    found = objects.find(SERVICES, service, namespace)
    if found is None:
        return None
    base = f"{service}.{namespace}.svc.{zone}"
    ip = str(fields.get(found, "spec", "clusterIP", default="None"))
    if ip not in {"None", ""}:
        for one in fields.get(found, "spec", "ports", default=()):
            same = str(one.get("protocol", "TCP")).lower() == protocol
            if one.get("name") == port and same:
                answer = [dns.service(name, int(one["port"]), base)]
                return Found(dns.OK, answer, [dns.address(base, ip)])
        return None
    records: list[dns.Record] = []
    extra: list[dns.Record] = []
    for member in members_of(objects, service, namespace):
        for port_name, port_protocol, number in member.ports:
            if (port_name, port_protocol) == (port, protocol):
                target = f"{member.hostname or member.ip.replace('.', '-')}.{base}"
                records.append(dns.service(name, number, target))
                extra.append(dns.address(target, member.ip))
    return Found(dns.OK, records, extra) if records else None


def _reverse(objects: Objects, zone: str, networks: Sequence[str], name: str) -> Found | None:
    text = ".".join(reversed(name.removesuffix(_REVERSE).split(".")))
    try:
        ip = ipaddress.IPv4Address(text)
    except ValueError:
        return None
    if not any(ip in ipaddress.IPv4Network(network) for network in networks):
        return None
    for service in objects.list(SERVICES):
        if fields.get(service, "spec", "clusterIP") == str(ip):
            full = f"{fields.name(service)}.{fields.namespace(service)}.svc.{zone}"
            return Found(dns.OK, [dns.pointer(name, full)])
    return Found(dns.UNKNOWN)
