"""Up, down and the state in between.

`up` wipes what is left of a start that did not finish, or of another boot; of a cluster that is
complete it restarts the processes that died, in order, on the data that is there. The marker
`complete` in the state folder tells them apart.

`down` ends exactly what this package started: services by their pid files, containers by their
shims, which carry our containerd's socket in their arguments. Then it takes back mounts,
addresses and rules. The cache stays.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.realcluster import (
    addons,
    binaries,
    certs,
    console,
    control_plane,
    engine,
    network,
    node,
    packages,
    process,
    registry,
    settings,
)

_STOP_ORDER = (
    *(node.KUBELET, node.PROXY, control_plane.SCHEDULER, control_plane.CONTROLLERS),
    *(control_plane.RELAY, control_plane.APISERVER, control_plane.ETCD, node.CONTAINERD),
)
_KEPT = ("logs", "pids", "registry", "registry.yml", "engine-by-systemd")
"""What of the state folder is not the cluster's but the engine's and the registry's."""
_GRACE = 2.0
"""Seconds for a server to end by itself; short, because the data of all of them goes anyway."""
_CGROUPS = Path("/sys/fs/cgroup")
_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")


def up(folders: settings.Folders) -> None:
    """Have a cluster that is complete and ready.

    Raises:
        console.Failure: it can't be made; what failed, with the end of the log that tells why.
    """
    make_ready(folders)
    if is_up(folders):
        return
    if _marker(folders).exists() and _marker(folders).read_text() == process.boot_id():
        console.say("some processes of the cluster are gone: starting those again")
    else:
        remove(folders)
    packages.ensure(packages.NODE)
    archives = (binaries.pause_archive(folders), binaries.coredns_archive(folders))
    with console.step("start the cluster"):
        network.ensure()
        certs.ensure(folders)
        node.configure(folders)
        for service in control_plane.services(folders):
            process.ensure(folders, service)
        for service in node.services(folders):
            process.ensure(folders, service)
            if service.name == node.CONTAINERD:
                node.import_images(folders, *archives)
        addons.ensure(folders)
    _marker(folders).write_text(process.boot_id())


def make_ready(folders: settings.Folders) -> None:
    """Make the two folders.

    Raises:
        console.Failure: we are not root.
    """
    if os.geteuid() != 0:
        raise console.Failure(
            "a cluster of plain processes needs root (mounts, addresses, cgroups). Run as root, "
            "or point KUBECONFIG at a local cluster (kind, k3d, minikube …) and call this again."
        )
    folders.cache.mkdir(parents=True, exist_ok=True)
    folders.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    folders.state.chmod(0o700)


def is_up(folders: settings.Folders) -> bool:
    """Whether all processes run and the API server is ready: a tenth of a second."""
    return (
        _marker(folders).exists()
        and all(process.running(folders, name) for name in _STOP_ORDER)
        and control_plane.answers(f"{control_plane.API_URL}/readyz", folders.certs / "ca.crt")()
    )


def down(folders: settings.Folders) -> None:
    """End the cluster, then the registry and the engine if they were started here."""
    remove(folders)
    process.stop(folders, registry.NAME)
    engine.stop(folders)
    shutil.rmtree(folders.state, ignore_errors=True)


def remove(folders: settings.Folders) -> None:
    """End the cluster and take back all that it left on the machine."""
    _marker(folders).unlink(missing_ok=True)
    for name in _STOP_ORDER:
        process.stop(folders, name, grace=_GRACE)
    _remove_traces(folders)
    _end_containers(folders)
    _unmount(folders)
    _remove_cgroups()
    if packages.there("nft"):
        network.remove()
    for entry in folders.state.iterdir() if folders.state.is_dir() else ():
        if entry.name not in _KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def status(folders: settings.Folders) -> Mapping[str, int | None]:
    """Each process of ours that there can be, with its pid; None if it doesn't run."""
    return {
        name: identity.pid if (identity := process.running(folders, name)) else None
        for name in (*_STOP_ORDER, registry.NAME, engine.NAME)
    }


def _marker(folders: settings.Folders) -> Path:
    return folders.state / "complete"


def _end_containers(folders: settings.Folders) -> None:
    """Kill our shims and every process below them; containers outlive containerd by design."""
    parents = {pid: parent for pid, parent, _ in _processes()}
    address = str(folders.containerd_socket)
    shims = {
        pid
        for pid, _, argv in _processes()
        if argv and argv[0].endswith("containerd-shim-runc-v2") and address in argv
    }
    doomed = [pid for pid in parents if _has_ancestor(pid, shims, parents)]
    identities = [process.identify(pid) for pid in [*sorted(shims), *doomed]]
    for identity in identities:
        if identity is not None:
            process.end(identity, grace=0)


def _processes() -> Iterator[tuple[int, int, Sequence[str]]]:
    """Each process: its pid, its parent's pid, its arguments."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            argv = (folder / "cmdline").read_text(errors="replace").split("\0")
            yield int(folder.name), int(stat[1]), argv


def _has_ancestor(pid: int, wanted: set[int], parents: dict[int, int]) -> bool:
    parent = parents.get(pid, 0)
    return parent > 0 and (parent in wanted or _has_ancestor(parent, wanted, parents))


def _remove_traces(folders: settings.Folders) -> None:
    """Remove what containerd, CNI and kubelet leave in places that no option of theirs moves.

    Shim sockets are named after a hash of containerd's address, namespace and the pod's id; CNI
    results after the pod's id; empty folders were kubelet's or CNI's, and are made anew when
    needed.
    """
    pods = folders.state / "containerd-run" / "io.containerd.grpc.v1.cri" / "sandboxes"
    for pod in pods.glob("*"):
        address = folders.containerd_socket / "k8s.io" / pod.name
        digest = hashlib.sha256(str(address).encode()).hexdigest()
        (_SHIM_SOCKETS / digest).unlink(missing_ok=True)
        for result in _CNI_RESULTS.glob(f"*-{pod.name}-*"):
            result.unlink()
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{folders.state}/"):
            link.unlink()
    (_DEVICE_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for empty in (
        _CONTAINER_LOGS,
        _CNI_RESULTS,
        _CNI_RESULTS.parent,
        _DEVICE_PLUGINS,
        _DEVICE_PLUGINS.parent,
    ):
        with contextlib.suppress(OSError):
            empty.rmdir()


def _unmount(folders: settings.Folders) -> None:
    """Unmount all below the state folder, the innermost first."""
    inside = f"{folders.state}/"
    mounts = [
        line.split()[1].encode().decode("unicode_escape")
        for line in Path("/proc/self/mounts").read_text().splitlines()
    ]
    for mount in sorted((m for m in mounts if m.startswith(inside)), reverse=True):
        process.run("umount", "--lazy", mount)


def _remove_cgroups() -> None:
    """Remove the groups of pods: kubelet leaves them, empty by now, in every hierarchy."""
    for top in [*_CGROUPS.glob("kubepods"), *_CGROUPS.glob("*/kubepods")]:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
