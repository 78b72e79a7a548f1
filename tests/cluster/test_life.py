"""Clusters by their names: `up`, `down`, and what a killed one leaves for the next start."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tilt_cluster import engine, homes

PATIENCE = 30.0
BUSYBOX = "localhost:5000/base/busybox:1"


@dataclass
class Clusters:
    """The command line, with a folder for homes of its own, and no Engine unless it is given."""

    env: dict[str, str]
    root: Path

    def popen(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tilt_cluster", *words],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def do(self, *words: str) -> tuple[int, str]:
        with self.popen(*words) as process:
            out, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, out

    def process(self, name: str) -> int:
        return homes.process(homes.Home(name, self.root / name))

    def kill(self, name: str) -> None:
        with self.watched(name) as ended:
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            assert select.select([ended], [], [], PATIENCE)[0]

    @contextlib.contextmanager
    def watched(self, name: str) -> Generator[int]:
        """A descriptor that can be read once the cluster's process has ended."""
        handle = os.pidfd_open(self.process(name))
        yield handle
        os.close(handle)

    @property
    def folders(self) -> list[str]:
        return sorted(one.name for one in self.root.iterdir()) if self.root.exists() else []


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none"}
    made = Clusters(env, tmp_path / "tilt-cluster")
    yield made
    for name in made.folders:
        if pid := made.process(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _answers(kubeconfig: str) -> bool:
    server: str = json.loads(Path(kubeconfig).read_text())["clusters"][0]["cluster"]["server"]
    where = urlsplit(server)
    with (
        contextlib.suppress(ConnectionRefusedError),
        socket.create_connection((where.hostname or "", where.port or 0), timeout=5),
    ):
        return True
    return False


def test_a_cluster_is_up_until_it_is_taken_down_and_leaves_nothing(clusters: Clusters) -> None:
    code, said = clusters.do("up", "--name", "one")
    assert code == 0, said
    kubeconfig = said.splitlines()[-1].removeprefix("export KUBECONFIG=")
    assert clusters.do("kubeconfig", "--name", "one") == (0, f"{kubeconfig}\n")
    assert _answers(kubeconfig)
    pid = clusters.process("one")

    code, again = clusters.do("up", "--name", "one")
    assert (code, again.splitlines()[-1]) == (0, said.splitlines()[-1])
    assert f"runs already (process {pid})" in again
    code, status = clusters.do("status", "--name", "one")
    assert code == 0
    assert f"process     {pid}\n" in status
    assert clusters.do("list")[1].splitlines()[0] == f"{'one':<20}runs (process {pid})"

    with clusters.watched("one") as ended:
        assert clusters.do("down", "--name", "one") == (0, 'cluster "one" is gone\n')
        assert select.select([ended], [], [], PATIENCE)[0]
    assert clusters.folders == []
    assert clusters.do("status", "--name", "one") == (1, 'cluster "one" does not run\n')
    assert clusters.do("kubeconfig", "--name", "one")[0] == 1
    assert clusters.do("down", "--name", "one") == (0, 'cluster "one" is not there\n')


def test_a_cluster_for_a_while_ends_with_its_standard_input(clusters: Clusters) -> None:
    with clusters.popen("run", "--while-stdin", "--log", "--name", "brief") as process:
        assert process.stdin
        assert process.stdout
        assert 'cluster "brief" answers' in next(process.stdout)
        said = next(process.stdout)
        where = clusters.env["DOCKER_HOST"].removeprefix("unix://")
        assert said == (
            f"missing: a container runtime: there is no Docker Engine at {where}; the API works, "
            "and pods stay Pending\n"
        )
        kubeconfig = next(process.stdout).strip().removeprefix("export KUBECONFIG=")
        assert _answers(kubeconfig)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == "", "it has been told to say nothing more"
    assert clusters.folders == []


@pytest.mark.parametrize("next_name", ["killed", "other"])
def test_the_next_start_removes_what_a_killed_cluster_has_left(
    clusters: Clusters, next_name: str
) -> None:
    assert clusters.do("up", "--name", "killed")[0] == 0
    old = (clusters.root / "killed" / "access.json").read_text()
    clusters.kill("killed")
    assert clusters.do("status", "--name", "killed")[0] == 1
    assert "left behind" in clusters.do("list")[1]

    assert clusters.do("up", "--name", next_name)[0] == 0
    assert clusters.folders == [next_name]
    assert (clusters.root / next_name / "access.json").read_text() != old
    assert clusters.do("down", "--name", next_name)[0] == 0
    assert clusters.folders == []


def test_down_removes_what_a_killed_cluster_has_left(clusters: Clusters) -> None:
    assert clusters.do("up", "--name", "killed")[0] == 0
    clusters.kill("killed")
    assert clusters.do("down", "--name", "killed") == (0, 'cluster "killed" is gone\n')
    assert clusters.folders == []


def test_two_starts_of_one_name_make_one_cluster(clusters: Clusters) -> None:
    with clusters.popen("run", "--name", "one") as first:
        assert first.stdout
        next(first.stdout)
        code, said = clusters.do("run", "--name", "one")
        assert code == 1
        assert f"the cluster one runs already (process {first.pid})" in said
        first.terminate()
        assert first.wait(PATIENCE) == 0
    assert clusters.folders == []


@pytest.mark.parametrize("name", ["", "Up", "a/b", "..", "-a", "a" * 41])
def test_a_name_that_is_none_is_refused(clusters: Clusters, name: str) -> None:
    code, said = clusters.do("up", f"--name={name}")
    assert code == 1
    assert "a cluster can't be called" in said
    assert clusters.folders == []


def test_a_folder_that_cannot_be_written_is_said(clusters: Clusters) -> None:
    clusters.root.write_text("a file where the folder should be")
    code, said = clusters.do("up", "--name", "one")
    assert code == 1
    assert said.startswith("tilt-cluster: ")
    assert str(clusters.root) in said
    assert "Traceback" not in said
    clusters.root.unlink()


@pytest.mark.docker
def test_containers_of_a_killed_cluster_go_at_the_next_start(
    clusters: Clusters, docker_engine: str
) -> None:
    del clusters.env["DOCKER_HOST"]
    name = f"killed-{os.getpid()}"
    code, said = clusters.do("up", "--name", name)
    assert code == 0, said
    try:
        kubeconfig = said.splitlines()[-1].removeprefix("export KUBECONFIG=")
        env = {**clusters.env, "KUBECONFIG": kubeconfig}
        pod = ("run", "a", f"--image={BUSYBOX}", "--restart=Never", "--", "sleep", "1000")
        subprocess.run(["kubectl", *pod], env=env, check=True, capture_output=True)
        wait = ("wait", "--for=condition=Ready", "pod/a", "--timeout=20s")
        subprocess.run(["kubectl", *wait], env=env, check=True, capture_output=True)
        assert len(_containers(docker_engine, name)) == 1
        clusters.kill(name)
        assert len(_containers(docker_engine, name)) == 1

        other = f"other-{os.getpid()}"
        assert clusters.do("up", "--name", other)[0] == 0
        assert _containers(docker_engine, name) == []
        assert _networks(docker_engine, name) == []
        assert clusters.do("down", "--name", other)[0] == 0
        assert _networks(docker_engine, other) == []
        assert clusters.folders == []
    finally:
        clusters.do("down", "--name", name)


def _containers(docker: str, name: str) -> list[str]:
    return _listed(docker, "ps", "--all", name)


def _networks(docker: str, name: str) -> list[str]:
    return _listed(docker, "network", "ls", name)


def _listed(docker: str, *words: str) -> list[str]:
    *command, name = words
    label = f"label={engine.CLUSTER_LABEL}={name}"
    asked = [docker, *command, "--quiet", "--filter", label]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()


def test_the_next_start_removes_the_files_of_a_killed_one_in_the_foreground(
    clusters: Clusters, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    clusters.env["TMPDIR"] = str(temporary)
    (temporary / "tilt-cluster-other").mkdir()  # not made by a cluster: it has no lock

    for flags, folder in ((["--no-node"], temporary), ([], clusters.root)):
        for killed in (True, False):
            with clusters.popen(*flags, "--name", "one") as process:
                assert process.stdout
                assert 'cluster "one" answers' in next(process.stdout)
                made = [one for one in folder.iterdir() if one.name != "tilt-cluster-other"]
                assert len(made) == 1, "what was there of a killed one is gone"
                if killed:
                    process.kill()
                else:
                    process.terminate()
                process.wait(PATIENCE)
            assert made[0].exists() is killed
    assert clusters.folders == []
    assert [one.name for one in temporary.iterdir()] == ["tilt-cluster-other"]


def test_a_cluster_in_the_foreground_has_its_name_and_its_data_for_itself(
    clusters: Clusters, tmp_path: Path
) -> None:
    data = ("--no-node", "--data", str(tmp_path / "data"))
    ways: tuple[tuple[str, ...], ...] = ((), data)
    for flags in ways:
        with clusters.popen(*flags, "--name", "one") as first:
            assert first.stdout
            next(first.stdout)
            code, said = clusters.do(*flags, "--name", "one")
            assert code == 1
            assert said == (f"tilt-cluster: the cluster one runs already (process {first.pid})\n")
            first.terminate()
            assert first.wait(PATIENCE) == 0
    assert clusters.folders == []
