"""Real builds: every option, every way to fail, both builders."""

import asyncio
import os
import secrets
import threading
from pathlib import Path

import pytest

from tests.adapters.images import servers
from tests.adapters.images.workshop import Workshop, docker, has, log_in
from tiltd import ports
from tiltd.model.actions import EnsureImage
from tiltd.model.names import ImageName
from tiltd.model.problems import Code, Place, Problem

pytestmark = pytest.mark.docker


async def failure(workshop: Workshop, action: EnsureImage) -> Problem:
    with pytest.raises(ports.PermanentError) as caught:
        await workshop.ensure(action)
    return caught.value.problem


async def test_the_builder_gets_what_dockerignore_only_and_ignore_leave(
    workshop: Workshop,
) -> None:
    for name in ("app/main.py", "app/secret.key", "app/skip.log", "other/x", "app/keep.log"):
        file = workshop.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    (workshop.folder / ".dockerignore").write_text("**/*.log\n!app/keep.log\n")
    action = workshop.action("COPY . /w", ignore=("app/*.key",), only=("app",))
    await workshop.ensure(action)
    found = workshop.run(action, "find", "/w", "-type", "f").split()
    assert sorted(found) == ["/w/app/keep.log", "/w/app/main.py"]


async def test_the_ignore_file_beside_the_dockerfile_replaces_the_other(
    workshop: Workshop,
) -> None:
    for name in ("a", "b"):
        (workshop.folder / name).write_text(name)
    (workshop.folder / ".dockerignore").write_text("a\n")
    (workshop.folder / "Dockerfile.dockerignore").write_text("b\nDockerfile*\n.dockerignore\n")
    action = workshop.action("COPY . /w")
    await workshop.ensure(action)
    assert workshop.run(action, "ls", "-A", "/w").split() == ["a"]


async def test_target_args_tags_and_hosts_reach_the_builder(workshop: Workshop) -> None:
    workshop.env["FROM_ENV"] = "of the session"
    extra = f"{workshop.good().refs.local}-extra"
    action = workshop.action(
        "ARG GIVEN\nARG FROM_ENV\nARG ABSENT=default\n"
        'RUN echo "$GIVEN, $FROM_ENV, $ABSENT" > /said; grep api.test /etc/hosts > /hosts\n'
        f"FROM {workshop.base}\nRUN exit 9",
        first=f"{workshop.base} AS wanted",
        target="wanted",
        build_args={"GIVEN": "by value", "FROM_ENV": None, "ABSENT": None},
        extra_tags=(extra,),
        extra_hosts=("api.test:10.1.2.3",),
        network="none" if workshop.env.get("DOCKER_CONFIG") else "",
    )
    await workshop.ensure(action)
    said = workshop.run(action, "cat", "/said", "/hosts").split("\n")
    assert said[0] == "by value, of the session, default"
    assert said[1].split() == ["10.1.2.3", "api.test"]
    assert has(extra)


async def test_an_inline_dockerfile_needs_no_file(workshop: Workshop) -> None:
    action = workshop.action("COPY a /a", inline=True)
    (workshop.folder / "a").write_text("inline")
    await workshop.ensure(action)
    assert workshop.run(action, "cat", "/a") == "inline"


async def test_a_build_stands_on_the_projects_own_image(workshop: Workshop) -> None:
    first = workshop.action("RUN echo below > /below")
    await workshop.ensure(first)
    action = workshop.action(
        "COPY --from=tools /below /copied",
        first="base/own",
        bases={ImageName("base/own"): first.refs.local, ImageName("tools"): first.refs.local},
    )
    await workshop.ensure(action)
    assert workshop.run(action, "cat", "/below", "/copied") == "below\nbelow\n"


async def test_an_image_of_another_platform_is_no_hit(workshop: Workshop) -> None:
    action = workshop.action("ENV A=1", platform="linux/amd64")
    made = await workshop.ensure(action)
    assert made.reused == ""
    assert (await workshop.ensure(action)).reused == "engine"
    other = workshop.action("ENV A=1", platform="linux/arm64")
    docker("tag", action.refs.local, other.refs.local)
    workshop.phases.clear()
    await workshop.ensure(other)
    assert workshop.phases == ["find", "build"]


