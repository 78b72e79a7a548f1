"""What the user set up for Docker: engine, contexts, credentials."""

import base64
import errno
import hashlib
import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.images.logs import Lines
from tiltd import ports
from tiltd.adapters.images import credentials, dockerconfig, endpoint
from tiltd.model.problems import Code, Place, Problem


def write(folder: Path, document: Any) -> dict[str, str]:
    """A Docker configuration; the environment that names it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))
    return {"DOCKER_CONFIG": str(folder), "PATH": str(folder)}


def resolve(env: dict[str, str]) -> endpoint.Endpoint:
    return endpoint.resolve(env, dockerconfig.read(env))


def context(folder: Path, name: str, host: str, **more: Any) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    docker = {"Host": host, **more}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": docker}}))
    return folder / "contexts" / "tls" / digest / "docker"


def test_without_any_setting_it_is_the_usual_socket(tmp_path: Path) -> None:
    assert resolve({"HOME": str(tmp_path)}).url == "unix:///var/run/docker.sock"


def test_the_host_wins_over_the_context_and_that_over_the_current_one(tmp_path: Path) -> None:
    env = write(tmp_path, {"currentContext": "a"})
    context(tmp_path, "a", "unix:///a.sock")
    context(tmp_path, "b", "unix:///b.sock")
    assert resolve(env).url == "unix:///a.sock"
    assert resolve({**env, "DOCKER_CONTEXT": "b"}).url == "unix:///b.sock"
    assert resolve({**env, "DOCKER_CONTEXT": "default"}).url == "unix:///var/run/docker.sock"
    both = {**env, "DOCKER_CONTEXT": "b", "DOCKER_HOST": "tcp://h:1"}
    assert resolve(both).url == "tcp://h:1"


def test_a_context_brings_its_certificates(tmp_path: Path) -> None:
    env = write(tmp_path, {"currentContext": "a"})
    certificates = context(tmp_path, "a", "tcp://h:2376", SkipTLSVerify=True)
    certificates.mkdir(parents=True)
    (certificates / "ca.pem").write_text("")
    found = resolve(env).tls
    assert found == endpoint.Tls(str(certificates / "ca.pem"), "", "", verify=False)


def test_tls_by_environment_takes_its_files_from_the_cert_path(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    env = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_CERT_PATH": str(tmp_path)}
    assert resolve(env).tls is None
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    assert resolve({**env, "DOCKER_TLS_VERIFY": "1"}).tls == endpoint.Tls(
        ca, cert, key, verify=True
    )
    assert resolve({**env, "DOCKER_TLS": "1"}).tls == endpoint.Tls(ca, cert, key, verify=False)


def test_an_unknown_context_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ports.PermanentError) as caught:
        resolve({"HOME": str(tmp_path), "DOCKER_CONTEXT": "nope"})
    assert caught.value.problem.code is Code.ENGINE_UNREACHABLE
    assert "'nope'" in caught.value.problem.message


def test_a_broken_configuration_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{\n  "auths": {,}\n}')
    with pytest.raises(ports.PermanentError) as caught:
        dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})
    assert caught.value.problem.place == Place(str(file), 2, 13)


def test_the_proxies_of_the_configuration_become_build_args(tmp_path: Path) -> None:
    env = write(tmp_path, {"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a"}}})
    args = dockerconfig.read(env).proxy_build_args("unix:///x")
    assert args == {
        "HTTP_PROXY": "http://p:1",
        "http_proxy": "http://p:1",
        "NO_PROXY": "a",
        "no_proxy": "a",
    }


async def look_up(env: dict[str, str], host: str, log: Lines | None = None) -> Any:
    found = credentials.Credentials()
    return await found.get(host, dockerconfig.read(env), env, log or Lines())


AUTH = base64.b64encode(b"me:pass:word").decode()


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("gcr.io", "gcr.io"),
        ("https://gcr.io/v2/", "gcr.io"),
        ("localhost:5000", "localhost:5000"),
    ],
)
async def test_an_entry_is_found_however_its_key_is_spelled(
    tmp_path: Path, key: str, host: str
) -> None:
    env = write(tmp_path, {"auths": {key: {"auth": AUTH}}})
    found = await look_up(env, host)
    assert (found.username, found.password) == ("me", "pass:word")
    assert await look_up(env, "other.io") is None
    assert "pass:word" not in repr(found)


def helper(folder: Path, name: str, script: str) -> None:
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


async def test_a_registrys_own_helper_wins_over_the_one_for_all(tmp_path: Path) -> None:
    env = write(tmp_path, {"credHelpers": {"gcr.io": "own"}, "credsStore": "all"})
    helper(tmp_path, "own", 'echo \'{"Username": "<token>", "Secret": "own"}\'')
    helper(tmp_path, "all", 'read -r s; echo "{\\"Username\\": \\"u\\", \\"Secret\\": \\"$s\\"}"')
    own = await look_up(env, "gcr.io")
    assert own.auth_config() == {"identitytoken": "own", "serveraddress": "gcr.io"}
    assert (await look_up(env, "docker.io")).password == credentials.HUB_KEY


@pytest.mark.parametrize(
    ("script", "warning"),
    [
        pytest.param(None, "is not on the PATH", id="missing"),
        pytest.param("echo credentials not found in native keychain; exit 1", "", id="unknown"),
        pytest.param("echo locked; exit 2", "locked", id="failing"),
        pytest.param("echo hunter2", "gave no credentials in JSON", id="nonsense"),
    ],
)
async def test_a_helper_without_an_answer_leaves_us_anonymous(
    tmp_path: Path, script: str | None, warning: str
) -> None:
    env = write(tmp_path, {"credsStore": "x"})
    if script is not None:
        helper(tmp_path, "x", script)
    log = Lines()
    assert await look_up(env, "gcr.io", log) is None
    assert warning in log.text
    assert bool(log.text) is bool(warning)
    assert "hunter2" not in log.text


def problem_at(path: Path) -> Problem:
    with pytest.raises(ports.PermanentError) as caught:
        endpoint.probe(endpoint.Endpoint(f"unix://{path}", "DOCKER_HOST"))
    return caught.value.problem


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    absent = problem_at(path)
    assert absent.code is Code.ENGINE_UNREACHABLE
    assert f"there is no Docker Engine at unix://{path} (DOCKER_HOST)" in absent.message
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    assert "connection refused" in problem_at(path).message


def test_a_socket_that_one_may_not_use_is_told_from_one_that_is_not_there() -> None:
    where = endpoint.Endpoint("unix:///var/run/docker.sock", "the default")
    error = endpoint.unreachable(where, PermissionError(errno.EACCES, "Permission denied"))
    assert "no permission" in error.problem.message
    assert "group" in error.problem.hint
