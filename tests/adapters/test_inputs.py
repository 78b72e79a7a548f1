import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tiltd import ports
from tiltd.adapters import inputs
from tiltd.core import dockerignore, secret
from tiltd.model.desired import Command, CustomBuild, DockerBuild, Ignore, LocalTarget
from tiltd.model.names import SessionId
from tiltd.model.state import Mode, SessionSpec
from tiltd.runtime import buildcontext, threads
from tiltd.runtime.cache import FileCache


@pytest.fixture
async def reader() -> AsyncIterator[inputs.LocalInputs]:
    made = inputs.LocalInputs(FileCache(None))
    yield made
    made.close()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print()")
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def docker(app: Path, *, only: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> DockerBuild:
    return DockerBuild(
        str(app), str(app / "Dockerfile"), "FROM scratch\n", only=only, ignore=ignore
    )


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_the_digest_is_that_of_what_the_builder_gets(
    reader: inputs.LocalInputs, app: Path
) -> None:
    port: ports.Inputs = reader
    everything = buildcontext.entries(str(app), dockerignore.ContextFilter())
    assert await port.digest(docker(app)) == buildcontext.digest(everything)


async def test_only_files_that_count_change_the_digest(
    reader: inputs.LocalInputs, app: Path
) -> None:
    build = docker(app, ignore=("*.md",))
    before = await reader.digest(build)
    write(app / "notes.md", "other notes")
    assert await reader.digest(build) == before
    write(app / "src" / "main.py", "exit()")
    assert await reader.digest(build) != before


async def test_the_ignore_file_counts_by_its_effect(reader: inputs.LocalInputs, app: Path) -> None:
    build = docker(app, only=("src",))
    before = await reader.digest(build)
    write(app / ".dockerignore", "# nothing\n")
    assert await reader.digest(build) == before
    write(app / "Dockerfile.dockerignore", "src/main.py\n")
    assert await reader.digest(build) != before


async def test_a_custom_build_counts_its_deps_without_what_it_ignores(
    reader: inputs.LocalInputs, app: Path
) -> None:
    command = Command(("make",), str(app))
    build = CustomBuild(command, (str(app / "src"), str(app / "notes.md")), ignore=("src/*.pyc",))
    before = await reader.digest(build)
    write(app / "src" / "main.pyc", "x")
    assert await reader.digest(build) == before
    write(app / "notes.md", "other notes")
    assert await reader.digest(build) != before


async def test_deps_may_be_missing(reader: inputs.LocalInputs, app: Path) -> None:
    deps = (str(app / "src"), str(app / "later"))
    build = CustomBuild(Command(("make",), str(app)), deps)
    before = await reader.digest(build)
    write(app / "later", "x")
    assert await reader.digest(build) != before


async def test_a_local_command_counts_its_deps_without_what_it_ignores(
    reader: inputs.LocalInputs, app: Path
) -> None:
    ignored = (Ignore(str(app), ("*.md",)),)
    target = LocalTarget(deps=(str(app),), ignore=ignored)
    before = await reader.digest(target)
    write(app / "notes.md", "other")
    assert await reader.digest(target) == before
    write(app / "src/main.py", "other")
    assert await reader.digest(target) != before


async def test_a_secret_is_read_from_where_docker_build_would_read_it(
    reader: inputs.LocalInputs, app: Path
) -> None:
    os.mkfifo(app / "pipe")  # to read it would take it from the builder, or never end
    write(app / "token", "x")
    names = ("id=file,src=token", "id=VAR", "id=unset,env=UNSET", "id=pipe,src=pipe", "id=none")
    build = DockerBuild(str(app), "", "FROM scratch", secret=names)
    env = {"VAR": "x"}
    spec = SessionSpec(SessionId("s"), Mode.CI, "/elsewhere/Tiltfile", env=env, cwd=str(app))
    found = await reader.secrets(build, spec)
    assert found == {
        "file": secret.digest(b"x"),
        "VAR": secret.digest(b"x"),
        "unset": secret.digest(b""),
        "pipe": None,
        "none": None,
    }
    beside = replace(spec, cwd="", tiltfile=f"{app}/Tiltfile")
    assert await reader.secrets(build, beside) == found


async def test_a_missing_context_is_a_users_error(reader: inputs.LocalInputs, app: Path) -> None:
    with pytest.raises(ports.PermanentError, match="none: the build context does not exist"):
        await reader.digest(docker(app / "none"))


async def test_a_broken_pattern_is_told_with_its_line(
    reader: inputs.LocalInputs, app: Path
) -> None:
    write(app / ".dockerignore", "fine\n[\n")
    with pytest.raises(ports.PermanentError) as caught:
        await reader.digest(docker(app))
    assert str(caught.value.problem.place) == f"{app}/.dockerignore:2"


async def test_a_file_that_keeps_changing_may_come_to_rest(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.read

    def meddling(handle: int, size: int) -> bytes:
        write(app / "src" / "main.py", f"print({os.urandom(2).hex()!r})" * (1 + os.urandom(1)[0]))
        return read(handle, size)

    reader = inputs.LocalInputs(FileCache(None))
    monkeypatch.setattr(os, "read", meddling)
    with pytest.raises(ports.TransientError, match="keeps changing"):
        await reader.digest(docker(app, only=("src",)))
    reader.close()


async def test_a_digest_that_nobody_waits_for_stops_between_two_files(app: Path) -> None:
    for number in range(100):
        write(app / f"f{number}", "x")
    begun, go = threading.Event(), threading.Event()

    class Waiting(FileCache):
        asked = 0

        def get(self, path: str, status: os.stat_result) -> bytes | None:
            self.asked += 1
            begun.set()
            go.wait(10)
            return super().get(path, status)

    cache = Waiting(None)
    reader = inputs.LocalInputs(cache)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reader.digest(docker(app)))
        await threads.alone("see", begun.wait, 10)
        task.cancel()
    go.set()
    both_free = threading.Barrier(2)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(reader._pool.run(both_free.wait, 10))  # pyright: ignore[reportPrivateUsage] # when it has ended has no other face
    reader.close()
    assert cache.asked == 1
