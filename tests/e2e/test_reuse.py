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
