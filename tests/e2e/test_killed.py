"""kill -9 at any point: the next run converges, and nothing that was kept is corrupt."""

from pathlib import Path

import pytest

from tests.e2e import counting
from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: e2e-killed, command: [sleep, "1000"]}]
"""
COUNT = 60


def write(project: Path, mark: str, value: str) -> None:
    (project / "Dockerfile").write_text(
        f"FROM localhost:5000/base/busybox:1\nCOPY mark /\nRUN echo at work; sleep 2; echo {mark}\n"
    )
    (project / "mark").write_text(f"{mark} {value}")
    maps = [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\ndata: {{v: '{value}'}}\n"
        for n in range(COUNT)
    ]
    (project / "app.yaml").write_text("---\n".join([POD, *maps]), encoding="utf-8")
    (project / "Tiltfile").write_text(
        "docker_build('e2e-killed', '.')\nk8s_yaml('app.yaml')\n", encoding="utf-8"
    )


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("at work", id="in a build"),
        pytest.param("ConfigMap/c7: ", id="between applies"),
    ],
)
def test_the_next_run_converges(
    moment: str,
    project: Path,
    tmp_path: Path,
    namespace: str,
    cluster_env: dict[str, str],
    start: Start,
) -> None:
    env = {**cluster_env, "XDG_STATE_HOME": str(tmp_path / "state")}
    there = ("--namespace", namespace)
    write(project, namespace, "1")
    assert start(project, "ci", *there, env=env).end().code == 0
    write(project, namespace, "2")
    run = start(project, "ci", *there, env=env)
    run.until(moment)
    run.discard()
    result = start(project, "ci", *there, env=env).end()
    assert result.code == 0, result.out
    done = start(project, "plan", "--exit-code", *there, env=env).end()
    assert done.code == 0, done.out
    path = "--output=jsonpath={.items[?(@.data.v=='2')].metadata.name}"
    assert len(kubectl(env, "get", "configmap", *there, path).split()) == COUNT


def test_a_run_that_is_killed_in_a_push_leaves_half_an_image_to_nobody(
    project: Path, tmp_path: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    env = {**cluster_env, "XDG_STATE_HOME": str(tmp_path / "state")}
    there = ("--namespace", namespace)
    (project / "Dockerfile").write_text("FROM localhost:5000/base/busybox:1\nCOPY mark /\n")
    (project / "mark").write_text(namespace)
    (project / "app.yaml").write_text(POD)
    with counting.registry("localhost:5000") as (registry, address):
        (project / "Tiltfile").write_text(
            f"default_registry('{address}', host_from_cluster='localhost:5000')\n"
            "docker_build('e2e-killed', '.')\nk8s_yaml('app.yaml')\n"
        )
        try:
            run = start(project, "ci", *there, env=env)
            registry.until_written()
            run.discard()
            result = start(project, "ci", *there, env=env).end()
            assert result.code == 0, result.out
            done = start(project, "plan", "--exit-code", *there, env=env).end()
            assert done.code == 0, done.out
        finally:
            counting.forget(address)
