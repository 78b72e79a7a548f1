"""A pod of one container needs no sandbox, and nobody inside or outside can tell."""

import asyncio
import os
import platform
import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.node import small
from tests.cluster.node.small import BUSYBOX, PYTHON, Small, status
from tilt_cluster import fields
from tilt_cluster.node import gates, pause, spec, stopping
from tilt_cluster.objects import CONFIG_MAPS, EVENTS, PODS, Object

_SLEEP = "exec sleep 1000"
_BESIDE = {"name": "beside", "image": BUSYBOX, "command": ["sleep", "1000"]}
_FILES = {
    "fine": "#!/bin/sh\necho ran as $0 with $*\n",
    "no-loader": "#!/no/such/program\n",
    "no-kind": "echo no first line\n",
    "cut-off": "\x7fELF\x02\x01\x01",
}
_VOLUME = {"name": "files", "configMap": {"name": "files", "defaultMode": 0o755}}
_PLAIN = {"name": "plain", "configMap": {"name": "files", "defaultMode": 0o644}}
_MOUNTS = [{"name": "files", "mountPath": "/files"}, {"name": "plain", "mountPath": "/plain"}]


def _pod(cluster: Small, name: str, *, beside: bool, **parts: Any) -> None:
    """A pod of a container `main`, alone or not."""
    if cluster.api.find(CONFIG_MAPS, "files", "default") is None:
        cluster.put(CONFIG_MAPS, "files", data=_FILES)
    main = {"name": "main", "image": BUSYBOX, "volumeMounts": _MOUNTS, **parts}
    containers = [main, _BESIDE] if beside else [main]
    policy = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": "default"}
    of = {"containers": containers, "volumes": [_VOLUME, _PLAIN], "hostname": "web", **policy}
    cluster.api.create(PODS, {"metadata": metadata, "spec": of})


async def _end(cluster: Small, name: str) -> tuple[Mapping[str, Any], str]:
    """How its main container has ended, and what it has said."""

    def over(pod: Object) -> Any:
        now = fields.get(status(pod), "state", "terminated")
        return now or fields.get(status(pod), "lastState", "terminated")

    found = {**over(await cluster.until(PODS, name, over))}
    for key in ("startedAt", "finishedAt", "containerID"):
        found.pop(key, None)
    started = found["reason"] != "StartError"
    return found, await cluster.logs(name) if started else ""


async def _sandboxes(cluster: Small, name: str) -> int:
    here = [one["Labels"] for one in await cluster.containers()]
    return sum(
        1
        for one in here
        if (one["dev.tilt.pod.name"], one["dev.tilt.container.name"]) == (name, "")
    )


_TELL = (
    "hostname; cat /etc/hostname; pwd; id; umask; ulimit -n; env | sort;"
    "tr '\\0' ' ' </proc/1/cmdline; cat /proc/1/comm;"
    "grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Sig[BIC])' /proc/self/status;"
    "ls /proc/1/fd; readlink /proc/1/fd/0;"
    "ip route | sed 's/src .*//'; ip -o link | sed 's/[0-9]*: //;s/@.*//'; stat -c %a /dev/shm"
)


@pytest.mark.docker
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"command": ["sh", "-c", _TELL, "a", "b c"]}, id="from PATH"),
        pytest.param({"args": ["sh", "-c", _TELL]}, id="arguments of an image"),
        pytest.param(
            {"command": ["./fine"], "args": ["x", "y"], "workingDir": "/files"}, id="relative"
        ),
        pytest.param(
            {
                "command": ["fine", "$(WHO)"],
                "env": [
                    {"name": "PATH", "value": "/none:/files:/bin"},
                    {"name": "WHO", "value": "me"},
                ],
            },
            id="PATH of its own",
        ),
        pytest.param(
            {
                "command": ["sh", "-c", _TELL],
                "securityContext": {
                    "runAsUser": 1234,
                    "runAsGroup": 99,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            },
            id="an ordinary user",
        ),
        pytest.param({"image": PYTHON, "command": ["python3", "-c", "print(1)"]}, id="with loader"),
    ],
)
async def test_it_runs_as_it_would_with_a_sandbox(cluster: Small, parts: dict[str, Any]) -> None:
    _pod(cluster, "alone", beside=False, **parts)
    _pod(cluster, "shared", beside=True, **parts)

    ended, said = await _end(cluster, "alone")
    usual, usually = await _end(cluster, "shared")
    assert said.splitlines() == usually.splitlines()
    assert ended == usual
    assert ended["exitCode"] == 0
    assert said
    names = [one["Labels"]["dev.tilt.container.name"] for one in await cluster.containers()]
    assert names.count("") == 1  # that of the other


