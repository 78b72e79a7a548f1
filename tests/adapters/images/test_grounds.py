"""Digests of others' images: the same on a machine that has them and on one that asks."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.adapters.images import servers
from tests.adapters.images.logs import Lines
from tests.adapters.images.servers import Asked, Reply
from tests.adapters.images.workshop import Workshop, docker
from tiltd.adapters import images, processes
from tiltd.model.desired import DockerBuild, Image
from tiltd.model.names import ImageName, SessionId
from tiltd.model.observed import Grounds
from tiltd.model.state import Mode, SessionSpec

DIGEST = f"sha256:{'a' * 64}"
OLD = f"sha256:{'b' * 64}"
IMAGE = f"sha256:{'c' * 64}"


class Machine:
    """A session of one machine: an engine behind a socket of its own, perhaps, and a state folder.

    Attributes:
        has: what the engine says of each image.
        asked: by registry and engine together.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.has: dict[str, dict[str, object]] = {}
        self.asked: list[str] = []
        self.digests: dict[str, str] = {"x": DIGEST}
        self.registry = stack.enter_context(servers.made_up(self._registry))
        self.log = Lines()
        self.env = {"PATH": "", "HOME": str(folder), "DOCKER_HOST": f"unix://{folder}/none.sock"}

    async def engine(self) -> asyncio.Server:
        path = f"{self.folder}/e.sock"
        self.env["DOCKER_HOST"] = f"unix://{path}"
        return await asyncio.start_unix_server(self._answer, path)

    async def look(self, contents: str, session: str = "s", **changes: object) -> Grounds:
        local = processes.LocalProcesses()
        adapter = images.DockerImages(local, state=self.folder)
        try:
            return await self.ask(adapter, contents, session, **changes)
        finally:
            await adapter.close()
            await local.close()

    async def ask(
        self, adapter: images.DockerImages, contents: str, session: str = "s", **changes: object
    ) -> Grounds:
        text = contents.replace("R/", f"{self.registry}/")
        made = DockerBuild("/a", "/a/D", text, **changes)  # type: ignore[arg-type]
        spec = SessionSpec(SessionId(session), Mode.CI, "/a/Tiltfile", env=self.env)
        found = await adapter.grounds(Image(ImageName("img"), made), spec, self.log)
        bases = {k.replace(f"{self.registry}/", "R/"): v for k, v in found.bases.items()}
        return Grounds(bases, found.platform)

    def _registry(self, asked: Asked) -> Reply:
        self.asked.append(f"{asked.method} {asked.path}")
        name = asked.path.split("/")[2]
        if name not in self.digests:
            return Reply(404)
        return Reply(200, {"Docker-Content-Digest": self.digests[name]})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(f"engine {path}")
        name = path.removeprefix("/images/").removesuffix("/json")
        found = {"Os": "linux", "Arch": "s390x"} if path == "/version" else self.has.get(name)
        body = "" if found is None else str(found).replace("'", '"')
        head = f"HTTP/1.1 {404 if found is None else 200} x\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def keeps(self, name: str, *digests: str, architecture: str = "s390x") -> None:
        """The engine has an image, which it knows by these digests."""
        known = [f"{self.registry}/{name}@{digest}" for digest in digests]
        self.has[f"{self.registry}/{name}:1"] = {
            "Id": IMAGE,
            "Os": "linux",
            "Architecture": architecture,
            "RepoDigests": [*known, f"elsewhere/{name}@sha256:{'d' * 64}"],
        }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


async def test_a_machine_that_has_the_image_and_one_that_asks_agree(machine: Machine) -> None:
    asked = await machine.look("FROM R/x:1", platform="linux/s390x")
    assert asked.bases == {"R/x:1": DIGEST}
    machine.asked.clear()
    machine.keeps("x", DIGEST)
    async with await machine.engine():
        assert await machine.look("FROM R/x:1") == asked
    assert all(text.startswith("engine ") for text in machine.asked)


async def test_an_image_that_is_in_no_registry_counts_by_its_id(machine: Machine) -> None:
    machine.keeps("x")
    async with await machine.engine():
        assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": f"local {IMAGE}"}


async def test_pull_asks_the_registry_first(machine: Machine) -> None:
    machine.keeps("x", OLD)
    async with await machine.engine():
        assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": OLD}
        assert (await machine.look("FROM R/x:1", pull=True)).bases == {"R/x:1": DIGEST}
        machine.digests.clear()
        assert (await machine.look("FROM R/x:1", pull=True)).bases == {"R/x:1": OLD}


