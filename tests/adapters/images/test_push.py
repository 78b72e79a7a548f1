"""Real pushes: to registries that ask for a password, are busy, refuse, or are not there."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from tests.adapters.images import servers
from tests.adapters.images.workshop import Workshop, log_in
from tiltd import ports
from tiltd.model.problems import Code

pytestmark = pytest.mark.docker

HELPER = """\
#!/bin/sh
read -r server
echo asked >> "{calls}"
echo '{{"ServerURL": "'"$server"'", "Username": "{user}", "Secret": "{password}"}}'
"""


async def test_docker_logins_password_opens_a_private_registry(
    classic: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "private").mkdir()
    with servers.docker_registry(tmp_path / "private", password=True) as address:
        action = classic.action("ENV A=1", push=True, registry=address)
        with pytest.raises(ports.PermanentError) as caught:
            await classic.ensure(action)
        assert caught.value.problem.code is Code.PUSH
        assert f"docker login {address}" in caught.value.problem.hint
        log_in(tmp_path / "login", address, servers.USER, servers.PASSWORD)
        classic.env["DOCKER_CONFIG"] = str(tmp_path / "login")
        assert (await classic.ensure(action)).reused == "engine"
        again = await classic.ensure(action)
    assert again.reused == "registry"
    assert again.digest.startswith("sha256:")


async def test_a_credential_helper_is_asked_once_for_many_images(
    classic: Workshop, tmp_path: Path
) -> None:
    helper = tmp_path / "bin" / "docker-credential-tests"
    helper.parent.mkdir()
    calls = tmp_path / "calls"
    helper.write_text(HELPER.format(calls=calls, user=servers.USER, password=servers.PASSWORD))
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    config = tmp_path / "helper-config"
    config.mkdir()
    classic.env["DOCKER_CONFIG"] = str(config)
    (tmp_path / "private").mkdir()
    with servers.docker_registry(tmp_path / "private", password=True) as address:
        text = json.dumps({"credHelpers": {address: "tests"}})
        (config / "config.json").write_text(text)
        actions = [classic.action(f"ENV A={n}", push=True, registry=address) for n in range(3)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(classic.ensure(action)) for action in actions]
        assert [task.result().reused for task in tasks] == ["", "", ""]
        assert [(await classic.ensure(a)).reused for a in actions] == ["registry"] * 3
    assert calls.read_text() == "asked\n"
    assert servers.PASSWORD not in classic.log.text


async def test_a_busy_registry_is_asked_again(classic: Workshop, registry: str) -> None:
    """503 to the manifest, which the engine does not try again by itself."""
    refused = 0

    def fails(asked: servers.Asked) -> bool:
        nonlocal refused
        if asked.method == "PUT" and "/manifests/" in asked.path and refused < 2:
            refused += 1
            return True
        return False

    with servers.flaky(registry, fails) as address:
        action = classic.action("ENV A=1", push=True, registry=address)
        ready = await classic.ensure(action)
    assert refused == 2
    assert ready.digest.startswith("sha256:")
    assert classic.log.text.count("push failed, again in") == 2


async def test_a_registry_that_stays_busy_is_a_transient_error(
    classic: Workshop, registry: str
) -> None:
    # Only manifests: for layers, the engine itself tries for almost a minute.
    def fails(asked: servers.Asked) -> bool:
        return asked.method == "PUT" and "/manifests/" in asked.path

    with servers.flaky(registry, fails) as address:
        action = classic.action("ENV A=1", push=True, registry=address)
        with pytest.raises(ports.TransientError) as caught:
            await classic.ensure(action)
    assert caught.value.problem.code is Code.PUSH
    assert address in caught.value.problem.hint


async def test_a_cancelled_push_ends_at_once(classic: Workshop, registry: str) -> None:
    """The engine waits to try a layer again when its client goes away."""
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    def fails(asked: servers.Asked) -> bool:
        if asked.method == "PUT":
            loop.call_soon_threadsafe(reached.set)
            return True
        return False

    with servers.flaky(registry, fails) as address:
        action = classic.action("ENV A=1", push=True, registry=address)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(classic.ensure(action))
            await reached.wait()
            begin = loop.time()
            task.cancel()
    assert task.cancelled()
    assert loop.time() - begin < 1


async def test_where_no_registry_is_the_push_says_so(classic: Workshop) -> None:
    address = f"localhost:{servers.free_port()}"
    with pytest.raises(ports.TransientError) as caught:
        await classic.ensure(classic.action("ENV A=1", push=True, registry=address))
    assert "connection refused" in caught.value.problem.message
    assert f"can't tell whether {address} has it" in classic.log.text
