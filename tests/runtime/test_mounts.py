"""Which files somebody else may change without this machine's doing."""

import os
from pathlib import Path

import pytest

from tiltd.runtime import mounts

TABLE = r"""21 28 0:19 / /sys rw,relatime - sysfs sysfs rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 28 0:59 / /src/far rw,nosuid - fuse.sshfs me@there: rw,user_id=0
41 28 0:60 / /src/far\040away/x rw - nfs4 there:/x rw,vers=4.2
42 28 0:61 / /src/overlay rw - fuse.fuse-overlayfs fuse-overlayfs rw
43 28 8:1 / /src/disk rw - fuseblk /dev/sda1 rw
44 28 0:62 / /src/twice rw - tmpfs none rw
45 28 0:63 / /src/twice rw - 9p host rw
"""


@pytest.fixture
def mounted(tmp_path: Path) -> tuple[mounts.Mount, ...]:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    return mounts.read(str(table))


@pytest.mark.parametrize(
    ("path", "point", "distant"),
    [
        pytest.param("/src/app", "/", False, id="a disk"),
        pytest.param("/", "/", False, id="the root"),
        pytest.param("/src/far/app", "/src/far", True, id="FUSE"),
        pytest.param("/src/farther", "/", False, id="a name that begins alike"),
        pytest.param("/src/far away/x", "/src/far away/x", True, id="NFS, and a space"),
        pytest.param("/src/overlay/a", "/src/overlay", False, id="a rootless container's overlay"),
        pytest.param("/src/disk", "/src/disk", False, id="a foreign disk"),
        pytest.param("/src/twice/a", "/src/twice", True, id="the newest mount of two"),
    ],
)
def test_a_path_is_in_the_innermost_mount(
    mounted: tuple[mounts.Mount, ...],
    path: str,
    point: str,
    distant: bool,  # noqa: FBT001 - a column of the table
) -> None:
    found = mounts.holding(path, mounted)
    assert found is not None
    assert (found.point, found.distant) == (point, distant)


def test_mounts_in_a_folder(mounted: tuple[mounts.Mount, ...]) -> None:
    assert [m.point for m in mounts.below("/src/far away", mounted)] == ["/src/far away/x"]
    assert len(mounts.below("/", mounted)) == len(mounted) - 1


def test_where_the_system_does_not_tell_nothing_is_distant(tmp_path: Path) -> None:
    assert mounts.read(str(tmp_path / "none")) == ()


def test_this_machine_s_mounts_are_known_by_the_files_devices(tmp_path: Path) -> None:
    if not mounts.read():
        pytest.skip("this system does not tell its mounts")
    inside = mounts.holding(os.path.realpath(tmp_path), mounts.read())
    assert inside is not None
    assert inside.device == tmp_path.stat().st_dev
    assert tmp_path.stat().st_dev not in mounts.distant_devices()
