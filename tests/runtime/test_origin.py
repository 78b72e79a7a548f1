"""A project's origin is the same in every clone, and another one for every other project."""

import subprocess
from pathlib import Path

import pytest

from tiltd.runtime import origin


def repository(folder: Path, *urls: str) -> Path:
    git = ["git", "-C", str(folder)]
    folder.mkdir(parents=True)
    subprocess.run([*git, "init", "--quiet"], check=True)
    for number, url in enumerate(urls):
        name = "origin" if number == len(urls) - 1 else f"r{number}"
        subprocess.run([*git, "remote", "add", name, url], check=True)
    return folder


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/me/shop",
        "https://me:secret@example.com/me/shop.git",
        "git@example.com:me/shop.git",
        "ssh://git@EXAMPLE.com/me/shop/",
    ],
)
def test_a_clone_has_the_same_origin_however_it_was_made(tmp_path: Path, url: str) -> None:
    first = repository(tmp_path / "a", "https://example.com/me/shop")
    clone = repository(tmp_path / "b", "https://example.com/x/else", url)
    found = origin.of(str(clone / "app/Tiltfile"))
    assert found == origin.of(str(first / "app/Tiltfile"))
    assert found.startswith("git-")
    assert found != origin.of(str(first / "Tiltfile"))


def test_a_worktree_has_the_origin_of_its_repository(tmp_path: Path) -> None:
    first = repository(tmp_path / "a", "https://example.com/me/shop")
    git = ["git", "-C", str(first), "-c", "user.name=me", "-c", "user.email=me@example.com"]
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "worktree", "add", "--quiet", str(tmp_path / "b")], check=True)
    assert origin.of(str(tmp_path / "b/Tiltfile")) == origin.of(str(first / "Tiltfile"))


def test_without_a_remote_it_is_the_folder_on_this_machine(tmp_path: Path) -> None:
    bare = repository(tmp_path / "a")
    one, other = origin.of(str(bare / "Tiltfile")), origin.of(str(tmp_path / "b/Tiltfile"))
    assert one.startswith("at-")
    assert one != other
    assert one.rpartition("-")[0] == other.rpartition("-")[0]
    (tmp_path / "c").mkdir()
    (tmp_path / "c/.git").write_bytes(b"\xff nonsense")
    assert origin.of(str(tmp_path / "c/Tiltfile")).startswith("at-")
