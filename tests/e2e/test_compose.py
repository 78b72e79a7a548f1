"""Docker Compose projects, from the Tiltfile to the verdict, by the real client; no cluster."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import composing
from tests.adapters.compose.conftest import docker
from tests.e2e.conftest import Start

pytestmark = pytest.mark.docker

SHOP = f"""
services:
  api:
    image: IMAGE
    stop_grace_period: 0s
    depends_on:
      migrate: {{condition: service_completed_successfully}}
      db: {{condition: service_healthy}}
  db:
    image: {composing.BASE}
    command: [sh, -c, "touch /ready; exec sleep 100000"]
    stop_grace_period: 0s
    healthcheck: {{test: [CMD, test, -f, /ready], interval: 0.5s}}
  migrate:
    image: {composing.BASE}
    command: [sh, -c, echo migrated]
"""
API = f"FROM {composing.BASE}\nCOPY word /word\nCMD cat /word; exec sleep 100000\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no cluster."""
    if not composing.has_engine():
        pytest.skip(composing.WITHOUT)
    return {**os.environ, "KUBECONFIG": str(tmp_path / "none")}


@pytest.fixture
def name(project: Path, env: dict[str, str]) -> Iterator[str]:
    """A project's name of the test's own; what it leaves is removed."""
    del env
    made = f"tiltd-e2e-{uuid.uuid4().hex[:8]}"
    text = f"docker_compose('compose.yml', project_name='{made}')\n"
    (project / "Tiltfile").write_text(text, encoding="utf-8")
    yield made
    label = f"label=com.docker.compose.project={made}"
    for each in docker("ps", "--all", "--quiet", "--filter", label).split():
        docker("rm", "--force", each)
    for each in docker("network", "ls", "--quiet", "--filter", label).split():
        docker("network", "rm", each)
    form = "{{.Repository}}:{{.Tag}}"
    for each in docker("images", "--format", form, "--filter", f"reference={made}-*").split():
        docker("image", "rm", "--force", each)


def write(project: Path, text: str) -> None:
    (project / "compose.yml").write_text(text, encoding="utf-8")


def containers(name: str) -> dict[str, str]:
    """The ids of a project's containers, by service."""
    label = f"label=com.docker.compose.project={name}"
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    lines = docker("ps", "--all", "--filter", label, "--format", form).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_an_app_comes_up_stays_as_it_is_changes_and_goes(
    project: Path, name: str, env: dict[str, str], start: Start
) -> None:
    write(project, SHOP.replace("IMAGE", f"{name}-api"))
    with (project / "Tiltfile").open("a", encoding="utf-8") as tiltfile:
        tiltfile.write(f"docker_build('{name}-api', '.', only=['word'])\n")
    (project / "Dockerfile").write_text(API, encoding="utf-8")
    word = project / "word"
    word.write_text(f"first {name}\n", encoding="utf-8")

    first = start(project, "ci", "--stable-for", "1", env=env).end()
    assert first.code == 0, first.out
    assert first.says(f"first {name}")
    assert first.says("migrated")
    assert first.says("3 resources healthy")
    before = containers(name)
    assert set(before) == {"api", "db", "migrate"}

    again = start(project, "ci", "--stable-for", "1", env=env).end()
    assert again.code == 0, again.out
    assert again.says("0 images built, 1 reused")
    assert containers(name) == before

    word.write_text(f"second {name}\n", encoding="utf-8")
    changed = start(project, "ci", "--stable-for", "1", env=env).end()
    assert changed.code == 0, changed.out
    assert changed.says(f"second {name}")
    after = containers(name)
    assert after["api"] != before["api"]
    assert after["db"] == before["db"]

    down = start(project, "down", env=env).end()
    assert down.code == 0, down.out
    assert down.says("3 objects deleted")
    assert containers(name) == {}


def test_a_service_that_exits_with_1_fails_the_run_with_its_last_lines(
    project: Path, name: str, env: dict[str, str], start: Start
) -> None:
    command = '[sh, -c, "echo begun; echo no database; exit 1"]'
    write(project, f"services: {{bad: {{image: '{composing.BASE}', command: {command}}}}}")
    result = start(project, "ci", env=env).end()
    assert result.code == 1, result.out
    assert result.says("✘ bad: bad has ended, exit code 1 [compose.exited]")
    assert result.says(f"Service/bad → container {name}-bad-1")
    assert result.says(f"last 2 lines of container {name}-bad-1:\n    begun\n    no database\n")


def test_an_unhealthy_service_fails_the_run_with_what_its_healthcheck_says(
    project: Path, name: str, env: dict[str, str], start: Start
) -> None:
    check = "{test: [CMD-SHELL, echo connection refused; exit 1], interval: 0.2s, retries: 2}"
    service = f"image: '{composing.BASE}', command: [sleep, '100000'], healthcheck: {check}"
    write(project, f"services: {{sick: {{{service}, stop_grace_period: 0s}}}}")
    result = start(project, "ci", "--grace", "1", env=env).end()
    assert result.code == 1, result.out
    assert result.says("its healthcheck fails: connection refused [compose.unhealthy]")
    assert containers(name), "it is left as it is, to be looked at"


def test_a_secret_is_not_shown(project: Path, name: str, env: dict[str, str], start: Start) -> None:
    write(
        project,
        f"services: {{a: {{image: '{composing.BASE}', command: [cat, /run/secrets/t], "
        "secrets: [t]}}\nsecrets: {t: {file: t.txt}}\n",
    )
    (project / "t.txt").write_text("sesame-open\n", encoding="utf-8")
    result = start(project, "ci", env=env).end()
    assert result.code == 0, result.out
    assert "sesame" not in result.out
    assert containers(name)


def test_a_broken_compose_file_is_a_tiltfile_error(
    project: Path, name: str, env: dict[str, str], start: Start
) -> None:
    del name
    write(project, "services: {a: {image: x, prots: [1]}}")
    result = start(project, "ci", env=env).end()
    assert result.code == 2, result.out
    assert result.says("Tiltfile:1:1: docker_compose: Docker Compose can't read compose.yml: ")
    assert result.says("prots")
