"""Service addresses as packet filter rules: one table of nftables, written as a whole each time.

A connection to a cluster IP is sent to one of the Service's ready pods, at random, or for
`sessionAffinity: ClientIP` by the client's address.  It is masqueraded, so that the answer comes
back this way even between two pods of one bridge, whatever the kernel does with bridged packets.
What nobody serves is rejected, so that a client sees `connection refused` at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tilt_cluster import fields
from tilt_cluster.objects import Object

_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Route:
    """One port of a Service, and where its connections go.

    Args:
        ip: the cluster IP.
        port: of the Service.
        protocol: `tcp` or `udp`.
        targets: addresses and ports of its pods.
        sticky: a client stays with one pod.
        node_port: of the host, or 0.
    """

    ip: str
    port: int
    protocol: str
    targets: tuple[tuple[str, int], ...]
    sticky: bool = False
    node_port: int = 0


def routes(services: Iterable[Object], slices: Iterable[Object]) -> list[Route]:
    """The routes of all Services that have a cluster IP or a node port."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for one in slices:
        key = (fields.namespace(one), fields.labels(one).get(_SERVICE, ""))
        by_service.setdefault(key, []).append(one)
    found: list[Route] = []
    for service in services:
        ip = str(fields.get(service, "spec", "clusterIP", default=""))
        if ip in {"", "None"}:
            continue
        sticky = fields.get(service, "spec", "sessionAffinity") == "ClientIP"
        mine = by_service.get((fields.namespace(service), fields.name(service)), [])
        for port in fields.get(service, "spec", "ports", default=()):
            protocol = str(port.get("protocol", "TCP"))
            found.append(
                Route(
                    ip=ip,
                    port=int(port["port"]),
                    protocol=protocol.lower(),
                    targets=_targets(mine, str(port.get("name") or ""), protocol),
                    sticky=sticky,
                    node_port=int(port.get("nodePort") or 0),
                )
            )
    return found


def _targets(slices: Sequence[Object], name: str, protocol: str) -> tuple[tuple[str, int], ...]:
    found: dict[tuple[str, int], None] = {}
    for one in slices:
        for port in one.get("ports") or ():
            same = (str(port.get("name") or ""), port.get("protocol", "TCP")) == (name, protocol)
            if not same or not port.get("port"):
                continue
            for endpoint in one.get("endpoints") or ():
                if fields.get(endpoint, "conditions", "ready", default=True):
                    for ip in endpoint["addresses"]:
                        found[str(ip), int(port["port"])] = None
    return tuple(found)


def script(table: str, bridge: str, subnet: str, service_cidr: str, found: Iterable[Route]) -> str:
    """What `nft -f -` gets: the table as it shall be, replaced at once.

    Args:
        table: its name.
        bridge: the interface of the pods; nobody else's packets are touched.
        subnet: of the pods.
        service_cidr: of the cluster IPs.
        found: the routes.
    """
    lines = [rule for route in found if (rule := _rule(route))]
    body = "\n".join(f"        {line}" for line in lines)
    return f"""\
table ip {table} {{}}
delete table ip {table}
table ip {table} {{
    chain services {{
{body}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat - 10; policy accept;
        iifname "{bridge}" ip daddr {service_cidr} jump services
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat - 10; policy accept;
        ip saddr {subnet} ct status dnat ct original ip daddr {service_cidr} masquerade
    }}
    chain forward {{
        type filter hook forward priority filter - 10; policy accept;
        iifname "{bridge}" ip daddr {service_cidr} meta l4proto tcp reject with tcp reset
        iifname "{bridge}" ip daddr {service_cidr} reject
    }}
}}
"""


def removal(table: str) -> str:
    """What takes the table away."""
    return f"table ip {table} {{}}\ndelete table ip {table}\n"


def _rule(route: Route) -> str | None:
    if not route.targets or route.protocol not in {"tcp", "udp"}:
        return None
    match = f"ip daddr {route.ip} {route.protocol} dport {route.port}"
    count = len(route.targets)
    if count == 1:
        ip, port = route.targets[0]
        return f"{match} dnat to {ip}:{port}"
    choice = "jhash ip saddr" if route.sticky else "numgen random"
    pairs = ", ".join(f"{n} : {ip} . {port}" for n, (ip, port) in enumerate(route.targets))
    return f"{match} dnat ip to {choice} mod {count} map {{ {pairs} }}"
