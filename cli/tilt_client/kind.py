"""A kind cluster with a registry beside it: for one run, or one that stays.

    $XDG_STATE_HOME/tilt-kind/NAME/   lock · begun · kubeconfig · kept

`kind` makes the nodes, `docker` the registry, as kind's page "Local Registry" describes it: the
registry joins the nodes' network, a file on each node tells containerd that it is what the host
knows as `localhost:PORT`, and a ConfigMap tells clients (KEP-1755).  kubectl is asked for on the
node, which has one.  Nodes carry kind's label `io.x-k8s.kind.cluster=NAME`, the registry carries
ours as well.

A cluster for a run is locked for as long as the run lasts, and while `kind create` does, which may
outlive whoever has started it.  A folder without `kept` whose lock is
free is what a killed run has left; the next start removes it, and its cluster.  A cluster of that
name that was not made here is never touched: only `begun` says that it was.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tilt_client.complaint import Complaint, Exit

DEFAULT = "tilt"
_LABEL = "dev.tilt.cluster"
_REGISTRY_IMAGE = "registry:2"
_REGISTRY_PORT = 5000
_READY = "3m"
_CERTS = "/etc/containerd/certs.d"
_KNOWS_CERTS = (0, 27)
"""From this version on, nodes look into that folder unasked."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Home(NamedTuple):
    """The folder of one cluster."""

    name: str
    folder: Path

    @property
    def lock(self) -> Path:
        """Held by whoever makes or removes it, or runs on it."""
        return self.folder / "lock"

    @property
    def kubeconfig(self) -> Path:
        """With which clients reach it."""
        return self.folder / "kubeconfig"

    @property
    def begun(self) -> Path:
        """There if kind has been asked, by us, to make it."""
        return self.folder / "begun"

    @property
    def kept(self) -> Path:
        """There if it outlives who made it."""
        return self.folder / "kept"

    @property
    def registry(self) -> str:
        """The name of the registry's container."""
        return f"tilt-{self.name}-registry"


def home(name: str) -> Home:
    """The home of the cluster of that name, whether it exists or not.

    Raises:
        Complaint: no cluster can be called so.
    """
    if not _NAME.fullmatch(name):
        hint = "lower case letters, digits and dashes; 32 characters at most"
        raise Complaint(f"a kind cluster can't be called {name!r}", hint, code=Exit.USAGE)
    return Home(name, _root() / name)


def known() -> Sequence[Home]:
    """All homes that there are."""
    root = _root()
    found = sorted(one.name for one in root.iterdir()) if root.is_dir() else []
    return [Home(name, root / name) for name in found if _NAME.fullmatch(name)]


@contextlib.contextmanager
def passing(say: Callable[[str], None]) -> Generator[None]:
    """Have a cluster, and `KUBECONFIG` name it, for as long as the block lasts.

    Args:
        say: told, in a line, that one is being made, and another when it is there.

    Raises:
        Complaint: kind or docker are missing, or it can't be made.
    """
    require()
    here, before = home(f"ci-{os.urandom(3).hex()}"), os.environ.get("KUBECONFIG")
    with _signals_raise(), locked(here) as held:
        sweep()
        began = time.monotonic()
        say(f"Making kind cluster {here.name} for this run")
        try:
            make(here, held)
            say(f"Kind cluster {here.name} is up in {time.monotonic() - began:.1f}s")
            os.environ["KUBECONFIG"] = str(here.kubeconfig)
            yield
        finally:
            os.environ.pop("KUBECONFIG", None)
            if before is not None:
                os.environ["KUBECONFIG"] = before
            _end(here, say)


def require() -> None:
    """Make sure that there is what kind clusters are made with.

    Raises:
        Complaint: there is not.
    """
    for program, hint in (
        ("kind", "install it (https://kind.sigs.k8s.io), or do without: --cluster embedded"),
        ("docker", "install the docker command line, which kind needs too"),
    ):
        if shutil.which(program) is None:
            raise Complaint(f"there is no {program} on PATH", hint)


def exists(here: Home) -> bool:
    """Whether it was made here, and kind knows it."""
    return here.kept.exists() and _is_known(here)


