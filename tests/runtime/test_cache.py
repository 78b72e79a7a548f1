"""The cache of file digests saves reading, and nothing that happens to it matters."""

import logging
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from tiltd.core import dockerignore
from tiltd.runtime import buildcontext, places
from tiltd.runtime.cache import FileCache, MemoryCache

DIGEST = bytes(range(32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "some" / "file"
    made.parent.mkdir()
    made.write_text("content")
    return made


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "files.sqlite"


def put(store: Path, path: str, status: os.stat_result, digest: bytes = DIGEST) -> None:
    cache = FileCache(store)
    cache.put(path, status, digest)
    cache.close()


def get(store: Path, path: str, status: os.stat_result) -> bytes | None:
    cache = FileCache(store)
    found = cache.get(path, status)
    cache.close()
    return found


def test_a_digest_outlives_its_daemon(store: Path, file: Path) -> None:
    put(store, str(file), file.stat())
    assert get(store, str(file), file.stat()) == DIGEST
    assert stat.S_IMODE(store.stat().st_mode) & 0o002 == 0


@pytest.mark.parametrize("position", range(4))
def test_each_part_of_a_files_identity_counts(store: Path, file: Path, position: int) -> None:
    put(store, str(file), file.stat())
    found = file.stat()
    fields = {"st_ino": 1, "st_size": 6, "st_mtime_ns": 8, "st_ctime_ns": 9}
    name = list(fields)[position]

    class Other:
        def __getattr__(self, wanted: str) -> int:
            value: int = getattr(found, wanted)
            return value + 1 if wanted == name else value

    assert get(store, str(file), Other()) is None  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - a status that differs in one field


def test_a_name_that_is_no_utf_8_is_a_name(store: Path, file: Path) -> None:
    path = os.fsdecode(os.fsencode(file.parent) + b"/\xff\xfe")
    put(store, path, file.stat())
    assert get(store, path, file.stat()) == DIGEST


def test_what_is_not_written_yet_is_known_already(store: Path, file: Path) -> None:
    cache = FileCache(store)
    cache.put(str(file), file.stat(), DIGEST)
    for number in range(100):  # more folders than are kept
        assert cache.get(f"/{number}/x", file.stat()) is None
    assert cache.get(str(file), file.stat()) == DIGEST
    cache.close()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database at all, but a note" * 100, id="foreign"),
        pytest.param(b"SQLite format 3\0" + bytes(4096), id="half-written"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_file_that_is_no_cache_is_begun_anew(
    store: Path, file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.write_bytes(content)
    assert get(store, str(file), file.stat()) is None
    assert len(caplog.messages) == (1 if content else 0)
    put(store, str(file), file.stat())
    assert get(store, str(file), file.stat()) == DIGEST


def test_a_database_of_somebody_elses_is_begun_anew(store: Path, file: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE files (a)")
    connection.close()
    assert get(store, str(file), file.stat()) is None
    put(store, str(file), file.stat())
    assert get(store, str(file), file.stat()) == DIGEST


def test_a_row_that_was_damaged_is_no_row(store: Path, file: Path) -> None:
    put(store, str(file), file.stat())
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE files SET digest = ?", (bytes(32),))
    connection.close()
    assert get(store, str(file), file.stat()) is None


def test_pages_that_were_damaged_cost_the_cache_and_nothing_else(store: Path, file: Path) -> None:
    cache = FileCache(store)
    for number in range(5000):
        cache.put(f"/{number % 100}/{number}", file.stat(), DIGEST)
    cache.close()
    size = store.stat().st_size
    with store.open("r+b") as handle:
        for offset in range(4096, size, 4096):
            handle.seek(offset)
            handle.write(os.urandom(64))
    damaged = FileCache(store)
    answers = {damaged.get(f"/{n % 100}/{n}", file.stat()) for n in range(5000)}
    damaged.put(str(file), file.stat(), DIGEST)
    assert answers <= {None, DIGEST}
    assert damaged.get(str(file), file.stat()) == DIGEST
    damaged.close()
    assert get(store, str(file), file.stat()) == DIGEST


def test_a_cache_that_is_locked_is_done_without(
    store: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(store, str(file), file.stat())
    with sqlite3.connect(store, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache = FileCache(store)
        cache.put("/other", file.stat(), DIGEST)
        cache.flush()
        cache.put("/another", file.stat(), DIGEST)
        assert cache.get("/another", file.stat()) == DIGEST
        assert not cache.on_disk
        other.execute("ROLLBACK")
    other.close()
    cache.close()
    assert [m for m in caplog.messages if "in memory" in m]
    assert get(store, str(file), file.stat()) == DIGEST


def test_a_folder_that_is_not_there_is_done_without(tmp_path: Path, file: Path) -> None:
    cache = FileCache(tmp_path / "none" / "files.sqlite")
    assert cache.get(str(file), file.stat()) is None
    cache.put(str(file), file.stat(), DIGEST)
    assert cache.get(str(file), file.stat()) == DIGEST
    cache.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")
@pytest.mark.parametrize("there", [True, False], ids=["with a cache", "without one"])
def test_a_folder_that_can_not_be_written_is_done_without(there: bool) -> None:  # noqa: FBT001
    """As on a read-only file system; a cache that is there is left alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    store, file = folder / "files.sqlite", folder / "file"
    file.write_text("x")
    try:
        if there:
            put(store, str(file), file.stat())
        kept = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
        os.seteuid(65534)
        try:
            cache = FileCache(store)
            assert cache.get(str(file), file.stat()) in {None, DIGEST}
            cache.put(str(file), file.stat(), DIGEST)
            cache.flush()
            assert cache.get(str(file), file.stat()) == DIGEST
            cache.close()
        finally:
            os.seteuid(0)
        assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == kept
    finally:
        shutil.rmtree(folder)


def test_a_link_is_not_followed(store: Path, tmp_path: Path, file: Path) -> None:
    store.symlink_to(tmp_path / "target")
    put(store, str(file), file.stat())
    assert not (tmp_path / "target").exists()
    assert get(store, str(file), file.stat()) == DIGEST


def test_two_daemons_share_a_cache(store: Path, file: Path) -> None:
    status = file.stat()

    def work(number: int) -> None:
        cache = FileCache(store)
        for n in range(300):
            cache.put(f"/shared/{n}", status, DIGEST)
            cache.put(f"/own{number}/{n}", status, DIGEST)
            if n % 50 == 0:
                cache.flush()
        caches[number] = cache.on_disk
        cache.close()

    caches: dict[int, bool] = {}
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caches == dict.fromkeys(range(4), True)
    found = FileCache(store)
    assert all(found.get(f"/own{n}/{m}", status) for n in range(4) for m in range(300))
    found.close()


def test_a_closed_cache_finds_nothing_and_opens_nothing(store: Path, file: Path) -> None:
    cache = FileCache(store)
    cache.close()
    cache.put(str(file), file.stat(), DIGEST)
    cache.flush()
    assert not store.exists()


def test_a_second_reading_of_a_context_reads_no_file(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name in ("a", "b"):
        (context / name).write_text(name)
    later = max(p.stat().st_ctime_ns for p in context.iterdir()) + 3_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)

    def digest() -> str:
        cache = FileCache(store)
        try:
            everything = dockerignore.ContextFilter()
            return buildcontext.digest(buildcontext.entries(str(context), everything), cache)
        finally:
            cache.close()

    first = digest()

    def no_reading(handle: int, size: int) -> bytes:
        raise AssertionError(handle, size)

    monkeypatch.setattr(os, "read", no_reading)
    assert digest() == first


def test_a_digest_in_memory_is_remembered_until_the_file_changes(file: Path) -> None:
    cache = MemoryCache()
    cache.put("notes", file.stat(), b"digest")
    assert cache.get("notes", file.stat()) == b"digest"
    assert cache.get("other", file.stat()) is None
    file.write_text("other notes")
    assert cache.get("notes", file.stat()) is None


def test_the_memory_forgets_the_oldest(file: Path) -> None:
    cache, status = MemoryCache(most=4), file.stat()
    for number in range(5):
        cache.put(str(number), status, b"digest")
    assert [cache.get(str(number), status) is not None for number in range(5)] == [
        False, False, True, True, True,
    ]  # fmt: skip


def test_the_state_folder_is_the_users_own(tmp_path: Path) -> None:
    found = places.state({"XDG_STATE_HOME": str(tmp_path / "state")})
    assert found == tmp_path / "state" / "tiltd"
    assert stat.S_IMODE((tmp_path / "state" / "tiltd").stat().st_mode) == 0o700
    assert places.state({"XDG_STATE_HOME": "relative", "HOME": str(tmp_path)}) == (
        tmp_path / ".local/state/tiltd"
    )
    assert places.state({}) is None
    (tmp_path / "state" / "tiltd").chmod(0o777)
    assert places.state({"XDG_STATE_HOME": str(tmp_path / "state")}) is None
    (tmp_path / "file").write_text("")
    assert places.state({"XDG_STATE_HOME": str(tmp_path / "file")}) is None
