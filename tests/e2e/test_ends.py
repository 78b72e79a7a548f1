"""Every way in which `ci` ends other than by a verdict on the app: exit codes and sentences."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

STOPPING = 3.0
"""Seconds from a signal to the end of everything."""

NEVER_READY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shy}
spec:
  selector: {matchLabels: {app: shy}}
  template:
    metadata: {labels: {app: shy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: shy
          image: localhost:5000/base/busybox:1
          command: [sh, -c, "echo begun; exec sleep 100000"]
          readinessProbe: {exec: {command: ["false"]}, periodSeconds: 1}
"""


@pytest.mark.parametrize(
    ("text", "begin", "said"),
    [
        pytest.param("x = 1\ndocker_bild('a', 'b')\n", "Tiltfile:2:1: ", "docker_bild", id="name"),
        pytest.param("x = (1,\n", "Tiltfile:", "(", id="syntax"),
        pytest.param("k8s_yaml('no.yaml')\n", "Tiltfile:1:1: ", "no.yaml", id="file"),
        pytest.param("def f():\n  fail('enough')\nf()\n", "Tiltfile:2:3: ", "enough", id="fail"),
    ],
)
def test_a_tiltfile_error_has_its_place_and_exit_code_2(
    text: str,
    begin: str,
    said: str,
    project: Path,
    cluster_env: dict[str, str],
    start: Start,
) -> None:
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    result = start(project, "ci", env=cluster_env).end()
    assert result.code == 2, result.out
    place = next(line for line in result.out.splitlines() if begin in line)
    assert said in place
    assert ".py" not in result.out, "a traceback of Python's"


def test_a_missing_tiltfile_is_a_sentence_and_exit_code_2(
    project: Path, cluster_env: dict[str, str], start: Start
) -> None:
    result = start(project, "ci", env=cluster_env).end()
    assert result.code == 2, result.out
    assert result.says(str(project / "Tiltfile"))


def test_a_context_that_is_not_allowed_is_left_alone(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    local = kubectl(
        cluster_env, "config", "view", "--raw", "--flatten", "--minify", "--output=json"
    )
    config = json.loads(local)
    # What is a local cluster is told by its name.
    config["current-context"] = config["contexts"][0]["name"] = "production"
    config["clusters"][0]["name"] = config["contexts"][0]["context"]["cluster"] = "production"
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    env = {**cluster_env, "KUBECONFIG": str(path)}
    (project / "shy.yaml").write_text(NEVER_READY, encoding="utf-8")
    (project / "Tiltfile").write_text("k8s_yaml('shy.yaml')\n", encoding="utf-8")
    result = start(project, "ci", "--namespace", namespace, env=env).end()
    assert result.code == 2, result.out
    assert result.says("production")
    assert "allow_k8s_contexts('production')" in result.out.replace('"', "'")
    assert not kubectl(cluster_env, "get", "deployments", "--namespace", namespace).strip()


def test_a_cluster_that_does_not_answer_is_named(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], start: Start
) -> None:
    path = tmp_path / "kubeconfig"
    env = {**cluster_env, "KUBECONFIG": str(path)}
    nobody = "https://127.0.0.1:9"  # discard: nothing listens there
    kubectl(env, "config", "set-cluster", "kind-away", f"--server={nobody}")
    kubectl(env, "config", "set-context", "kind-away", "--cluster=kind-away")
    kubectl(env, "config", "use-context", "kind-away")
    (project / "shy.yaml").write_text(NEVER_READY, encoding="utf-8")
    (project / "Tiltfile").write_text("k8s_yaml('shy.yaml')\n", encoding="utf-8")
    result = start(project, "ci", env=env).end()
    assert result.code == 1, result.out
    assert result.says("127.0.0.1:9")


