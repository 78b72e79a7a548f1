import pytest
from tools.realcluster import existing


@pytest.mark.parametrize(
    ("context", "server", "local"),
    [
        pytest.param("kind-dev", "https://127.0.0.1:6443", True, id="kind"),
        pytest.param("k3d-dev", "https://localhost:6443", True, id="k3d"),
        pytest.param("minikube", "https://[::1]:8443", True, id="loopback of IPv6"),
        pytest.param(
            "docker-desktop", "https://kubernetes.docker.internal:6443", True, id="docker desktop"
        ),
        pytest.param("kind-dev", "https://10.1.2.3:6443", False, id="kind, elsewhere"),
        pytest.param("kind-dev", "https://k8s.example.com", False, id="kind, a name"),
        pytest.param("prod", "https://127.0.0.1:6443", False, id="a tunnel to production"),
        pytest.param("", "https://127.0.0.1:6443", False, id="no context"),
    ],
)
def test_a_cluster_is_local_by_both_its_name_and_its_address(
    context: str, server: str, *, local: bool
) -> None:
    view = {"current-context": context, "clusters": [{"cluster": {"server": server}}]}

    assert existing.is_local(view) is local


def test_a_kubeconfig_without_clusters_is_not_local() -> None:
    assert not existing.is_local({"current-context": "kind-dev", "clusters": None})
