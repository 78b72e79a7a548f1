"""Where a daemon listens, and whom it trusts."""

import os
import stat
from pathlib import Path

import pytest

from tilt_api import address


def own(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_two_ways_to_one_folder_lead_to_one_daemon(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    first = address.project_dir(str(real / "Tiltfile"))
    second = address.project_dir(str(tmp_path / "link" / "Tiltfile"))
    assert first == second
    assert address.project_dir(f"{real}/../Tiltfile") != first


def test_a_linked_tiltfile_belongs_to_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    project = tmp_path / "project"
    project.mkdir()
    (project / "Tiltfile").symlink_to(tmp_path / "elsewhere")
    assert address.project_dir(str(project / "Tiltfile")) == str(project.resolve())


def test_all_files_lie_in_one_folder_of_the_users_runtime_folder() -> None:
    runtime = Path("/tmp")  # noqa: S108 - short, and nothing is made there
    if runtime.stat().st_uid != os.getuid():
        pytest.skip("needs a runtime folder of one's own with a short path")
    home = address.home("/src/shop", {"XDG_RUNTIME_DIR": str(runtime)})
    assert home.root == "/tmp/tiltd"  # noqa: S108 - the expected value
    assert home.address == address.Unix(f"{home.folder}/tiltd.sock")
    assert {str(Path(p).parent) for p in (home.log, home.lock, home.start_lock)} == {home.folder}
    assert home != address.home("/src/other", {"XDG_RUNTIME_DIR": str(runtime)})


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("", id="not set"),
        pytest.param("run/user", id="relative"),
        pytest.param("/no/such/folder", id="missing"),
        pytest.param("/proc/1" if os.getuid() else "/etc/passwd", id="not ours or no folder"),
    ],
)
def test_without_a_usable_runtime_folder_it_is_in_tmp(runtime: str) -> None:
    home = address.home("/src/shop", {"XDG_RUNTIME_DIR": runtime})
    assert home.root == f"/tmp/tiltd-{os.getuid()}"  # noqa: S108 - the expected value


def test_a_runtime_folder_too_long_for_a_socket_is_not_used(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    home = address.home("/src/shop", own(deep))
    assert isinstance(home.address, address.Unix)
    assert len(os.fsencode(home.address.path)) <= address.LONGEST_PATH


def test_the_environment_moves_the_socket_and_not_the_lock() -> None:
    moved = address.home("/src/shop", {address.ENVIRONMENT: "unix:///run/x.sock"})
    usual = address.home("/src/shop", {})
    assert moved.address == address.Unix("/run/x.sock")
    assert moved._replace(address=usual.address) == usual


@pytest.mark.parametrize(
    ("text", "parsed", "grpc"),
    [
        ("unix:///run/t.sock", address.Unix("/run/t.sock"), "unix:///run/t.sock"),
        ("unix:/run/t.sock", address.Unix("/run/t.sock"), "unix:///run/t.sock"),
        ("127.0.0.1:4000", address.Tcp("127.0.0.1", 4000), "127.0.0.1:4000"),
        ("localhost:4000", address.Tcp("localhost", 4000), "localhost:4000"),
        ("[::1]:4000", address.Tcp("::1", 4000), "[::1]:4000"),
    ],
)
def test_addresses_that_can_be_used(text: str, parsed: address.Address, grpc: str) -> None:
    assert address.parse(text) == parsed
    assert str(parsed) == grpc


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("unix://run/t.sock", "absolute"),
        (f"unix:///{'x' * 107}", "longer than the 107 bytes"),
        ("10.0.0.1:4000", "not this machine's loopback"),
        ("127.evil.example:4000", "not this machine's loopback"),
        ("localhost.evil.example:4000", "not this machine's loopback"),
        ("127.0.0.1:0", "no address"),
        ("127.0.0.1:70000", "no address"),
        ("127.0.0.1", "no address"),
        ("", "no address"),
    ],
)
def test_addresses_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(address.AddressError, match=says):
        address.parse(text)


def home_in(root: Path) -> address.Home:
    folder = f"{root}/0123"
    return address.Home(str(root), folder, address.Unix(f"{folder}/s"), "log", "lock", "start")


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    home = home_in(tmp_path / "root")
    before = os.umask(0)
    try:
        address.ensure_folder(home)
        address.ensure_folder(home)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(Path(p).stat().st_mode) for p in (home.root, home.folder)] == [0o700] * 2


def test_a_folder_that_someone_else_could_swap_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with pytest.raises(address.AddressError, match="is not a folder"):
        address.ensure_folder(home_in(tmp_path / "root"))
    (tmp_path / "real").chmod(0o770)
    with pytest.raises(address.AddressError, match="open to other users"):
        address.ensure_folder(home_in(tmp_path / "real"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir(mode=0o700)
    os.chown(tmp_path / "root", 12345, 12345)
    with pytest.raises(address.AddressError, match=r"belongs to another user \(id 12345\)"):
        address.ensure_folder(home_in(tmp_path / "root"))


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(address.AddressError, match="can't make the folder"):
        address.ensure_folder(home_in(tmp_path / "file" / "root"))
