import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import distant
from tiltd.adapters import files

if TYPE_CHECKING:
    from tiltd import ports


class Seen:
    """A listener to wait for."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.calls = 0
        self._came = asyncio.Event()

    def __call__(self, paths: tuple[str, ...]) -> None:
        self.paths |= set(paths)
        self.calls += 1
        self._came.set()

    async def has(self, path: Path) -> None:
        async with asyncio.timeout(10):
            while str(path) not in self.paths:
                await self.more()

    async def more(self) -> None:
        self._came.clear()
        await self._came.wait()

    async def has_again(self, path: Path) -> None:
        self.paths.discard(str(path))
        await self.has(path)


@pytest.fixture
async def watcher() -> AsyncIterator[files.Watcher]:
    warnings: list[str] = []
    made = files.Watcher(warnings.append)
    yield made
    await made.close()
    assert warnings == []
    assert not [t for t in threading.enumerate() if "Emitter" in type(t).__name__]


@pytest.fixture
async def seen() -> Seen:
    return Seen()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    return made


def write(path: Path, text: str = "x") -> None:
    path.write_text(text)


def read_all(folder: Path) -> None:
    assert [file.read_text() for file in folder.iterdir()]


def make(folder: Path) -> None:
    folder.mkdir(parents=True)


def empty_out(folder: Path) -> None:
    (folder / "f").unlink()
    folder.rmdir()


def move(path: Path, to: Path) -> None:
    path.rename(to)


async def touched(seen: Seen, path: Path) -> None:
    write(path)
    await seen.has(path)


Change = Callable[[Path], Path]


def edit(root: Path) -> Path:
    (root / "f").write_text("new")
    return root / "f"


def replace(root: Path) -> Path:
    (root / ".f.swp").write_text("new")
    (root / ".f.swp").rename(root / "f")
    return root / "f"


def remove(root: Path) -> Path:
    (root / "f").unlink()
    return root / "f"


def chmod(root: Path) -> Path:
    (root / "f").chmod(0o755)
    return root / "f"


def create(root: Path) -> Path:
    (root / "new").write_text("x")
    return root / "new"


def create_deep(root: Path) -> Path:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "c").write_text("x")
    return root / "a" / "b" / "c"


CHANGES = [
    pytest.param(change, id=change.__name__.replace("_", " "))
    for change in (edit, replace, remove, chmod, create, create_deep)
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_in_a_folder_is_told(
    watcher: files.Watcher, seen: Seen, root: Path, change: Change
) -> None:
    port: ports.Files = watcher
    (root / "f").write_text("old")
    port.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "marker")
    seen.paths.clear()
    await seen.has(change(root))


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_before_the_watch_stands_is_told(
    watcher: files.Watcher, seen: Seen, root: Path, change: Change
) -> None:
    (root / "f").write_text("old")
    watcher.follow(frozenset({str(root)}), seen)
    path = change(root)
    async with asyncio.timeout(10):
        while not {str(path), str(path.parent)} & seen.paths:
            await seen.more()


async def test_a_single_file_is_watched_without_its_neighbours(
    watcher: files.Watcher, seen: Seen, root: Path
) -> None:
    wanted, other = root / "wanted", root / "other"
    watcher.follow(frozenset({str(wanted)}), seen)
    await touched(seen, wanted)
    seen.paths.clear()
    other.write_text("x")
    replace_with(wanted, "new")
    await seen.has(wanted)
    assert seen.paths == {str(wanted)}


async def test_reading_is_no_change(watcher: files.Watcher, seen: Seen, root: Path) -> None:
    watcher.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "a")
    await touched(seen, root / "b")
    seen.paths.clear()
    read_all(root)
    await touched(seen, root / "marker")
    assert seen.paths == {str(root / "marker")}


async def test_a_path_that_is_missing_is_told_when_it_comes(
    watcher: files.Watcher, seen: Seen, root: Path
) -> None:
    wanted = root / "a" / "b" / "c"
    watcher.follow(frozenset({str(wanted)}), seen)
    make(wanted.parent)
    await touched(seen, wanted)
    seen.paths.clear()
    write(wanted, "again")
    await seen.has(wanted)


async def test_a_folder_may_go_and_come_back(
    watcher: files.Watcher, seen: Seen, root: Path
) -> None:
    watcher.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "f")
    for _ in range(3):
        empty_out(root)
        make(root)
        await seen.has_again(root)
        seen.paths.clear()
        await touched(seen, root / "f")


async def test_a_folder_may_be_moved_away_and_replaced(
    watcher: files.Watcher, seen: Seen, root: Path
) -> None:
    watcher.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "f")
    move(root, root.with_name("old"))
    await seen.has_again(root)
    make(root)
    await seen.has_again(root)
    await touched(seen, root / "g")


async def test_a_link_to_a_folder_is_followed_and_may_be_turned(
    watcher: files.Watcher, seen: Seen, tmp_path: Path
) -> None:
    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.mkdir()
    two.mkdir()
    link.symlink_to(one)
    watcher.follow(frozenset({str(link)}), seen)
    (one / "f").write_text("x")
    await seen.has(link / "f")
    link.unlink()
    link.symlink_to(two)
    await seen.has_again(link)
    await touched(seen, link / "g")


async def test_following_other_paths_forgets_the_first(
    watcher: files.Watcher, seen: Seen, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    watcher.follow(frozenset({str(one)}), seen)
    await touched(seen, one / "f")
    later = Seen()
    watcher.follow(frozenset({str(two)}), later)
    await touched(later, two / "f")
    later.paths.clear()
    (one / "f").write_text("again")
    await touched(later, two / "marker")
    assert later.paths == {str(two / "marker")}


async def test_many_changes_are_told_together(
    watcher: files.Watcher, seen: Seen, root: Path
) -> None:
    watcher.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "marker")
    seen.calls = 0
    for number in range(500):
        (root / f"f{number}").write_text("x")
    for number in range(500):
        await seen.has(root / f"f{number}")
    assert seen.calls <= 20


async def test_after_closing_nothing_is_told(seen: Seen, root: Path) -> None:
    watcher = files.Watcher(pytest.fail)
    watcher.follow(frozenset({str(root)}), seen)
    await touched(seen, root / "marker")
    async with asyncio.timeout(1):
        await watcher.close()
    seen.calls = 0
    (root / "f").write_text("x")
    await asyncio.sleep(files.LONGEST + files.QUIET)  # no event can say that nothing comes
    assert seen.calls == 0


def test_many_paths_need_few_watches(root: Path) -> None:
    (root / "src" / "deep").mkdir(parents=True)
    for name in "abc":
        (root / name).write_text("x")
    paths = {root / "src", root / "src" / "deep", root / "src" / "x", *map(root.joinpath, "abc")}
    assert files.plan(frozenset(map(str, paths))).watches == {
        str(root): files.Reach.FOLDER,
        str(root / "src"): files.Reach.TREE,
    }


def test_without_watches_files_are_polled_and_that_is_said(root: Path) -> None:
    """In a user namespace of its own, where the kernel itself says no."""
    for number in range(8):
        (root / f"folder{number}").mkdir()
    program = f"""
