"""What the kubeconfig says about a cluster.

Development clusters are told by the name of the kubeconfig's cluster entry, which their tools
choose; a context can be renamed by anybody, so its name proves nothing.  The names are those that
Tilt takes for local: such a cluster may be deployed to without `allow_k8s_contexts`.

minikube and the embedded cluster sign the entry instead, as people choose their names.  The
embedded cluster's signature also says on which Docker Engine its pods run: what is built there is
there already.
"""

from collections.abc import Iterator, Mapping
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
    EMBEDDED = "embedded"
    OTHER = ""


_EXACT = {
    "kind": Product.KIND,
    "minikube": Product.MINIKUBE,
    "rancher-desktop": Product.RANCHER_DESKTOP,
    "colima": Product.COLIMA,
    "orbstack": Product.ORBSTACK,
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
_SIGNATURES = {
    "minikube.sigs.k8s.io": Product.MINIKUBE,
    "dev.tilt.cluster": Product.EMBEDDED,
}
_ENGINE = "unix:///var/run/docker.sock"
_MAY_SHARE = frozenset({Product.RANCHER_DESKTOP, Product.COLIMA, Product.ORBSTACK})


def product(cluster: str, entry: JSON) -> Product:
    """What runs a cluster.

    Args:
        cluster: the name of the kubeconfig's cluster entry.
        entry: that entry's `cluster`, which may be signed.
    """
    for extension in _extensions(entry):
        if found := _SIGNATURES.get(str(extension.get("provider") or "")):
            return found
    if cluster in _EXACT:
        return _EXACT[cluster]
    return next((p for prefix, p in _PREFIXES.items() if cluster.startswith(prefix)), Product.OTHER)


def engine(entry: JSON) -> str:
    """The Docker Engine that a cluster has signed its entry with, as in `DOCKER_HOST`, or none."""
    found = (str(extension.get("engine") or "") for extension in _extensions(entry))
    return next(filter(None, found), "")


def _extensions(entry: JSON) -> Iterator[JSON]:
    return (podspec.section(row, "extension") for row in podspec.rows(entry.get("extensions")))


def asks_for_runtime(what: Product) -> bool:
    """Whether only its nodes can tell if the cluster runs on our Docker Engine."""
    return what in _MAY_SHARE


def shares_engine(
    what: Product,
    context: str,
    env: Mapping[str, str],
    *,
    runtime: str = "",
    signed: str = "",
) -> bool:
    """Whether the cluster runs the images of the Docker Engine that the session uses.

    Args:
        what: what runs it.
        context: the context's name; minikube's `docker-env` names the profile alike.
        env: the session's environment.
        runtime: a node's `containerRuntimeVersion`, where `asks_for_runtime`.
        signed: the `engine` of its entry.
    """
    match what:
        case Product.DOCKER_DESKTOP:
            return not env.get("DOCKER_HOST")
        case Product.MINIKUBE:
            return bool(env.get("DOCKER_HOST")) and env.get("MINIKUBE_ACTIVE_DOCKERD") == context
        case Product.EMBEDDED:
            return bool(signed) and signed == _session_engine(env)
        case _ if what in _MAY_SHARE:
            return runtime.startswith("docker://")
        case _:
            return False


def _session_engine(env: Mapping[str, str]) -> str:
    """As `DOCKER_HOST` says; a Docker context that the session chooses is another Engine."""
    if host := env.get("DOCKER_HOST"):
        return host
    return _ENGINE if env.get("DOCKER_CONTEXT", "default") in {"", "default"} else ""
