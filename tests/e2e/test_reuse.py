"""On a real cluster: a build of the same key again, and an object that somebody else changed."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: e2e-rebuilt
          command: [sh, -c, "exec sleep 100000"]
"""


def test_a_rebuilt_image_is_deployed_and_stays_and_drift_fails_where_asked(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    there = ("--namespace", namespace)
    dockerfile = f"FROM localhost:5000/base/busybox:1\nLABEL run={namespace}\n"
    (project / "Dockerfile").write_text(f"{dockerfile}RUN cat /proc/uptime > /built\n")
    (project / "Tiltfile").write_text(
        "docker_build('e2e-rebuilt', '.')\nk8s_yaml('app.yaml')\n", encoding="utf-8"
    )
    (project / "app.yaml").write_text(APP, encoding="utf-8")

    def image() -> str:
        path = "--output=jsonpath={.spec.template.spec.containers[0].image}"
        return kubectl(cluster_env, "get", "deployment", "app", *there, path)

    def built() -> str:
        return kubectl(cluster_env, "exec", "deploy/app", *there, "--", "cat", "/built")

    def ci(*flags: str) -> str:
        flags = ("--stable-for=1s", *flags)
        result = start(project, "ci", *there, *flags, env=cluster_env).end()
        assert result.code == 0, result.out
        return result.out

    ci()
    plain, first = image(), built()
    ci("--rebuild", "e2e-rebuilt")
    assert image() == f"{plain}-r1"
    assert built() != first
    again = ci()
    assert image() == f"{plain}-r1"
    assert "built in" not in again

    kubectl(cluster_env, "scale", "deployment", "app", "--replicas=2", *there)
    result = start(project, "ci", "--no-drift", *there, env=cluster_env).end()
    assert result.code == 1, result.out
    assert result.says("Deployment/app: somebody else has changed it: spec.replicas 2 → 1")
    assert "it is put right" in ci()
    ci("--no-drift")


def test_up_puts_right_what_somebody_else_changes(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    there = ("--namespace", namespace)
    (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n", encoding="utf-8")
    app = APP.replace("e2e-rebuilt", "localhost:5000/base/busybox:1")
    conf = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: '1'}\n"
    (project / "app.yaml").write_text(f"{app}{conf}", encoding="utf-8")
    run = start(project, "up", *there, env=cluster_env)
    run.until("ConfigMap/conf: applied")
    run.until("Deployment/app: applied")
    kubectl(cluster_env, "scale", "deployment", "app", "--replicas=2", *there)
    run.until("Deployment/app: somebody else has changed it: spec.replicas 2 → 1; it is put right")
    run.until("Deployment/app: changed spec.replicas 2 → 1")
    patch = '--patch={"data": {"a": "2"}}'
    kubectl(cluster_env, "patch", "configmap", "conf", "--type=merge", patch, *there)
    run.until("ConfigMap/conf: changed data.a 2 → 1")
    run.interrupt()
    assert run.end().code == 0
    value = kubectl(cluster_env, "get", "configmap", "conf", *there, "--output=jsonpath={.data.a}")
    assert value == "1"
