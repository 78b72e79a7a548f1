"""On a real cluster: what is unchanged is neither built nor pushed nor applied.

Counted at the Docker Engine, the registry and the API server, not by what tiltd says of itself.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e import counting
from tests.e2e.conftest import Start, replace
from tests.e2e.counting import Request

pytestmark = pytest.mark.cluster

REGISTRY = "localhost:5000"
APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: main, image: IMAGE, command: [sh, -c, "exec sleep 100000"]}
"""


def test_an_unchanged_app_is_no_work_for_any_server_also_on_a_fresh_machine(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start, tmp_path: Path
) -> None:
    """First everything, then nothing, then nothing on a machine without images and past."""
    images = {name: f"{namespace}-{name}" for name in ("one", "two")}
    for name, image in images.items():
        (project / name).mkdir()
        (project / name / "Dockerfile").write_text(f"FROM {REGISTRY}/base/busybox:1\nCOPY . /\n")
        (project / name / "data").write_text(image)
        text = APP.replace("NAME", name).replace("IMAGE", image)
        (project / f"{name}.yaml").write_text(text)
    (project / ".git").mkdir()  # a clone elsewhere is the same project
    (project / ".git/config").write_text(
        f'[remote "origin"]\n\turl = git@example.com:{namespace}\n'
    )
    with (
        tempfile.TemporaryDirectory(prefix="te") as short,  # a socket's path must be short
        counting.engine(Path(short), cluster_env) as (engine, docker_host),
        counting.empty_engine(Path(short), cluster_env) as (asked, new_host),
        counting.registry(REGISTRY) as (registry, address),
        counting.cluster(tmp_path, cluster_env) as (cluster, kubeconfig),
    ):
        (project / "Tiltfile").write_text(
            f"default_registry('{address}', host_from_cluster='{REGISTRY}')\n"
            + "".join(f"docker_build('{image}', '{name}')\n" for name, image in images.items())
            + "".join(f"k8s_yaml('{name}.yaml')\n" for name in images)
        )
        env = {**cluster_env, "DOCKER_HOST": docker_host, "KUBECONFIG": kubeconfig}

        def ci(
            folder: Path, state: str, **more: str
        ) -> tuple[list[Request], list[Request], list[Request]]:
            given = {**env, "XDG_STATE_HOME": str(tmp_path / state), **more}
            there = ("--namespace", namespace, "--stable-for=0s")
            result = start(folder, "ci", *there, env=given).end()
            assert result.code == 0, result.out
            return engine.taken(), registry.taken(), cluster.taken()

        try:
            engine_saw, registry_saw, cluster_saw = ci(project, "here")
            assert counting.writes(engine_saw), "the build goes by way of the engine"
            assert {one.method for one in counting.writes(registry_saw)} >= {"POST", "PUT"}
            applied = [one for one in cluster_saw if one.method == "PATCH"]
            assert sum("/deployments/" in one.path for one in applied) == 2

            seen = ci(project, "here")
            assert [counting.writes(each) for each in seen] == [[], [], []]

            clone = Path(shutil.copytree(project, tmp_path / "elsewhere" / "project"))
            seen = ci(clone, "fresh", DOCKER_HOST=new_host)
            assert [counting.writes(each) for each in seen] == [[], [], []]
            assert {one.method for one in seen[1]} == {"HEAD"}
            assert asked
            assert counting.writes(asked) == []

            replace(project / "two/data", images["two"], "another")
            _, registry_saw, cluster_saw = ci(project, "here")
            written = {one.path.split("/")[2] for one in counting.writes(registry_saw)}
            assert written == {images["two"]}
            assert [_name(one) for one in counting.writes(cluster_saw)] == ["two"]
        finally:
            counting.forget(address)


def _name(one: Request) -> str:
    """Of the object that is asked for."""
    return one.path.partition("?")[0].rpartition("/")[2]