async def test_output_comes_line_by_line_while_the_build_runs(workshop: Workshop) -> None:
    new = secrets.token_hex()  # a step that the builder still has would print nothing
    action = workshop.action(f"RUN : {new}; echo first line; sleep 2; echo last line")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(workshop.ensure(action))
        await workshop.log.until("\nfirst line\n")
        assert not task.done()
        assert "\nlast line\n" not in workshop.log.text
    assert "\nlast line\n" in workshop.log.text
    assert "---> " not in workshop.log.text
    assert "\n\n" not in workshop.log.text


async def test_a_failing_command_is_named_with_its_line_and_output(workshop: Workshop) -> None:
    problem = await failure(workshop, workshop.action("\n\nRUN echo the cause && \\\n  exit 7"))
    assert problem.code is Code.BUILD
    assert "exited with code 7" in problem.message
    assert problem.place == Place(str(workshop.folder / "Dockerfile"), 4)
    assert "the cause" in problem.detail


@pytest.mark.parametrize("ignored", [False, True], ids=["absent", "left out"])
async def test_a_missing_file_is_named_and_told_from_one_left_out(
    workshop: Workshop, *, ignored: bool
) -> None:
    if ignored:
        (workshop.folder / "data.json").write_text("{}")
        (workshop.folder / ".dockerignore").write_text("*.json\n")
    problem = await failure(workshop, workshop.action("COPY data.json /"))
    assert "'data.json'" in problem.message
    assert problem.place == Place(str(workshop.folder / "Dockerfile"), 2)
    assert ("left out" in problem.message) is ignored
    assert (".dockerignore" in problem.hint) is ignored


async def test_a_file_missing_in_another_stage_is_no_matter_of_the_context(
    workshop: Workshop,
) -> None:
    action = workshop.action(
        f"RUN true\nFROM {workshop.base}\nCOPY --from=tools /absent /here",
        first=f"{workshop.base} AS tools",
    )
    problem = await failure(workshop, action)
    assert "/absent was not found in tools" in problem.message
    assert problem.place == Place(str(workshop.folder / "Dockerfile"), 4)


async def test_a_base_image_that_does_not_exist_is_named(workshop: Workshop) -> None:
    absent = f"{workshop.registry}/absent/base:9"
    problem = await failure(workshop, workshop.action("", first=absent))
    assert f"the base image {absent} does not exist" in problem.message
    assert problem.place == Place(str(workshop.folder / "Dockerfile"), 1)


async def test_an_unknown_instruction_is_at_its_line(workshop: Workshop) -> None:
    problem = await failure(workshop, workshop.action("ENV A=1\nFETCH x /y"))
    assert "FETCH" in problem.message
    assert problem.place == Place(str(workshop.folder / "Dockerfile"), 3)


async def test_a_missing_context_is_a_sentence(workshop: Workshop) -> None:
    action = workshop.action("COPY . /w", only=("a",))
    workshop.folder.rmdir()
    problem = await failure(workshop, action)
    assert problem.place == Place(str(workshop.folder))
    assert "does not exist" in problem.message
    workshop.folder.mkdir()


async def test_a_context_that_fails_half_way_makes_no_image(classic: Workshop) -> None:
    """A file that changes under the reader's eyes spoils the stream after the first file."""
    (classic.folder / "a").write_text("a")
    broken = classic.folder / "b"
    broken.write_text("b")
    action = classic.action("COPY a /a")

    os.truncate(broken, 40_000_000)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            os.utime(broken)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with pytest.raises(ports.TransientError) as caught:
            await classic.ensure(action)
    finally:
        stop.set()
        thread.join()
    assert caught.value.problem.place == Place(str(broken))
    assert not classic.engine_has(action)


async def test_a_busy_registry_of_a_base_image_is_worth_another_try(
    workshop: Workshop, registry: str
) -> None:
    with servers.flaky(registry, lambda _: True) as address:
        action = workshop.action("", first=f"{address}/some/base:1")
        with pytest.raises(ports.TransientError) as caught:
            await workshop.ensure(action)
    assert caught.value.problem.place == Place(str(workshop.folder / "Dockerfile"), 1)


