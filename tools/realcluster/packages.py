"""Programs that come with Debian: installed only when the program itself is missing."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.realcluster import console, process

ENGINE: Mapping[str, str] = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "iptables": "iptables",
    "nft": "nftables",  # Services of embedded clusters, whose nodes are this engine
}
REGISTRY: Mapping[str, str] = {"docker-registry": "docker-registry"}
NODE: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "mount": "mount",
    "openssl": "openssl",
}
BUSYBOX: Mapping[str, str] = {"/bin/busybox": "busybox-static"}
DEBOOTSTRAP: Mapping[str, str] = {"debootstrap": "debootstrap"}


def ensure(programs: Mapping[str, str]) -> None:
    """Install the packages of those programs that are not there.

    Args:
        programs: a program's name on PATH, or its absolute path, and the package that has it.

    Raises:
        console.Failure: programs are missing and this is no Debian, or we are not root.
    """
    missing = [name for name in programs if not there(name)]
    if not missing:
        return
    wanted = sorted({programs[name] for name in missing})
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise console.Failure(
            f"missing: {', '.join(missing)}. As root on Debian these would be installed from "
            f"{', '.join(wanted)}; here, install them yourself and call this again."
        )
    install(*wanted)


def install(*names: str) -> None:
    """Install Debian packages; the list of packages is fetched only if it is missing or old."""
    with console.step(f"apt-get install {' '.join(names)}"):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        # A fresh machine may be busy with its own upgrades.
        patient = ("-o", "DPkg::Lock::Timeout=120")
        command = ("apt-get", "install", "-y", "--no-install-recommends", *patient, *names)
        try:
            process.run(*command, env=env)
        except console.Failure:
            # No list of packages yet, or an old one that names versions which are gone.
            process.run("apt-get", "update", env=env)
            process.run(*command, env=env)


def there(program: str) -> bool:
    """Whether the program is on PATH (or at its absolute path), sbin folders included."""
    if program.startswith("/"):
        return Path(program).exists()
    return find(program) is not None


def find(program: str) -> str | None:
    """The program's path; sbin folders are searched too, which a user's PATH may lack."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)
