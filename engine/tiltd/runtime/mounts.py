"""File systems whose files somebody else may change: network ones, and folders shared with a host.

Two things that hold elsewhere don't hold there.  The kernel tells of no change that was made on the
other side (inotify(7), "Limitations"), so who watches must look.  And times are given by another
clock, perhaps in whole seconds, so that a file may have changed a moment ago and seem to be old.

FUSE says nothing about what is behind it, so all of it counts, but for what rootless containers
have for their overlays.  Only Linux tells (proc_pid_mountinfo(5)); elsewhere nothing counts.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TABLE = "/proc/self/mountinfo"
_TYPES = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"),
        *("ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    }
)
_LOCAL = frozenset({"fuse.fuse-overlayfs"})
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system is.

    Args:
        point: absolute.
        device: as in a file's `st_dev`.
        type: the kernel's word for it, as `nfs4` or `fuse.sshfs`.
    """

    point: str
    device: int
    type: str

    @property
    def distant(self) -> bool:
        """Whether its files may change without this machine's doing."""
        return self.type.partition(".")[0] in _TYPES and self.type not in _LOCAL


def read(table: str = _TABLE) -> tuple[Mount, ...]:
    """All mounts, as they were made; none where the system doesn't tell."""
    try:
        text = Path(table).read_text(errors="surrogateescape")
    except OSError:
        return ()
    return tuple(_parse(line) for line in text.splitlines())


def distant_devices() -> frozenset[int]:
    """The devices of distant file systems, as in `st_dev`."""
    return frozenset(mount.device for mount in read() if mount.distant)


def holding(path: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount that a real, absolute path is in."""
    over = [m for m in mounts if path == m.point or path.startswith(m.point.rstrip("/") + "/")]
    return max(reversed(over), key=lambda m: len(m.point), default=None)


def below(folder: str, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """The mounts that are somewhere in a folder."""
    inside = folder.rstrip("/") + "/"
    return tuple(m for m in mounts if m.point.startswith(inside) and m.point != folder)


def _parse(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    _, _, device, _, point, *_ = before.split(" ")
    major, _, minor = device.partition(":")
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), point)
    return Mount(plain, os.makedev(int(major), int(minor)), after.split(" ")[0])
