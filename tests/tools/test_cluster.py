"""What examples and tests take for granted of `make real-cluster`, on whatever KUBECONFIG names."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from tools.realcluster import settings

pytestmark = pytest.mark.cluster

APP = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "server", "labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": settings.BUSYBOX_IMAGE,
                "command": ["sh", "-c", "echo serving; echo hello > /tmp/x; httpd -f -h /tmp"],
                "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
            }
        ],
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": 80}]},
}


def kubectl(*arguments: str, stdin: str = "") -> str:
    result = subprocess.run(
        ["kubectl", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def cluster() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster: `make test-cluster` brings one")


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"tiltd-tools-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--timeout=60s")


def test_a_pod_from_the_local_registry_serves_under_its_service_s_names(namespace: str) -> None:
    app = {"kind": "List", "apiVersion": "v1", "items": [APP, SERVICE]}
    here = f"--namespace={namespace}"
    kubectl("wait", "--for=create", "serviceaccount/default", here, "--timeout=30s")
    kubectl(
        "apply",
        here,
        "-f",
        "-",
        stdin=json.dumps(app),
    )
    kubectl("wait", "--for=condition=Ready", "pod/server", here, "--timeout=60s")

    for name in ("web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local"):
        wget = ("timeout", "5", "wget", "-qO-", f"http://{name}:8000/x")
        assert kubectl("exec", here, "server", "--", *wget) == "hello\n"
    assert kubectl("logs", here, "server") == "serving\n"


def test_the_registry_is_announced_as_kep_1755_says() -> None:
    told = kubectl(
        "get", "configmap", "--namespace=kube-public", "local-registry-hosting", "-o", "json"
    )

    assert f'host: "{settings.REGISTRY}"' in json.loads(told)["data"]["localRegistryHosting.v1"]