async def test_an_image_of_another_platform_is_not_what_is_built_on(machine: Machine) -> None:
    machine.keeps("x", OLD, architecture="arm64")
    async with await machine.engine():
        assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": DIGEST}


async def test_of_several_digests_the_registrys_counts(machine: Machine) -> None:
    machine.keeps("x", OLD, DIGEST)
    async with await machine.engine():
        assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": DIGEST}
        machine.digests.clear()
        assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": min(OLD, DIGEST)}


async def test_the_platform_is_the_engines_unless_it_is_said(machine: Machine) -> None:
    async with await machine.engine():
        assert (await machine.look("FROM scratch")).platform == "linux/s390x"
        said = await machine.look("FROM scratch", platform="linux/arm64")
        assert said.platform == "linux/arm64"


async def test_an_engine_at_a_port_is_asked_too(machine: Machine) -> None:
    machine.keeps("x", OLD)
    async with await asyncio.start_server(machine._answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        machine.env["DOCKER_HOST"] = f"tcp://{host}:{port}"
        assert await machine.look("FROM R/x:1") == Grounds({"R/x:1": OLD}, "linux/s390x")


async def test_without_an_engine_it_is_this_machines(machine: Machine) -> None:
    system, _, architecture = (await machine.look("FROM scratch")).platform.partition("/")
    assert system == "linux"
    assert architecture


async def test_what_nobody_can_tell_counts_by_its_name_and_that_is_said(machine: Machine) -> None:
    assert (await machine.look("FROM R/y:1")).bases == {"R/y:1": None}
    assert f"can't tell which {machine.registry}/y:1 this is built on" in machine.log.text
    assert "its name alone counts" in machine.log.text


async def test_when_the_registry_is_away_what_it_said_last_counts(machine: Machine) -> None:
    assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": DIGEST}
    machine.digests.clear()
    assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": DIGEST}
    assert "its last known digest counts" in machine.log.text
    (machine.folder / "bases.json").write_text('{"half')
    assert (await machine.look("FROM R/x:1")).bases == {"R/x:1": None}


async def test_many_images_on_one_base_ask_once_in_a_session(machine: Machine) -> None:
    local = processes.LocalProcesses()
    adapter = images.DockerImages(local)
    dockerfile = "FROM R/x:1\nCOPY --from=R/x:2 . .\n"
    try:
        async with await machine.engine():
            await asyncio.gather(*(machine.ask(adapter, dockerfile) for _ in range(10)))
            assert sorted(machine.asked) == [
                "HEAD /v2/x/manifests/1",
                "HEAD /v2/x/manifests/2",
                f"engine /images/{machine.registry}/x:1/json",
                f"engine /images/{machine.registry}/x:2/json",
                "engine /version",
            ]
            machine.asked.clear()
            await machine.ask(adapter, dockerfile, "another")
            assert len(machine.asked) == 5
    finally:
        await adapter.close()
        await local.close()


async def test_who_gives_up_leaves_the_question_to_the_others(machine: Machine) -> None:
    local = processes.LocalProcesses()
    adapter = images.DockerImages(local)
    try:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(machine.ask(adapter, "FROM R/x:1"), name="first")
            second = group.create_task(machine.ask(adapter, "FROM R/x:1"), name="second")
            await asyncio.sleep(0)
            first.cancel()
        assert second.result().bases == {"R/x:1": DIGEST}
    finally:
        await adapter.close()
        await local.close()


async def test_a_real_engine_and_its_registry_say_the_same(
    classic: Workshop, tmp_path: Path
) -> None:
    def asking(env: dict[str, str]) -> SessionSpec:
        return SessionSpec(SessionId(str(len(env))), Mode.CI, "/a/Tiltfile", env=env)

    contents = f"FROM {classic.base}\n"
    made = Image(ImageName("img"), DockerBuild("/a", "/a/D", contents))
    here = await classic.adapter.grounds(made, asking(classic.env), classic.log)
    away = {**classic.env, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    there = await classic.adapter.grounds(made, asking(away), classic.log)
    assert here == there
    assert (here.bases[classic.base] or "").startswith("sha256:")
    target = f"{classic.registry}/tiltd-test/{tmp_path.name.replace('_', '-').lower()}:1"
    docker("tag", classic.base, target)
    try:
        local = Image(ImageName("img"), DockerBuild("/a", "/a/D", f"FROM {target}\n"))
        found = await classic.adapter.grounds(local, asking(classic.env | {"A": ""}), classic.log)
        assert (found.bases[target] or "").startswith("local sha256:")
    finally:
        docker("image", "rm", target)
