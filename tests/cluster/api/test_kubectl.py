"""kubectl and helm do their normal work."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.api.client import Client

Run = Callable[..., str]

APP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "none:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture
def run(api: Client, namespace: str) -> Run:
    def call(program: str, *arguments: str, stdin: str = "") -> str:
        result = subprocess.run(
            [program, *arguments, "--namespace", namespace],
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            env={**os.environ, "KUBECONFIG": str(api.kubeconfig)},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return call


def test_apply_get_diff_edit_delete(run: Run) -> None:
    assert "deployment.apps/web created" in run("kubectl", "apply", "-f", "-", stdin=APP)
    assert "deployment.apps/web unchanged" in run("kubectl", "apply", "-f", "-", stdin=APP)
    changed = APP.replace("red", "blue")
    assert "configmap/settings configured" in run("kubectl", "apply", "-f", "-", stdin=changed)
    listed = run("kubectl", "get", "deploy,svc,cm", "-o", "wide")
    assert "deployment.apps/web   0/0" in listed
    said = run("kubectl", "delete", "-f", "-", stdin=APP)
    assert 'service "web" deleted' in said


def test_server_side_apply(run: Run) -> None:
    said = run("kubectl", "apply", "--server-side", "-f", "-", stdin=APP)

    assert "deployment.apps/web serverside-applied" in said
    labels = run("kubectl", "label", "deploy", "web", "team=x")
    assert "web labeled" in labels
    assert "web serverside" in run("kubectl", "apply", "--server-side", "-f", "-", stdin=APP)


def test_create_commands_which_send_protobuf(run: Run) -> None:
    run("kubectl", "create", "configmap", "c", "--from-literal=k=v")
    run("kubectl", "create", "secret", "generic", "s", "--from-literal=k=v")
    run("kubectl", "create", "deployment", "d", "--image=none:1", "--replicas=0", "--port=80")
    run("kubectl", "expose", "deployment", "d", "--port=80", "--target-port=8080")
    run("kubectl", "create", "serviceaccount", "me")
    run("kubectl", "create", "cronjob", "j", "--image=none:1", "--schedule=0 0 * * *")

    found = json.loads(run("kubectl", "get", "cm/c", "secret/s", "deploy/d", "svc/d", "-o", "json"))
    config, secret, deployment, service = found["items"]
    assert config["data"] == {"k": "v"}
    assert secret["data"] == {"k": "dg=="}
    assert deployment["spec"]["replicas"] == 0
    assert service["spec"]["ports"][0]["targetPort"] == 8080


def test_explain(run: Run) -> None:
    said = run("kubectl", "explain", "deployment.spec.strategy.rollingUpdate.maxSurge")

    assert "maxSurge <IntOrString>" in said


def test_strict_validation_names_the_field(run: Run) -> None:
    assert "created" in run("kubectl", "apply", "--validate=strict", "-f", "-", stdin=APP)
    wrong = APP.replace("replicas: 0", "replica: 0")

    with pytest.raises(AssertionError, match=r'unknown field "spec\.replica"'):
        run("kubectl", "apply", "--validate=strict", "-f", "-", stdin=wrong)


def test_wait_and_patch(run: Run) -> None:
    run("kubectl", "apply", "-f", "-", stdin=APP)
    run("kubectl", "patch", "deploy", "web", "-p", '{"spec":{"minReadySeconds":2}}')
    run("kubectl", "set", "image", "deploy/web", "main=none:2")

    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert run("kubectl", "get", "deploy", "web", "-o", path) == "none:2"
    run("kubectl", "wait", "--for=jsonpath={.spec.minReadySeconds}=2", "deploy/web")


def test_helm_installs_upgrades_rolls_back_and_uninstalls(run: Run, tmp_path: Path) -> None:
    helm = shutil.which("helm") or os.environ.get("TILT_HELM", "")
    if not helm:
        pytest.skip("no helm on PATH (or in TILT_HELM)")
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("colour: red\n")
    template = APP.replace("red", "{{ .Values.colour }}")
    (chart / "templates" / "all.yaml").write_text(template)

    def colour() -> str:
        return run("kubectl", "get", "cm", "settings", "-o", "jsonpath={.data.colour}")

    said = run(helm, "install", "shop", str(chart), "--dry-run=server")
    assert "STATUS: pending-install" in said
    assert run("kubectl", "get", "cm", "settings", "--ignore-not-found") == ""
    run(helm, "install", "shop", str(chart), "--wait")
    assert colour() == "red"
    run(helm, "upgrade", "shop", str(chart), "--set", "colour=blue")
    assert colour() == "blue"
    run(helm, "rollback", "shop", "1")
    assert colour() == "red"
    run(helm, "uninstall", "shop")
    assert run("kubectl", "get", "deploy", "-o", "name") == ""