@pytest.mark.docker
@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        pytest.param({"command": ["no-such-program"]}, 128, "not found in $PATH", id="none"),
        pytest.param({"command": ["/no/such"]}, 128, "no such file", id="no file"),
        pytest.param({"command": ["/plain/fine"]}, 128, "permission denied", id="no right"),
        pytest.param({"command": ["/etc"]}, 128, "permission denied", id="a folder"),
        pytest.param({"command": ["/files/no-loader"]}, 1, "no such file", id="no interpreter"),
        pytest.param({"command": ["/files/no-kind"]}, 1, "exec format error", id="no program"),
        pytest.param({"command": ["/files/cut-off"]}, 1, "exec format error", id="cut off"),
    ],
)
async def test_what_cannot_run_is_said_in_the_engines_words(
    cluster: Small, parts: dict[str, Any], code: int, words: str
) -> None:
    _pod(cluster, "alone", beside=False, **parts)
    _pod(cluster, "shared", beside=True, **parts)

    ended, said = await _end(cluster, "alone")
    assert (ended, said) == await _end(cluster, "shared")
    assert ended["exitCode"] == code
    assert words in ended.get("message", "") + said


@pytest.mark.docker
async def test_its_network_is_there_before_its_program(cluster: Small) -> None:
    cluster.pod("first", "ip -4 -o address show eth0", restartPolicy="Never")
    pod = await cluster.ended("first")
    assert f"inet {fields.get(pod, 'status', 'podIP')}/" in await cluster.logs("first")


@pytest.mark.docker
async def test_after_a_crash_it_has_a_sandbox_and_the_same_address(cluster: Small) -> None:
    script = "test -e /keep/once && exec httpd -f -p 80; touch /keep/once; exit 3"
    cluster.pod(
        "crashes",
        script,
        readinessProbe={"tcpSocket": {"port": 80}},
        volumes=[{"name": "keep", "emptyDir": {}}],
        volumeMounts=[{"name": "keep", "mountPath": "/keep"}],
    )
    first = await cluster.until(PODS, "crashes", lambda pod: fields.get(pod, "status", "podIP"))
    pod = await cluster.ready("crashes")
    assert status(pod)["restartCount"] == 1
    assert fields.get(status(pod), "lastState", "terminated", "exitCode") == 3
    assert fields.get(pod, "status", "podIP") == fields.get(first, "status", "podIP")
    assert await _sandboxes(cluster, "crashes") == 1
    events = {str(one["reason"]) for one in cluster.api.list(EVENTS)}
    assert "SandboxChanged" not in events


@pytest.mark.docker
async def test_one_that_the_node_left_waiting_starts_anew(
    docker_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del docker_engine
    made = small.new_api(tmp_path)
    reached = asyncio.Event()
    loop, ended = asyncio.get_running_loop(), threading.Event()

    def stuck(*_: object) -> None:
        loop.call_soon_threadsafe(reached.set)
        ended.wait(small.PATIENCE)

    async def nothing(*_: object) -> None:
        pass

    try:
        with monkeypatch.context() as patch:
            patch.setattr(gates, "let_go", stuck)
            patch.setattr(stopping, "remove", nothing)  # as if the node were killed
            async with small.running(made) as cluster:
                cluster.pod("waits", _SLEEP)
                await asyncio.wait_for(reached.wait(), small.PATIENCE)
        async with small.running(made) as cluster:
            pod = await cluster.ready("waits")
            assert status(pod)["restartCount"] == 1
            assert (await cluster.run("waits", "ip", "address", "show", "eth0"))[0] == 0
    finally:
        ended.set()
        await small.clean(made)


@pytest.mark.parametrize(
    "parts",
    [
        {"initContainers": [_BESIDE]},
        {"containers": [{"name": "a"}, {"name": "b"}]},
        {"hostNetwork": True},
        {"hostPID": True},
        {"hostIPC": True},
        {"shareProcessNamespace": True},
        {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}},
        {"containers": [{"name": "a", "ports": [{"containerPort": 1, "hostPort": 1}]}]},
        {"containers": [{"name": "a", "securityContext": {"privileged": True}}]},
        {"containers": [{"name": "a", "volumeMounts": [{"name": "x", "mountPath": "/dev/x"}]}]},
    ],
    ids="-".join,
)
def test_what_shares_or_needs_more_has_a_sandbox(parts: dict[str, Any]) -> None:
    assert spec.may_be_alone({"spec": {"containers": [{"name": "a"}]}})
    assert not spec.may_be_alone({"spec": {"containers": [{"name": "a"}], **parts}})


