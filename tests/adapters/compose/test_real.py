"""Docker Compose and a real Docker Engine: exits, health, logs, builds, and what goes wrong."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import composing
from tests.adapters.compose.conftest import Project, docker, where
from tests.adapters.logged import Logged
from tiltd.adapters import compose
from tiltd.adapters.compose import engine
from tiltd.adapters.processes import LocalProcesses
from tiltd.model.live_update import Target
from tiltd.model.problems import Code
from tiltd.ports import GoneError, PermanentError, TransientError
from tiltd.runtime import archive

pytestmark = pytest.mark.docker


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


async def test_an_exit_is_seen_with_its_code_and_its_last_lines(real: Project) -> None:
    real.service("job", shell("echo one; echo two >&2; sleep 0.3; echo last; exit 3"))
    container = await real.up("job")
    async with real.watched("job") as watched:
        (seen,) = await watched.until(lambda all_seen: all_seen[0].status == "exited")
    assert seen.exit_code == 3
    assert seen.finished_at >= seen.started_at > 0
    assert sorted(real.logs[container.name].text.splitlines()) == ["last", "one", "two"]


async def test_a_healthcheck_is_seen_to_pass_and_to_fail(real: Project) -> None:
    check = {"test": ["CMD-SHELL", "cat /state; test -e /ok"], "interval": "0.2s", "retries": 1}
    real.service("db", shell("echo fine > /state; touch /ok; exec sleep 1000"), healthcheck=check)
    container = await real.up("db")
    async with real.watched("db") as watched:
        await watched.until(lambda all_seen: all_seen[0].health == "healthy")
        docker("exec", container.id, "sh", "-c", "echo sick > /state; rm /ok")
        (seen,) = await watched.until(lambda all_seen: all_seen[0].health == "unhealthy")
    assert seen.health_said == "sick"


async def test_restarts_are_counted_and_every_life_is_logged_once(real: Project) -> None:
    real.service("db", shell("echo life; sleep 0.2; exit 1"), restart="on-failure:2")
    container = await real.up("db")
    async with real.watched("db") as watched:
        (seen,) = await watched.until(
            lambda all_seen: all_seen[0].status == "exited" and all_seen[0].restarts == 2
        )
    assert (seen.policy, seen.exit_code) == ("on-failure", 1)
    assert real.logs[container.name].text == "life\nlife\nlife\n"
    async with real.watched("db") as watched:
        await watched.until(lambda all_seen: all_seen[0].status == "exited")
    assert real.logs[container.name].text == "life\nlife\nlife\n"


async def test_of_what_ran_before_only_news_is_told(real: Project) -> None:
    real.service("db", shell("mkfifo /go; echo old; read -r line < /go; echo new; sleep 1000"))
    container = await real.up("db")
    async with real.watched("db"):
        await real.log_of(container).shows("old")
    later = Project(compose.DockerCompose(LocalProcesses(), where), real.folder, real.spec.env)
    later.name, later.services = real.name, real.services
    async with later.watched("db") as watched:
        await watched.until(lambda all_seen: len(all_seen) == 1)
        docker("exec", container.id, "sh", "-c", "echo go > /go")
        await later.log_of(container).shows("new")
    assert later.logs[container.name].text == "new\n"


async def test_a_terminals_output_is_read_line_by_line(real: Project) -> None:
    real.service("db", shell("echo one; echo two; exec sleep 1000"), tty=True)
    container = await real.up("db")
    async with real.watched("db"):
        await real.log_of(container).shows("two")
    assert real.logs[container.name].text.split() == ["one", "two"]


async def test_a_very_long_line_arrives_whole(real: Project) -> None:
    real.service("db", shell("head -c 50000 /dev/zero | tr '\\0' x; echo end; exec sleep 1000"))
    container = await real.up("db")
    async with real.watched("db"):
        await real.log_of(container).shows("end")
    assert real.logs[container.name].text == "x" * 50_000 + "end\n"


async def test_services_of_one_project_may_be_brought_up_at_once(real: Project) -> None:
    for name, network in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("e", "x")):
        real.service(name, networks={network: None})
    real.shared = {"networks": {n: {"name": f"{real.name}_{n}"} for n in ("x", "y")}}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(real.up(name)) for name in real.services]
    assert {task.result().status for task in tasks} == {"running"}
    made = docker("network", "ls", "--format", "{{.Name}}", "--filter", f"name={real.name}")
    assert sorted(made.split()) == [f"{real.name}_x", f"{real.name}_y"]


async def test_docker_compose_builds_what_has_a_build_section(real: Project) -> None:
    real.dockerfile(f"FROM {composing.BASE}\nRUN echo made > /made\n")
    image = f"{real.name}-image"
    real.service("db", shell("cat /made; exec sleep 1000"), image=image, build={"context": "."})
    try:
        container = await real.up("db")
        assert real.phases == ["build", "apply"]
        async with real.watched("db"):
            await real.log_of(container).shows("made")
        await real.down()
    finally:
        docker("image", "rm", "--force", image)


async def test_a_build_that_fails_is_told_as_one(real: Project) -> None:
    real.dockerfile(f"FROM {composing.BASE}\nRUN exit 5\n")
    real.service("db", image=f"{real.name}-image", build={"context": "."})
    with pytest.raises(PermanentError) as caught:
        await real.up("db")
    problem = caught.value.problem
    assert problem.code is Code.BUILD
    assert problem.message.startswith("building db failed: ")
    assert "5" in problem.message


async def test_an_image_that_is_nowhere_is_named(real: Project) -> None:
    real.service("db", image="localhost:5000/no/such:image")
    with pytest.raises(PermanentError) as caught:
        await real.up("db")
    assert caught.value.problem.message.startswith("pulling the image of db failed: ")
    assert "docker login" in caught.value.problem.hint


async def test_a_port_that_is_taken_is_told_with_what_to_do(real: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        published = {"target": 80, "published": str(port), "host_ip": "127.0.0.1"}
        real.service("db", ports=[{**published, "protocol": "tcp", "mode": "ingress"}])
        with pytest.raises(PermanentError) as caught:
            await real.up("db")
    assert "another process has the port" in caught.value.problem.hint


async def test_a_service_that_was_dropped_goes_with_the_next_one(real: Project) -> None:
    real.service("old")
    old = await real.up("old")
    real.services = {}
    real.service("new")
    await real.up("new")
    assert old.id not in docker("ps", "--all", "--quiet", "--no-trunc")


async def test_what_is_switched_off_by_its_profile_is_no_orphan(real: Project) -> None:
    real.service("off", profiles=["x"])
    real.service("on")
    off = await real.up("off")
    await real.up("on")
    assert off.id in docker("ps", "--quiet", "--no-trunc")


async def test_without_the_plugin_it_is_said_what_to_install(real: Project, tmp_path: Path) -> None:
    real.service("db")
    empty = {**os.environ, "DOCKER_CONFIG": str(tmp_path), "DOCKER_CLI_PLUGIN_EXTRA_DIRS": ""}
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'docker: unknown command: docker compose' >&2; exit 1\n")
    program.chmod(0o755)
    empty["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    spec, real.spec = real.spec, replace(real.spec, env=empty)
    try:
        with pytest.raises(PermanentError) as caught:
            await real.up("db")
    finally:
        real.spec = spec
    assert "docker compose" in caught.value.problem.message
    assert "install the plugin" in caught.value.problem.hint


async def test_a_cancelled_up_ends_its_program(real: Project) -> None:
    # The project's name makes the step its own: builders share equal steps.
    real.dockerfile(f"FROM {composing.BASE}\nRUN : {real.name}; sleep 1000\n")
    real.service("db", image=f"{real.name}-image", build={"context": "."})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(real.up("db"))
        await real.log.shows("sleep 1000")
        task.cancel()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    real.services = {}


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncGenerator[str]:
    """An Engine that gives these answers, one a connection, and hangs up."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b'HTTP/1.1 200 OK\r\n\r\n{"a"', "can't be reached", id="half an answer"),
        pytest.param(b"", "can't be reached", id="none"),
        pytest.param(b"what?\r\n\r\n", "can't be reached", id="no HTTP"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "can't be reached",
            id="half a chunk",
        ),
    ],
)
async def test_an_engine_that_breaks_off_is_tried_again(answer: bytes, said: str) -> None:
    async with answering(answer) as url:
        with pytest.raises(TransientError, match=said):
            await engine.Engine(engine.Address(url)).get("/x")


