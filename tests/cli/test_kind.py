"""Kind clusters with a registry: what `kind` and `docker` are asked for, and what is left.

Both programs are played by scripts that note their arguments and what they read: a node's image
can't be had from a package registry.  What they accept and print is what kind 0.30 does.
"""

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Place

KIND = """\
#!/bin/sh
echo "kind $*" >> "$PLAYED/asked"
case "$1 $2" in
"get clusters") ls "$PLAYED/clusters" ;;
"get nodes") echo "$4-control-plane" ;;
"version "*) echo "kind ${KIND_VERSION:-v0.30.0} go1.24.6 linux/amd64" ;;
"create cluster")
    cat > "$PLAYED/config"
    if test -e "$PLAYED/refuses"; then echo "ERROR: failed to pull image" >&2; exit 1; fi
    touch "$PLAYED/clusters/$4"
    if test -e "$PLAYED/blocks"; then
        echo $$ > "$PLAYED/pid"
        echo > "$PLAYED/blocks"
        exec sleep 100
    fi
    echo "{}" > "$8" ;;
"delete cluster")
    if test -e "$PLAYED/stays"; then echo "ERROR: it stays" >&2; exit 1; fi
    rm -f "$PLAYED/clusters/$4" ;;
esac
"""
DOCKER = """\
#!/bin/sh
echo "docker $*" >> "$PLAYED/asked"
case "$1 $2" in
"port "*) echo "127.0.0.1:32768" ;;
"exec -i") cat > "$PLAYED/$4" ;;
"rm --force") echo "Error: No such container: $4" >&2; exit 1 ;;
esac
"""


class Played:
    """The two programs, and what has become of them."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.folder, self.place = folder, place
        programs = folder / "programs"
        (folder / "clusters").mkdir(parents=True)
        programs.mkdir()
        for name, script in (("kind", KIND), ("docker", DOCKER)):
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        place.env["PATH"] = f"{programs}{os.pathsep}{place.env['PATH']}"
        place.env["PLAYED"] = str(folder)
        place.env["XDG_STATE_HOME"] = str(folder / "state")

    @property
    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def begins(self, words: str) -> list[str]:
        return [line for line in self.asked if line.startswith(words)]

    @property
    def clusters(self) -> list[str]:
        return sorted(one.name for one in (self.folder / "clusters").iterdir())

    @property
    def homes(self) -> list[str]:
        root = self.folder / "state" / "tilt-kind"
        return sorted(one.name for one in root.iterdir()) if root.exists() else []

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def played(place: Place, tmp_path: Path) -> Played:
    return Played(place, tmp_path / "played")


def test_a_run_has_a_kind_cluster_with_a_registry_and_leaves_nothing(
    place: Place, played: Played
) -> None:
    place.script("healthy")
    done = place.run("ci", "--cluster", "kind")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "is up in" in line)
    name = line.split()[2]
    home = played.folder / "state" / "tilt-kind" / name
    registry = f"tilt-{name}-registry"
    folder = "/etc/containerd/certs.d/localhost:32768"
    node = f"{name}-control-plane"
    asked = [line for line in played.asked if not line.startswith(("kind get", "kind version"))]
    assert asked == [
        f"kind create cluster --name {name} --wait 3m --kubeconfig {home}/kubeconfig --config -",
        (
            f"docker run --detach --name {registry} --network kind --publish 127.0.0.1::5000"
            f" --label dev.tilt.cluster={name} --restart unless-stopped registry:2"
        ),
        f"docker port {registry} 5000/tcp",
        f"docker exec {node} mkdir -p {folder}",
        f"docker exec -i {node} cp /dev/stdin {folder}/hosts.toml",
        f"docker exec -i {node} kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --filename=-",
        f"kind delete cluster --name {name} --kubeconfig {home}/kubeconfig",
        f"docker rm --force --volumes {registry}",
    ]
    assert played.read("config") == "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
    assert played.read("cp") == f'[host."http://{registry}:5000"]\n'
    assert '"localRegistryHosting.v1": "host: \\"localhost:32768\\"' in played.read("kubectl")
    assert (played.clusters, played.homes) == ([], [])


def test_an_old_kind_is_told_where_its_nodes_find_the_registry(
    place: Place, played: Played
) -> None:
    place.env["KIND_VERSION"] = "v0.26.0"
    assert place.run("cluster", "up", "--kind").returncode == 0
    assert 'config_path = "/etc/containerd/certs.d"' in played.read("config")


def test_without_kind_it_is_said_what_to_do(place: Place) -> None:
    place.env["PATH"] = str(Path(sys.executable).parent)
    done = place.run("ci", "--cluster", "kind")
    assert done.returncode == 1
    assert "there is no kind on PATH" in done.stderr
    assert "--cluster embedded" in done.stderr
    assert place.starts() == []


def test_a_cluster_that_cannot_be_made_says_why_and_leaves_nothing(
    place: Place, played: Played
) -> None:
    (played.folder / "refuses").touch()
    done = place.run("ci", "--cluster", "kind")
    assert done.returncode == 1
    assert "kind create cluster failed with exit code 1" in done.stderr
    assert "ERROR: failed to pull image" in done.stderr
    assert played.homes == []
    assert place.starts() == []


def test_what_stays_of_a_run_is_said_and_goes_at_the_next(place: Place, played: Played) -> None:
    place.script("healthy")
    (played.folder / "stays").touch()
    done = place.run("ci", "--cluster", "kind")
    assert done.returncode == 0, done.stderr
    (name,) = played.clusters
    assert f"tilt-client cluster down --kind --name {name}" in done.stdout
    (played.folder / "stays").unlink()
    assert place.run("cluster", "up", "--kind", "--name", "other").returncode == 0
    assert (played.clusters, played.homes) == (["other"], ["other"])


@pytest.mark.parametrize(
    ("number", "left"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)]
)
def test_a_run_that_is_ended_while_its_cluster_is_made_leaves_it_at_most_until_the_next(
    place: Place, played: Played, number: signal.Signals, left: int
) -> None:
    blocks = played.folder / "blocks"
    os.mkfifo(blocks)
    with place.popen("ci", "--cluster", "kind") as process:
        blocks.read_text()
        blocks.unlink()
        process.send_signal(number)
        process.wait(60)
        assert len(played.homes) == len(played.clusters) == left
        if number != signal.SIGKILL:
            assert process.returncode == 130
    place.run("cluster", "up", "--kind", "--name", "next")
    assert len(played.homes) == left + 1, "what kind is still making is left alone"
    _kill(int(played.read("pid")))
    place.run("cluster", "up", "--kind", "--name", "other")
    assert played.clusters == played.homes == ["next", "other"]


def _kill(pid: int) -> None:
    """End a process that is nobody's child any more, if it is there."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(ended, signal.SIGKILL)
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)


