"""Every test here runs on the embedded cluster, and again (`-m cluster`) on a real API server."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.api.client import Client


@pytest.fixture(scope="session")
def embedded_kubeconfig() -> Iterator[Path]:
    command = [sys.executable, "-m", "tilt_cluster", "--no-node", "--name", "suite"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = process.stdout or iter(())
            said = [next(lines), next(lines)]
            yield Path(said[1].strip().partition("=")[2])
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(
    scope="session",
    params=["embedded", pytest.param("real", marks=pytest.mark.cluster)],
)
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    if request.param == "embedded":
        kubeconfig: Path = request.getfixturevalue("embedded_kubeconfig")
    else:
        if not os.environ.get("KUBECONFIG"):
            pytest.skip("KUBECONFIG names no cluster: `make test-cluster` brings one")
        kubeconfig = Path(os.environ["KUBECONFIG"])
    client = Client(kubeconfig, tmp_path_factory.mktemp("keys"))
    with client.session:
        yield client


@pytest.fixture
def is_real(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["api"] == "real")


@pytest.fixture
def namespace(api: Client) -> Iterator[str]:
    name = f"tilt-suite-{uuid.uuid4().hex[:8]}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    answer = api.call("DELETE", f"/api/v1/namespaces/{name}")
    assert answer.code in (200, 202, 404), answer


@pytest.fixture
def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"