@pytest.mark.parametrize(
    ("own", "entrypoint", "arguments", "runs"),
    [
        ({}, "e", "c", "ec"),
        ({"Cmd": ["x"]}, "e", "c", "ex"),
        ({"Entrypoint": ["x"]}, "e", "c", "x"),
        ({"Entrypoint": ["x"], "Cmd": ["y"]}, "e", "c", "xy"),
        ({}, "", "c", "c"),
        ({}, "", "", ""),
    ],
)
def test_what_runs_is_the_containers_or_else_the_images(
    own: dict[str, Any], entrypoint: str, arguments: str, runs: str
) -> None:
    assert spec.program(own, list(entrypoint), list(arguments)) == list(runs)


@pytest.mark.parametrize(
    ("told", "code", "out", "err"),
    [
        pytest.param(b"/bin/echo\0", 0, b"a b\n", b"", id="runs"),
        pytest.param(b"/no/such\0", 126, b"", b"could not be started", id="does not"),
        pytest.param(b"", 126, b"", b"could not be started", id="nobody says what"),
    ],
)
def test_the_program_that_waits_becomes_what_it_is_told(
    told: bytes, code: int, out: bytes, err: bytes, tmp_path: Path
) -> None:
    gates.make(tmp_path, ["echo"])
    start = tmp_path / "start"
    start.chmod(0o755)
    there = f"{gates.TARGET}/go".encode()
    start.write_bytes(start.read_bytes().replace(there, b"go".ljust(len(there), b"\0")))
    with subprocess.Popen(
        [start, "echo", "a", "b"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        (tmp_path / "go").write_bytes(told)  # opens when the other side has
        said, failed = process.communicate(timeout=small.PATIENCE)
    assert (process.returncode, said, failed) == (code, out, err)


def test_another_machines_program_is_not_taken_for_ours(tmp_path: Path) -> None:
    native = platform.machine()
    other = "aarch64" if native == "x86_64" else "x86_64"
    for machine, fits in ((native, True), (other, False)):
        path = tmp_path / machine
        path.write_bytes(pause.program(machine))
        path.chmod(0o755)
        if fits:
            gates._check(str(path), anyone=False, script=False)
        else:
            with pytest.raises(gates.UnusualError, match="another machine"):
                gates._check(str(path), anyone=False, script=False)


def test_an_elf_file_without_its_table_is_unusual(tmp_path: Path) -> None:
    whole = bytearray(pause.program(platform.machine()))
    struct.pack_into("<Q", whole, 32, 10**9)
    (tmp_path / "p").write_bytes(whole)
    (tmp_path / "p").chmod(0o755)
    with pytest.raises(gates.UnusualError, match="elsewhere"):
        gates._check(str(tmp_path / "p"), anyone=False, script=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives capabilities")
def test_a_program_with_capabilities_may_be_refused_by_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(pause.program(platform.machine()))
    path.chmod(0o755)
    gates._check(str(path), anyone=False, script=False)
    os.setxattr(path, "security.capability", struct.pack("<5I", 0x0200_0001, 1 << 12, 0, 0, 0))
    with pytest.raises(gates.UnusualError, match="capabilities"):
        gates._check(str(path), anyone=False, script=False)


def test_a_pipe_in_place_of_a_program_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    (tmp_path / "p").chmod(0o755)
    with pytest.raises(gates.UnusualError):
        gates._check(str(tmp_path / "p"), anyone=False, script=False)


def test_a_program_in_a_closed_folder_is_nothing_for_an_ordinary_user(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    path = closed / "p"
    path.write_bytes(pause.program(platform.machine()))
    path.chmod(0o755)
    gates._check(str(path), anyone=False, script=False)
    with pytest.raises(gates.UnusualError, match="not open to everybody"):
        gates._check(str(path), anyone=True, script=False)
