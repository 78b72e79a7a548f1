"""What a cluster can't do here, found without asking anybody: said when it starts.

The node finds out more once it has its bridge (another program on port 53, a kernel without
nftables); that stands in its log.
"""

import os
import socket
from collections.abc import Sequence

from tilt_cluster import engine

NO_ADDRESSES = (
    "cluster IPs: only root may write rules of nftables, so a Service's name gives the addresses "
    "of its pods, and its port must be the target port"
)
NEITHER = (
    "Services: only root may open port 53 of the pods' bridge and write rules of nftables, so "
    "there are neither names nor cluster IPs, and pods reach each other by their own addresses only"
)
NO_OWNERS = (
    "owners of files: only root may give files away, so fsGroup has no effect, and what containers "
    "write into volumes as root stays until root removes it"
)


def of_node() -> Sequence[str]:
    """What the node will lack; one sentence each, the lacking thing first."""
    try:
        path = engine.socket_path()
    except ValueError as error:
        return (_nothing_runs(str(error)),)
    if trouble := engine.trouble(path):
        return (_nothing_runs(trouble),)
    if os.geteuid() == 0:
        return ()
    return (NO_ADDRESSES if _may_open_53() else NEITHER, NO_OWNERS)


def _nothing_runs(why: str) -> str:
    return f"a container runtime: {why}; the API works, and pods stay Pending"


def _may_open_53() -> bool:
    """Whether this process has the right to port 53 (whoever else may have it now)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", 53))
        except PermissionError:
            return False
        except OSError:
            return True
    return True
