"""`live_update` on the real cluster: what is saved is in the container, and nothing is built.

The files are the same in each run, so that the two images are there after the first.
"""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

TILTFILE = """
docker_build('shop-live', '.', live_update=[
    fall_back_on('fixed'),
    sync('src', '/srv'),
    run('cat /srv/page > /srv/said', trigger='src/page'),
    run('test ! -e /srv/bad'),
])
k8s_yaml('pod.yaml')
"""
DOCKERFILE = """
FROM localhost:5000/base/busybox:1
COPY src /srv
COPY fixed /
CMD trap exit TERM; while :; do sleep 0.2; done
"""
POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: live}
spec:
  selector: {matchLabels: {app: live}}
  template:
    metadata: {labels: {app: live}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: shop-live}]
"""


def test_what_is_saved_is_copied_into_the_running_container(
    project: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    for name, text in (("Tiltfile", TILTFILE), ("Dockerfile", DOCKERFILE), ("pod.yaml", POD)):
        (project / name).write_text(text, encoding="utf-8")
    (project / "src").mkdir()
    for name in ("src/page", "src/old", "fixed"):
        (project / name).write_text("first\n", encoding="utf-8")

    def pods() -> str:
        names = ("get", "pods", "--namespace", namespace, "--output=name")
        return kubectl(cluster_env, *names)

    def inside(*command: str) -> str:
        where = ("exec", "--namespace", namespace, "deployment/live", "--")
        return kubectl(cluster_env, *where, *command)

    run = start(project, "up", "--namespace", namespace, "--stable-for", "0", env=cluster_env)
    run.until("✔ healthy after")
    before = pods()
    (project / "src/page").write_text("second\n", encoding="utf-8")
    run.until("is updated")
    assert inside("cat", "/srv/said") == "second\n"
    (project / "src/old").unlink()
    run.until("deleted: /srv/old")
    (project / "src/bad").write_text("bad\n", encoding="utf-8")
    run.until("test ! -e /srv/bad ended with exit code 1")
    assert inside("ls", "/srv").split() == ["bad", "page", "said"]
    assert pods() == before
    (project / "fixed").write_text("second\n", encoding="utf-8")
    run.until("anew: fall_back_on() names ")
    run.until("Deployment/live: changed ")
    run.interrupt()
    result = run.end()
    assert result.code == 0, result.out
    assert result.out.count("building shop-live anew: ") == 1, result.out
