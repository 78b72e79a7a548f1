"""What the kubeconfig says about a cluster."""

from typing import Any

import pytest
import yaml

from tilt_cluster import access
from tiltd.adapters.kubernetes.local import Product, engine, product, shares_engine

MINIKUBE = {"extensions": [{"extension": {"provider": "minikube.sigs.k8s.io"}}]}
SOCKET = "unix:///var/run/docker.sock"


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
        ("tiltd", Product.OTHER),
        ("tilt-embedded", Product.OTHER),
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
        (Product.KIND, {}, "docker://28.0", False),
        (Product.OTHER, {}, "docker://28.0", False),
    ],
)
def test_only_a_cluster_on_our_engine_needs_no_push(
    what: Product, env: dict[str, str], runtime: str, *, expected: bool
) -> None:
    assert shares_engine(what, "it", env, runtime=runtime) is expected


@pytest.mark.parametrize(
    ("signed", "env", "expected"),
    [
        pytest.param(SOCKET, {}, True, id="the usual engine"),
        pytest.param(SOCKET, {"DOCKER_HOST": ""}, True, id="an empty DOCKER_HOST is none"),
        pytest.param(SOCKET, {"DOCKER_HOST": SOCKET}, True, id="the usual engine by its name"),
        pytest.param("unix:///run/user/1/docker.sock", {}, False, id="the cluster has another"),
        pytest.param(
            SOCKET, {"DOCKER_HOST": "tcp://far:2376"}, False, id="the session has another"
        ),
        pytest.param("unix:///d.sock", {"DOCKER_HOST": "unix:///d.sock"}, True, id="both another"),
        pytest.param(SOCKET, {"DOCKER_CONTEXT": "far"}, False, id="another Docker context"),
        pytest.param(SOCKET, {"DOCKER_CONTEXT": "default"}, True, id="the default context"),
        pytest.param("", {}, False, id="a cluster without a node"),
    ],
)
def test_the_embedded_cluster_shares_the_engine_that_it_has_signed_with(
    signed: str, env: dict[str, str], *, expected: bool
) -> None:
    assert shares_engine(Product.EMBEDDED, "it", env, signed=signed) is expected


def test_the_embedded_cluster_signs_its_kubeconfig_whatever_its_name() -> None:
    keys = access.make([])
    for where in (SOCKET, ""):
        written: Any = yaml.safe_load(access.kubeconfig(keys, "shop", "https://127.0.0.1:1", where))
        entry = written["clusters"][0]["cluster"]
        assert product("any", entry) is Product.EMBEDDED
        assert engine(entry) == where


@pytest.mark.parametrize("extension", [None, "text", {}, {"provider": ["a"]}, {"engine": 1}])
def test_foreign_extensions_say_nothing(extension: object) -> None:
    entry = {"extensions": [{"name": "x", "extension": extension}]}
    assert product("any", entry) is Product.OTHER