def test_a_cluster_stays_until_it_is_taken_down(place: Place, played: Played) -> None:
    done = place.run("cluster", "up", "--kind")
    assert done.returncode == 0, done.stderr
    kubeconfig = done.stdout.splitlines()[-1].removeprefix("export KUBECONFIG=")
    again = place.run("cluster", "up", "--kind").stdout.splitlines()
    assert again == ["kind cluster tilt runs already", f"export KUBECONFIG={kubeconfig}"]
    assert len(played.begins("kind create")) == 1
    assert place.run("cluster", "kubeconfig", "--kind").stdout == f"{kubeconfig}\n"
    assert "context     kind-tilt\n" in place.run("cluster", "status", "--kind").stdout
    assert place.run("cluster", "list", "--kind").stdout == f"{'tilt':<20}kept\n"

    assert place.run("cluster", "down", "--kind").stdout == "kind cluster tilt is gone\n"
    assert (played.clusters, played.homes) == ([], [])
    assert place.run("cluster", "status", "--kind").returncode == 1
    assert place.run("cluster", "down", "--kind").stdout == "kind cluster tilt is not there\n"


def test_a_cluster_that_was_made_by_somebody_else_is_never_touched(
    place: Place, played: Played
) -> None:
    (played.folder / "clusters" / "mine").touch()
    done = place.run("cluster", "up", "--kind", "--name", "mine")
    assert done.returncode == 1
    assert "a kind cluster mine that was not made here" in done.stderr
    assert place.run("cluster", "down", "--kind", "--name", "mine").returncode == 0
    assert place.run("cluster", "up", "--kind", "--name", "other").returncode == 0
    assert played.clusters == ["mine", "other"]
    assert played.begins("kind delete") == []


def test_a_cluster_that_somebody_has_deleted_is_made_again(place: Place, played: Played) -> None:
    assert place.run("cluster", "up", "--kind").returncode == 0
    (played.folder / "clusters" / "tilt").unlink()
    assert place.run("cluster", "kubeconfig", "--kind").returncode == 1
    assert place.run("cluster", "up", "--kind").returncode == 0
    assert played.clusters == ["tilt"]
    assert len(played.begins("docker rm")) == 1


@pytest.mark.parametrize("name", ["Up", "a/b", "..", "a" * 33])
def test_a_name_that_is_none_is_refused(place: Place, played: Played, name: str) -> None:
    done = place.run("cluster", "up", "--kind", f"--name={name}")
    assert done.returncode == 2
    assert "a kind cluster can't be called" in done.stderr
    assert played.asked == []