import asyncio
from pathlib import Path
from tests import distant
from tiltd.adapters import files
async def main():
    Path("/proc/sys/user/max_inotify_watches").write_text("4")
    looked, came = asyncio.Event(), asyncio.Event()
    def listener(paths):
        if {str(root)!r} in paths:
            looked.set()
        if {str(root / "folder7" / "f")!r} in paths:
            came.set()
    watcher = files.Watcher(print)
    watcher.follow(frozenset({{{str(root)!r}}}), listener)
    async with asyncio.timeout(20):
        await looked.wait()
        Path({str(root / "folder7" / "f")!r}).write_text("x")
        await came.wait()
    await watcher.close()
asyncio.run(main())
"""
    unshare = ("unshare", "--user", "--map-root-user")
    if subprocess.run((*unshare, "true"), capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    done = subprocess.run(
        (*unshare, sys.executable, "-c", program),
        capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ),
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("out of file watches") == 1


def replace_with(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[distant.Shared]:
    with distant.shared(tmp_path) as made:
        yield made


async def test_what_changes_on_another_machine_is_found_by_looking(
    far: distant.Shared, seen: Seen
) -> None:
    warnings: list[str] = []
    watcher = files.Watcher(warnings.append)
    (far.there / "src").mkdir()
    (far.there / "src" / "before").write_text("x")
    try:
        watcher.follow(frozenset({str(far.here / "src")}), seen)
        await seen.has(far.here / "src")  # it has been looked at
        (far.there / "src" / "new").write_text("x")
        await seen.has(far.here / "src" / "new")
        (far.there / "src" / "new").write_text("more")
        await seen.has_again(far.here / "src" / "new")
    finally:
        await watcher.close()
    (warning,) = warnings
    assert warning.startswith(f"{far.here} is a file system (fuse")


async def test_a_distant_folder_in_a_near_one_is_looked_at_too(
    far: distant.Shared, seen: Seen
) -> None:
    warnings: list[str] = []
    watcher = files.Watcher(warnings.append)
    try:
        watcher.follow(frozenset({str(far.here.parent)}), seen)
        await seen.has(far.here)
        (far.there / "f").write_text("x")
        await seen.has(far.here / "f")
        (far.here.parent / "near").write_text("x")
        await seen.has(far.here.parent / "near")
    finally:
        await watcher.close()
    assert len(warnings) == 1