def test_a_run_that_takes_too_long_ends_with_3_and_says_what_was_not_ready(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    (project / "shy.yaml").write_text(NEVER_READY, encoding="utf-8")
    (project / "Tiltfile").write_text("k8s_yaml('shy.yaml')\n", encoding="utf-8")
    run = start(project, "ci", "--namespace", namespace, "--timeout", "6s", env=cluster_env)
    result = run.end()
    assert result.code == 3, result.out
    assert result.says("shy")
    assert 6 <= result.seconds < 12
    assert run.stays(3) == []


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_a_signal_during_a_local_command_ends_everything_in_time(
    how: str, project: Path, cluster_env: dict[str, str], start: Start
) -> None:
    command = "echo begun; sleep 100000"
    (project / "Tiltfile").write_text(f"local_resource('long', {command!r})\n", encoding="utf-8")
    run = start(project, "ci", env=cluster_env)
    run.until("begun")
    getattr(run, how)()
    result = run.end(STOPPING)
    assert result.code == 130, result.out
    assert run.stays(STOPPING) == []


def test_a_signal_during_the_tiltfile_ends_everything_in_time(
    project: Path, cluster_env: dict[str, str], start: Start
) -> None:
    text = "print('begun')\nlocal('echo going; sleep 100000')\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    run = start(project, "ci", env=cluster_env)
    run.until("going")
    run.interrupt()
    result = run.end(STOPPING)
    assert result.code == 130, result.out
    assert run.stays(STOPPING) == []


def test_a_signal_during_a_deploy_ends_everything_in_time(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    (project / "shy.yaml").write_text(NEVER_READY, encoding="utf-8")
    text = "k8s_yaml('shy.yaml')\nlocal_resource('serve', serve_cmd='exec sleep 100000')\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    run = start(project, "ci", "--namespace", namespace, env=cluster_env)
    run.until("begun")
    run.interrupt()
    result = run.end(STOPPING)
    assert result.code == 130, result.out
    assert run.stays(STOPPING) == []


def test_a_signal_during_a_build_ends_the_build_too(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    mark = uuid.uuid4().hex
    dockerfile = f"FROM localhost:5000/base/busybox:1\nRUN echo begun {mark}; sleep 100000\n"
    (project / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    deployment = NEVER_READY.replace("localhost:5000/base/busybox:1", "e2e-slow")
    (project / "shy.yaml").write_text(deployment, encoding="utf-8")
    text = "docker_build('e2e-slow', '.')\nk8s_yaml('shy.yaml')\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    run = start(project, "ci", "--namespace", namespace, env=cluster_env)
    run.until(f"begun {mark}")
    run.interrupt()
    result = run.end(STOPPING)
    assert result.code == 130, result.out
    assert run.stays(STOPPING) == []
    for container in _containers(mark):
        # Its builder is ending it; that it does so is what is waited for.
        subprocess.run(["docker", "wait", container], timeout=20, check=False)
    assert _containers(mark) == []


def test_of_two_clients_at_once_the_second_is_told_and_the_first_goes_on(
    project: Path, cluster_env: dict[str, str], start: Start
) -> None:
    gate = project / "gate"
    os.mkfifo(gate)
    text = "local_resource('gated', 'echo begun; cat gate')\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    first = start(project, "ci", env=cluster_env)
    first.until("begun")
    second = start(project, "ci", env=cluster_env).end()
    assert second.code == 1, second.out
    assert second.says("tilt-client: ")
    assert second.says("session")
    gate.write_text("through the gate\n", encoding="utf-8")
    result = first.end()
    assert result.code == 0, result.out
    assert result.says("through the gate")
    assert first.stays(3) == []


def test_local_resources_need_neither_cluster_nor_engine(project: Path, start: Start) -> None:
    text = "local_resource('one', 'echo first')\n"
    text += "local_resource('two', 'echo second', resource_deps=['one'])\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    env = {
        **os.environ,
        "KUBECONFIG": str(project / "none"),
        "DOCKER_HOST": f"unix://{project}/none.sock",
    }
    run = start(project, "ci", env=env)
    result = run.end()
    assert result.code == 0, result.out
    assert result.out.index("first") < result.out.index("second")
    assert run.stays(3) == []


def _containers(mark: str) -> list[str]:
    """Running containers of Docker whose command has the mark."""
    listed = subprocess.run(
        ["docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.Command}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split()[0] for line in listed.stdout.splitlines() if mark in line]