async def test_an_engines_refusal_is_its_own_words() -> None:
    answer = b'HTTP/1.1 409 Conflict\r\nContent-Length: 17\r\n\r\n{"message": "no"}'
    async with answering(answer) as url:
        with pytest.raises(engine.RefusedError, match=r"^no$") as caught:
            await engine.Engine(engine.Address(url)).get("/x")
    assert caught.value.status == 409


async def test_an_engine_behind_ssh_is_refused_with_what_to_do() -> None:
    with pytest.raises(PermanentError) as caught:
        await engine.Engine(engine.Address("ssh://host")).get("/x")
    assert "forward its socket" in caught.value.problem.hint


async def test_an_engine_that_is_away_is_told_while_watching(real: Project) -> None:
    real.service("db")
    away = compose.DockerCompose(LocalProcesses(), lambda _: engine.Address("unix:///no/e.sock"))
    lonely = Project(away, real.folder, real.spec.env)
    lonely.services = real.services
    with pytest.raises(ExceptionGroup) as caught:
        async with lonely.watched("db") as watched:
            await watched.until(lambda _: True)
    (error,) = caught.value.exceptions
    assert isinstance(error, TransientError)
    assert error.problem.code is Code.ENGINE_UNREACHABLE
    real.services = {}


async def test_files_go_into_a_running_container_and_programs_run_there(
    real: Project, tmp_path: Path
) -> None:
    real.service("api", shell("echo began; exec sleep 1000"))
    container = await real.up("api")
    target, service = Target(container.id, container.name), real.target("api")
    source = tmp_path / "main"
    source.write_bytes(b"x" * 200_000)
    packed = archive.packed([(str(source), "/srv/deep/main")])
    await real.adapter.unpack(target, packed, service, real.spec)

    async def run(*argv: str) -> tuple[int, str]:
        log = Logged()
        return await real.adapter.execute(target, argv, service, real.spec, log), log.text

    assert await run("sh", "-c", "wc -c < /srv/deep/main; exit 7") == (7, "200000\n")
    code, said = await run("no-such-program")
    assert code in {126, 127}, said
    await real.adapter.restart(target, service, real.spec)
    assert await run("test", "-e", "/srv/deep/main") == (0, "")
    docker("rm", "--force", container.id)
    with pytest.raises(GoneError):
        await run("true")
    with pytest.raises(GoneError):
        await real.adapter.unpack(target, packed, service, real.spec)