def make(here: Home, held: int) -> None:
    """Make the cluster and its registry.

    Args:
        here: its home.
        held: what `locked` yields.

    Raises:
        Complaint: kind or docker refuse; `remove` takes away what is there by then.
    """
    if _is_known(here):
        hint = f"another name; or remove it: kind delete cluster --name {here.name}"
        raise Complaint(f"there is a kind cluster {here.name} that was not made here", hint)
    here.begun.touch()
    create = ("kind", "create", "cluster", "--name", here.name, "--wait", _READY)
    where = ("--kubeconfig", str(here.kubeconfig), "--config", "-")
    _do(*create, *where, given=_config(), inherit=(held,))
    port = _registry(here)
    nodes = _do("kind", "get", "nodes", "--name", here.name).split()
    folder = f"{_CERTS}/localhost:{port}"
    hosts = f'[host."http://{here.registry}:{_REGISTRY_PORT}"]\n'
    for node in nodes:
        _do("docker", "exec", node, "mkdir", "-p", folder)
        _do("docker", "exec", "-i", node, "cp", "/dev/stdin", f"{folder}/hosts.toml", given=hosts)
    leader = next(node for node in nodes if node.endswith("-control-plane"))
    kubectl = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "--filename=-")
    _do("docker", "exec", "-i", leader, *kubectl, given=_announcement(port))


def remove(here: Home) -> None:
    """Remove the cluster, its registry and its home; what isn't there is no error.

    Raises:
        Complaint: something stays; the home does too, for the next time.
    """
    if here.begun.exists():
        where = ("--name", here.name, "--kubeconfig", str(here.kubeconfig))
        _do("kind", "delete", "cluster", *where)
        try:
            _do("docker", "rm", "--force", "--volumes", here.registry)
        except Complaint as complaint:
            if "No such container" not in complaint.detail:
                raise
    shutil.rmtree(here.folder, ignore_errors=True)


@contextlib.contextmanager
def locked(here: Home) -> Generator[int]:
    """Be the only one who makes, uses or removes it.

    Yields:
        A descriptor: the lock is held until all processes that have it have closed it.

    Raises:
        Complaint: somebody else does.
    """
    handle = _lock(here)
    if handle is None:
        raise Complaint(f"another process is busy with the kind cluster {here.name}", "try again")
    try:
        yield handle
    finally:
        os.close(handle)


def sweep() -> None:
    """Remove what killed runs have left; what can't be removed now stays for the next time."""
    for one in known():
        if one.kept.exists():
            continue
        handle = _lock(one)
        if handle is not None:
            with contextlib.suppress(Complaint):
                remove(one)
            os.close(handle)


def _end(here: Home, say: Callable[[str], None]) -> None:
    try:
        remove(here)
    except Complaint as complaint:
        hint = f"tilt-client cluster down --kind --name {here.name}"
        say(f"something of the kind cluster stays: {complaint.args[0]}; {hint}")


def _is_known(here: Home) -> bool:
    return here.name in _do("kind", "get", "clusters").split()


def _root() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return state / "tilt-kind"


def _lock(here: Home) -> int | None:
    """A descriptor that holds the lock; None: somebody else does."""
    while True:
        try:
            here.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(here.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # it is just being removed
        except OSError as error:
            raise Complaint(f"{here.folder} can't be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), here.lock.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass  # removed between our opening and locking it
        os.close(handle)


def _config() -> str:
    text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
    version = re.search(r"v(\d+)\.(\d+)", _do("kind", "version"))
    if version and (int(version[1]), int(version[2])) < _KNOWS_CERTS:
        plugin = '[plugins."io.containerd.grpc.v1.cri".registry]'
        text += f'containerdConfigPatches:\n- |-\n  {plugin}\n    config_path = "{_CERTS}"\n'
    return text


def _registry(here: Home) -> int:
    """Start the registry in the nodes' network; its port on this machine's loopback."""
    labels = ("--label", f"{_LABEL}={here.name}", "--restart", "unless-stopped")
    publish = ("--publish", f"127.0.0.1::{_REGISTRY_PORT}")
    place = ("--name", here.registry, "--network", "kind", *publish)
    _do("docker", "run", "--detach", *place, *labels, _REGISTRY_IMAGE)
    told = _do("docker", "port", here.registry, f"{_REGISTRY_PORT}/tcp")
    return int(told.splitlines()[0].rpartition(":")[2])


def _announcement(port: int) -> str:
    hosting = (
        f'host: "localhost:{port}"\nhelp: "https://kind.sigs.k8s.io/docs/user/local-registry/"\n'
    )
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
            "data": {"localRegistryHosting.v1": hosting},
        }
    )


def _do(*command: str, given: str = "", inherit: Sequence[int] = ()) -> str:
    """Run one of the two programs; its output.

    Raises:
        Complaint: it fails, with what it said.
    """
    try:
        done = subprocess.run(  # noqa: S603 - kind and docker
            command,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
            pass_fds=inherit,
        )
    except OSError as error:
        raise Complaint(f"{command[0]} can't be run: {error.strerror}") from error
    if done.returncode:
        what = f"{' '.join(command[:3])} failed with exit code {done.returncode}"
        raise Complaint(what, detail=(done.stderr or done.stdout).strip())
    return done.stdout


@contextlib.contextmanager
def _signals_raise() -> Generator[None]:
    """Whoever is asked to end removes the cluster first, as after Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
