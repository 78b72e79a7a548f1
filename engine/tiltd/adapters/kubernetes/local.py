"""What the name of a cluster says about it.

Development clusters are told by the name of the kubeconfig's cluster entry, which their tools
choose; a context can be renamed by anybody, so its name proves nothing.  The names are those that
Tilt takes for local: such a cluster may be deployed to without `allow_k8s_contexts`.
"""

from collections.abc import Mapping
from enum import Enum

from tiltd.core import podspec
from tiltd.model.desired import JSON


class Product(Enum):
    """What runs the cluster; `OTHER` is everything that is not known to be for development."""

    DOCKER_DESKTOP = "docker-desktop"
    MINIKUBE = "minikube"
    KIND = "kind"
    K3D = "k3d"
    MICROK8S = "microk8s"
    CRC = "crc"
    KRUCIBLE = "krucible"
    RANCHER_DESKTOP = "rancher-desktop"
    COLIMA = "colima"
    ORBSTACK = "orbstack"
    TILTD = "tiltd"
    OTHER = ""


_EXACT = {
    "kind": Product.KIND,
    "minikube": Product.MINIKUBE,
    "rancher-desktop": Product.RANCHER_DESKTOP,
    "colima": Product.COLIMA,
    "orbstack": Product.ORBSTACK,
    "tiltd": Product.TILTD,
}
_PREFIXES = {
    "docker-for-desktop": Product.DOCKER_DESKTOP,
    "docker-desktop": Product.DOCKER_DESKTOP,
    "kind-": Product.KIND,
    "k3d-": Product.K3D,
    "microk8s-cluster": Product.MICROK8S,
    "api-crc-testing": Product.CRC,
    "krucible-": Product.KRUCIBLE,
    "colima-": Product.COLIMA,
}
_MINIKUBE_EXTENSION = "minikube.sigs.k8s.io"
_MAY_SHARE = frozenset({Product.RANCHER_DESKTOP, Product.COLIMA, Product.ORBSTACK})


def product(cluster: str, entry: JSON) -> Product:
    """What runs a cluster.

    Args:
        cluster: the name of the kubeconfig's cluster entry.
        entry: that entry's `cluster`; minikube signs it, as its profiles have any name.
    """
    for row in podspec.rows(entry.get("extensions")):
        if podspec.section(row, "extension").get("provider") == _MINIKUBE_EXTENSION:
            return Product.MINIKUBE
    if cluster in _EXACT:
        return _EXACT[cluster]
    return next((p for prefix, p in _PREFIXES.items() if cluster.startswith(prefix)), Product.OTHER)


def asks_for_runtime(what: Product) -> bool:
    """Whether only its nodes can tell if the cluster runs on our Docker Engine."""
    return what in _MAY_SHARE


def shares_engine(
    what: Product, context: str, env: Mapping[str, str], *, runtime: str = ""
) -> bool:
    """Whether the cluster runs the images of the Docker Engine that the session uses.

    Args:
        what: what runs it.
        context: the context's name; minikube's `docker-env` names the profile alike.
        env: the session's environment.
        runtime: a node's `containerRuntimeVersion`, where `asks_for_runtime`.
    """
    match what:
        case Product.DOCKER_DESKTOP:
            return not env.get("DOCKER_HOST")
        case Product.MINIKUBE:
            return bool(env.get("DOCKER_HOST")) and env.get("MINIKUBE_ACTIVE_DOCKERD") == context
        case Product.TILTD:
            return True
        case _ if what in _MAY_SHARE:
            return runtime.startswith("docker://")
        case _:
            return False