async def test_a_cancelled_build_leaves_no_container_process_or_thread(
    workshop: Workshop,
) -> None:
    length = f"47.{secrets.randbelow(10**9)}"  # nobody else sleeps for so long
    async with asyncio.TaskGroup() as group:
        action = workshop.action(f"RUN echo waiting && sleep {length}")
        task = group.create_task(workshop.ensure(action))
        await workshop.building()
        async with asyncio.timeout(10):
            # It begins a moment after the line; that gives us no event.
            while _sleepers(length) != 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        task.cancel()
    for thread in threading.enumerate():
        if thread.name in {"docker-build", "build-context"}:
            thread.join(1)
            assert not thread.is_alive()
    async with asyncio.timeout(5):
        # The engine kills it after it has seen the connection go; that gives us no event.
        while _sleepers(length):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    assert not _children("buildx")


def _sleepers(length: str) -> int:
    """Processes of the build's own, told by how long they sleep."""
    return len(_matching(f"sleep\0{length}\0".encode()))


def _children(word: str) -> list[str]:
    mine = str(os.getpid())
    found: list[str] = []
    for name in _matching(word.encode()):
        status = Path("/proc", name, "status").read_text()
        if f"PPid:\t{mine}\n" in status:
            found.append(name)
    return found


def _matching(wanted: bytes) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(wanted) or (b"\x00" not in wanted and wanted in line):
            found.append(folder.name)
    return found


async def test_what_needs_buildkit_is_refused_by_the_classic_builder(classic: Workshop) -> None:
    problem = await failure(
        classic, classic.action("RUN --mount=type=cache,target=/c echo hi", push=True)
    )
    assert "RUN --mount needs BuildKit" in problem.message
    assert problem.place == Place(str(classic.folder / "Dockerfile"), 2)
    assert "buildx" in problem.hint


async def test_who_asks_for_the_classic_builder_gets_it(buildkit: Workshop) -> None:
    buildkit.env["DOCKER_BUILDKIT"] = "0"
    await buildkit.ensure(buildkit.good(push=False))
    assert "Step 1/2" in buildkit.log.text
    problem = await failure(buildkit, buildkit.action("RUN --mount=type=ssh true"))
    assert "DOCKER_BUILDKIT=0" in problem.message


async def test_secrets_need_buildkit(classic: Workshop) -> None:
    problem = await failure(classic, classic.action("ENV A=1", secret=("id=token,src=t",)))
    assert "secret= of docker_build needs BuildKit" in problem.message


async def test_secrets_reach_the_build_and_not_the_log(buildkit: Workshop) -> None:
    (buildkit.folder.parent / "token.txt").write_text("hunter2")
    action = buildkit.action(
        "RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length",
        secret=("id=token,src=token.txt",),
    )
    await buildkit.ensure(action)
    assert buildkit.run(action, "cat", "/length").strip() == "7"
    assert "hunter2" not in buildkit.log.text


async def test_a_secret_that_is_not_there_is_named(buildkit: Workshop) -> None:
    action = buildkit.action("RUN --mount=type=secret,id=token true", secret=("id=token,src=none",))
    problem = await failure(buildkit, action)
    assert f"{buildkit.folder.parent}/none: no such file" in problem.message, problem


async def test_without_an_engine_the_socket_is_named(classic: Workshop, tmp_path: Path) -> None:
    classic.env["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    problem = await failure(classic, classic.good(push=False))
    assert problem.code is Code.ENGINE_UNREACHABLE
    assert f"{tmp_path}/none.sock" in problem.message
    assert "DOCKER_HOST" in problem.message
    assert problem.hint


async def test_what_the_registry_has_needs_no_engine(classic: Workshop, tmp_path: Path) -> None:
    action = classic.good()
    await classic.ensure(action)
    classic.env["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    assert (await classic.ensure(action)).reused == "registry"


async def test_a_registry_of_the_base_image_that_asks_for_a_password_gets_it(
    classic: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "private").mkdir()
    with servers.docker_registry(tmp_path / "private", password=True) as address:
        private = f"{address}/private/base:1"
        docker("tag", classic.base, private)
        login = tmp_path / "login"
        log_in(login, address, servers.USER, servers.PASSWORD)
        docker("--config", str(login), "push", private)
        docker("image", "rm", private)
        action = classic.action("ENV A=1", first=private)
        problem = await failure(classic, action)
        assert "credentials" in problem.message + problem.hint
        classic.env["DOCKER_CONFIG"] = str(login)
        await classic.ensure(action)
        docker("image", "rm", "--force", private)
    assert classic.engine_has(action)
