"""Addresses and packet filter rules; everything that outlives a process and must be taken back.

the node's address     a /32 on `lo`
a table of nftables    masquerades what pods send to the world outside of the pods' network
two rules of iptables  let pods' packets through, since Docker drops what it doesn't know
kube-proxy's tables    nftables mode: whole tables of its own, deleted as a whole
the pods' bridge       made by the CNI plugin; chains `CNI-*` are its port mappings
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from tools.realcluster import console, process, settings

_TABLE = "tiltd-real"
_MASQUERADE = f"""\
table ip {_TABLE} {{}}
delete table ip {_TABLE}
table ip {_TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {settings.POD_CIDR} ip daddr != {settings.POD_CIDR} masquerade
    }}
}}
"""
_ADDRESS = f"{settings.NODE_IP}/32"
_KERNEL_SETTINGS = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables")


def ensure() -> None:
    """Make what is missing; calling it again changes nothing.

    Raises:
        console.Failure: the kernel refuses, for instance inside a container without NET_ADMIN.
    """
    for name in _KERNEL_SETTINGS:
        _switch_on(name)
    process.run("ip", "address", "replace", _ADDRESS, "dev", "lo")
    process.run("nft", "-f", "-", stdin=_MASQUERADE.encode())
    for rule in _forward_rules():
        if not process.succeeds("iptables", "-C", *rule):
            process.run("iptables", "-A", *rule)


def remove() -> None:
    """Take everything back; what isn't there is no error."""
    for rule in _forward_rules():
        while process.succeeds("iptables", "-D", *rule):
            pass
    for family, table in (("ip", _TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")):
        with contextlib.suppress(console.Failure):
            process.run("nft", "delete", "table", family, table)
    _remove_port_mappings()
    for command in (
        ("ip", "link", "delete", settings.BRIDGE),
        ("ip", "address", "delete", _ADDRESS, "dev", "lo"),
    ):
        with contextlib.suppress(console.Failure):
            process.run(*command)


def _switch_on(name: str) -> None:
    """Set a kernel setting to 1; bridges are not filtered at all where the second is absent."""
    path = Path("/proc/sys") / name
    if path.exists() and path.read_text().strip() != "1":
        path.write_text("1")


def _forward_rules() -> Sequence[Sequence[str]]:
    comment = ("-m", "comment", "--comment", _TABLE, "-j", "ACCEPT")
    return (
        ("FORWARD", "-s", settings.POD_CIDR, *comment),
        ("FORWARD", "-d", settings.POD_CIDR, *comment),
    )


def _remove_port_mappings() -> None:
    """Delete the chains `CNI-*` of hostPorts whose pods had no time to go, and what jumps there."""
    try:
        listing = process.run("iptables", "-t", "nat", "-S").splitlines()
    except console.Failure:
        return
    chains = [line.split()[1] for line in listing if line.startswith("-N CNI-")]
    jumps = [
        line.replace("-A", "-D", 1)
        for line in listing
        if line.startswith("-A") and "CNI-" in line and not line.startswith("-A CNI-")
    ]
    if not chains:
        return
    script = [*jumps, *(f"-F {name}" for name in chains), *(f"-X {name}" for name in chains)]
    payload = "\n".join(["*nat", *script, "COMMIT", ""])
    with contextlib.suppress(console.Failure):
        process.run("iptables-restore", "--noflush", stdin=payload.encode())
