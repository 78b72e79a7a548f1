"""`down` takes away what this project applied, in reverse order, and nothing else."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

APP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: precious, annotations: {tilt.dev/down-policy: keep}}
data: {a: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: localhost:5000/base/busybox:1
          command: [sleep, "1000"]
          envFrom: [{configMapRef: {name: conf}}]
"""


def test_down_removes_what_was_applied_and_waits_until_its_pods_are_gone(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    (project / "app.yaml").write_text(APP, encoding="utf-8")
    (project / "Tiltfile").write_text(
        "k8s_yaml('app.yaml')\nprint('asked to', config.tilt_subcommand)\n", encoding="utf-8"
    )
    there = ("--namespace", namespace)
    kubectl(cluster_env, "create", "configmap", "theirs", *there)
    up = start(project, "ci", *there, "--stable-for=1s", env=cluster_env).end()
    assert up.code == 0, up.out

    result = start(project, "down", *there, env=cluster_env).end()

    assert result.code == 0, result.out
    assert result.says("asked to down")
    assert result.says("2 objects deleted, 1 kept")
    assert result.out.index("Deployment/app: deleted") < result.out.index("ConfigMap/conf: deleted")
    assert not kubectl(cluster_env, "get", "deployment,replicaset,pod", *there, "--output=name")
    left = kubectl(cluster_env, "get", "configmap", *there, "--output=name").split()
    assert set(left) == {
        "configmap/precious",
        "configmap/theirs",
        "configmap/kube-root-ca.crt",
    }

    again = start(project, "down", *there, env=cluster_env).end()
    assert again.code == 0, again.out
    assert again.says("0 objects deleted, 1 kept")


def test_ci_with_down_leaves_nothing_and_keeps_its_verdict(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    broken = APP.replace('sleep, "1000"', 'sh, -c, "exit 3"')
    (project / "app.yaml").write_text(broken, encoding="utf-8")
    (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n", encoding="utf-8")
    flags = ("--namespace", namespace, "--crash-budget=0", "--down")
    run = start(project, "ci", *flags, env=cluster_env)
    result = run.end()
    assert result.code == 1, result.out
    assert result.says("[pod.crash-loop]")
    assert result.says("2 objects deleted, 1 kept")
    assert run.stays(3) == []
