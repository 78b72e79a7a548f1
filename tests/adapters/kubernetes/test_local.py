"""What the name of a cluster says."""

import pytest

from tiltd.adapters.kubernetes.local import Product, product, shares_engine

MINIKUBE = {"extensions": [{"extension": {"provider": "minikube.sigs.k8s.io"}}]}


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ("kind", Product.KIND),
        ("kind-shop", Product.KIND),
        ("kindred", Product.OTHER),
        ("k3d-shop", Product.K3D),
        ("minikube", Product.MINIKUBE),
        ("docker-desktop", Product.DOCKER_DESKTOP),
        ("docker-for-desktop-cluster", Product.DOCKER_DESKTOP),
        ("microk8s-cluster", Product.MICROK8S),
        ("api-crc-testing:6443", Product.CRC),
        ("rancher-desktop", Product.RANCHER_DESKTOP),
        ("colima", Product.COLIMA),
        ("colima-big", Product.COLIMA),
        ("orbstack", Product.ORBSTACK),
        ("tiltd", Product.TILTD),
        ("gke_project_zone_name", Product.OTHER),
        ("production", Product.OTHER),
        ("", Product.OTHER),
    ],
)
def test_development_clusters_are_known_by_their_names(cluster: str, expected: Product) -> None:
    assert product(cluster, {}) is expected


def test_minikube_signs_its_profiles_of_any_name() -> None:
    assert product("shop", MINIKUBE) is Product.MINIKUBE


@pytest.mark.parametrize(
    ("what", "env", "runtime", "expected"),
    [
        (Product.DOCKER_DESKTOP, {}, "", True),
        (Product.DOCKER_DESKTOP, {"DOCKER_HOST": "tcp://elsewhere"}, "", False),
        (Product.MINIKUBE, {}, "", False),
        (Product.MINIKUBE, {"DOCKER_HOST": "x", "MINIKUBE_ACTIVE_DOCKERD": "it"}, "", True),
        (Product.MINIKUBE, {"DOCKER_HOST": "x", "MINIKUBE_ACTIVE_DOCKERD": "no"}, "", False),
        (Product.ORBSTACK, {}, "docker://28.0", True),
        (Product.COLIMA, {}, "containerd://2.0", False),
        (Product.TILTD, {}, "", True),
        (Product.KIND, {}, "docker://28.0", False),
        (Product.OTHER, {}, "docker://28.0", False),
    ],
)
def test_only_a_cluster_on_our_engine_needs_no_push(
    what: Product, env: dict[str, str], runtime: str, *, expected: bool
) -> None:
    assert shares_engine(what, "it", env, runtime=runtime) is expected
