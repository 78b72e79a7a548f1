"""Reports of runs on a real cluster, and what `down` does with Namespaces."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli import junit_schema, schema
from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

APP = """
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {password: correct-horse-battery}
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
          command: [sh, -c, COMMAND]
          env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: hidden, key: password}}}]
"""
OUTPUTS = (
    *("--report", "json=out/r.json", "--report", "junit=out/j.xml", "--events", "out/e.jsonl"),
    *("--log-dir", "out/logs", "--output-snapshot-on-exit", "out/s.json"),
)


def write(project: Path, command: str) -> None:
    (project / "app.yaml").write_text(APP.replace("COMMAND", json.dumps(command)))
    (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n")


def test_a_crash_is_explained_in_every_report_and_no_secret_is_in_any(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    write(project, "echo the password is $PASSWORD; echo last words; exit 7")
    flags = ("--namespace", namespace, "--crash-budget=0", "--down")
    page = project / "summary.md"
    env = {**cluster_env, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}

    result = start(project, "ci", *flags, *OUTPUTS, env=env).end()

    assert result.code == 1, result.out
    told = json.loads((project / "out/r.json").read_text())
    schema.check(told, "report-v1")
    assert (told["outcome"], told["exitCode"]) == ("failed", 1)
    assert {r["fate"] for r in told["removal"]["removals"]} == {"deleted"}
    (finding, *_) = told["resources"][0]["findings"]
    assert (finding["rule"], finding["exitCode"]) == ("pod.crash-loop", 7)
    assert "last words" in finding["lastLines"]["lines"]
    assert told["resources"][0]["times"]["apply"] > 0
    for text in (project / "out/e.jsonl").read_text().splitlines():
        schema.check(json.loads(text), "events-v1")
    case = junit_schema.cases(junit_schema.check((project / "out/j.xml").read_text()))["app"]
    assert "last words" in (case.findtext("system-out") or "")
    assert result.says("::error title=app%3A pod.crash-loop::")
    assert "last words" in page.read_text()
    written = [page, *(path for path in (project / "out").rglob("*") if path.is_file())]
    assert len(written) >= 6
    assert [p.name for p in written if "correct-horse" in p.read_text()] == []
    assert "correct-horse" not in result.out


def test_a_resource_of_a_running_session_is_told_with_its_pods(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    write(project, "echo up; exec sleep 1000")
    run = start(project, "up", "--namespace", namespace, "--stable-for=1s", env=cluster_env)
    run.until("✔ healthy")

    assert start(project, "wait", "app", "--timeout=60s", env=cluster_env).end().code == 0
    one = json.loads(start(project, "get", "app", "-o", "json", env=cluster_env).end().out)
    assert one["status"]["k8sResourceInfo"]["podStatus"] == "Running"
    assert one["status"]["tiltd"]["times"]["ready"] > 0
    table = start(project, "get", env=cluster_env).end()
    assert table.line("app ").split()[1:4] == ["Healthy", "1/1", "0"]
    described = start(project, "describe", "app", env=cluster_env).end()
    assert described.says("Deployment/app")
    assert described.says("localhost:5000/base/busybox:1")
    run.interrupt()
    assert run.end().code == 0
    assert start(project, "down", "--namespace", namespace, env=cluster_env).end().code == 0
    start(project, "daemon", "stop", env=cluster_env).end()


@pytest.fixture
def own_namespace(cluster_env: Mapping[str, str]) -> Iterator[str]:
    """The name of a namespace that a test's Tiltfile makes."""
    name = f"tiltd-e2e-{uuid.uuid4().hex[:8]}"
    yield name
    kubectl(cluster_env, "delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_namespaces_go_only_where_asked_for(
    project: Path, cluster_env: dict[str, str], own_namespace: str, start: Start
) -> None:
    (project / "app.yaml").write_text(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own_namespace}}}\n---\n"
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: conf, namespace: {own_namespace}}}\n"
    )
    (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n")
    assert start(project, "ci", "--quiet", env=cluster_env).end().code == 0

    kept = start(project, "down", "--quiet", env=cluster_env).end()
    assert (kept.code, len(kept.out.splitlines())) == (0, 1), kept.out
    assert kept.says("1 object deleted, 1 kept")
    assert kubectl(cluster_env, "get", "namespace", own_namespace, "--output=name")

    gone = start(project, "down", "--delete-namespaces", env=cluster_env).end()
    assert gone.code == 0, gone.out
    assert gone.says("1 object deleted")
    found = kubectl(cluster_env, "get", "namespace", own_namespace, "--ignore-not-found")
    assert not found
