"""Without Kubernetes: `ci` on an embedded cluster of its own, and nothing left of it."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from tests import needs
from tests.e2e.client import PATIENCE
from tests.e2e.conftest import Start, replace

pytestmark = pytest.mark.docker

BASE = "localhost:5000/base/python:3"
LABEL = "dev.tilt.cluster"


@pytest.fixture
def env(docker_engine: str, tmp_path: Path) -> dict[str, str]:
    """An environment in which nobody has heard of a cluster."""
    asked = [docker_engine, "image", "inspect", BASE]
    found = subprocess.run(asked, check=False, capture_output=True)
    if found.returncode:
        pytest.skip(f"the Engine has no {BASE}: `make base-images` makes it")
    given = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    home, state = tmp_path / "home", tmp_path / "state"
    home.mkdir()
    (home / ".docker").symlink_to(Path.home() / ".docker")
    return {**given, "HOME": str(home), "XDG_STATE_HOME": str(state)}


@needs.SERVICES
def test_the_shop_goes_green_without_kubernetes_and_nothing_is_left(
    shop: Path, env: dict[str, str], start: Start, docker_engine: str
) -> None:
    fresh = f"<h1>The shop of {uuid.uuid4().hex}</h1>"
    replace(shop / "web/index.html", "<h1>The shop</h1>", fresh)
    before = _images(docker_engine)
    run = start(shop, "ci", "--cluster", "embedded", env={**env, "KUBECONFIG": "/none/such"})
    try:
        result = run.end()
    finally:
        made = _images(docker_engine) - before
        if made:
            subprocess.run(
                [docker_engine, "rmi", "--force", *made], capture_output=True, check=True
            )
    assert result.code == 0, result.out
    assert len(made) == 1, "the image of web, under its key's tag"
    name = result.line("Embedded cluster ci-").split()[2]
    assert result.says(f"Cluster tilt-{name} answers")
    assert result.says("order 1 was shipped")
    built = result.line("web     │ image shop-web built in ")
    assert "push" not in built
    assert run.stays(3) == []
    _nothing_is_left(docker_engine, name, env)


def test_where_nobody_has_a_kubeconfig_the_run_has_a_cluster_of_its_own(
    project: Path, env: dict[str, str], start: Start, docker_engine: str
) -> None:
    (project / "one.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b}\n", encoding="utf-8"
    )
    (project / "Tiltfile").write_text("k8s_yaml('one.yaml')\n", encoding="utf-8")
    run = start(project, "ci", env=env)
    result = run.end()
    assert result.code == 0, result.out
    told = result.line("Embedded cluster ci-")
    assert told.endswith("(there is no kubeconfig)")
    assert result.says("ConfigMap/one: applied")
    assert run.stays(3) == []
    _nothing_is_left(docker_engine, told.split()[2], env)


def test_a_client_that_is_killed_takes_its_cluster_along(
    shop: Path, env: dict[str, str], start: Start, docker_engine: str
) -> None:
    run = start(shop, "ci", "--cluster", "embedded", env=env)
    run.until("Deployment/api: applied")
    run.kill()
    result = run.end()
    name = result.line("Embedded cluster ci-").split()[2]
    assert run.stays(PATIENCE) == []
    _nothing_is_left(docker_engine, name, env)


def _images(docker: str) -> set[str]:
    """Every tag of the image that the test changes."""
    asked = [docker, "images", "shop-web", "--format", "{{.Repository}}:{{.Tag}}"]
    return set(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split())


def _nothing_is_left(docker: str, name: str, env: dict[str, str]) -> None:
    label = f"label={LABEL}={name}"
    for command in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        listed = [docker, *command, "--quiet", "--filter", label]
        assert subprocess.run(listed, check=True, capture_output=True, text=True).stdout == ""
    if os.geteuid() == 0 and shutil.which("nft"):
        tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True)
        assert f"tilt-{name}" not in tables.stdout.decode()
    homes = Path(env["XDG_STATE_HOME"], "tilt-cluster")
    assert list(homes.iterdir()) == []
