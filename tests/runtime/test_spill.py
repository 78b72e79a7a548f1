"""What memory has no room for is on disk, for readers alone, and within a bound."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual import VirtualLoop
from tiltd.runtime import spill
from tiltd.runtime.logs import LogStore

MEMORY = 10_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    made = LogStore(limit=MEMORY, clock=lambda: 1.0, spill=spill.Spill(str(tmp_path)))
    yield made
    made.forget()


async def texts(store: LogStore, since: int = 0, **only: Sequence[str]) -> list[str]:
    read = store.read(since, follow=False, **only)
    return [entry.text async for batch in read for entry in batch.entries]


async def test_no_line_is_lost_and_memory_is_bounded(store: LogStore) -> None:
    writer = store.writer("web", "main")
    lines = [f"line {number} ÿ ☃" for number in range(5000)]
    for line in lines:
        writer.write(f"{line}\n")
    assert store.size <= MEMORY
    assert store.dropped == 0
    shown = [line.replace("\udc80", "\N{REPLACEMENT CHARACTER}") for line in lines]
    assert await texts(store) == shown
    assert await texts(store, 2345) == shown[2345:]


async def test_filters_work_on_disk_too(store: LogStore) -> None:
    for number in range(2000):
        store.writer("web", "main").write(f"{number}\n", level="warn" if number % 2 else "info")
        store.writer("db", "main").write("noise\n")
    assert len(await texts(store, resources=["web"])) == 2000
    assert len(await texts(store, resources=["web"], levels=["warn"])) == 1000


async def test_a_secret_that_becomes_known_later_is_taken_out_on_disk_too(
    store: LogStore,
) -> None:
    writer = store.writer("web", "main")
    for number in range(1000):
        writer.write(f"{number} hunter22\n")
    store.scrub(["hunter22"])
    assert store.dropped == 0
    found = await texts(store)
    assert len(found) == 1000
    assert {text.partition(" ")[2] for text in found} == {"[redacted secret]"}


async def test_nobody_else_can_read_it_and_nothing_is_left(store: LogStore, tmp_path: Path) -> None:
    store.writer("web", "main").write("x\n" * 5000)
    assert _modes_of_files_in(tmp_path) == [0o600]
    assert not _names_in(tmp_path)


async def test_the_disk_has_a_bound_too(tmp_path: Path) -> None:
    disk = spill.Spill(str(tmp_path), limit=160_000)
    store = LogStore(limit=MEMORY, spill=disk)
    writer = store.writer("web", "main")
    for number in range(20_000):
        writer.write(f"{number}\n")
        assert disk.size <= 160_000 + MEMORY * 2
    assert 0 < store.dropped < 20_000
    reader = store.read(follow=False)
    first = await anext(reader)
    assert first.dropped == store.dropped
    assert first.entries[0].text == str(store.dropped)
    await reader.aclose()
    assert len(await texts(store)) == 20_000 - store.dropped
    store.forget()


async def test_a_full_disk_loses_old_lines_and_nothing_else(
    store: LogStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    writer = store.writer("web", "main")
    for number in range(1000):
        writer.write(f"{number}\n")
    assert store.dropped > 0
    found = await texts(store)
    assert found[-1] == "999"
    assert len(found) == 1000 - store.dropped
    assert "No space left" in caplog.text


@given(
    st.integers(700, 7000),
    st.none() | st.integers(500, 5000),
    st.lists(st.lists(st.text("abcß", max_size=20), max_size=30), max_size=30),
)
def test_every_line_is_read_or_counted_and_memory_is_bounded(
    memory: int, disk: int | None, writes: list[list[str]]
) -> None:
    async def run() -> None:
        store = LogStore(limit=memory, spill=None if disk is None else spill.Spill(limit=disk))
        writer = store.writer("web", "x")
        seen = dropped = last = 0
        for lines in writes:
            writer.write("".join(f"{line}\n" for line in lines))
            assert store.size <= memory
            async for batch in store.read(last, follow=False):
                assert batch.last > last
                last = batch.last
                seen += len(batch.entries)
                dropped += batch.dropped
        assert seen + dropped == sum(map(len, writes)) == store.last
        store.forget()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def _modes_of_files_in(folder: Path) -> list[int]:
    """Of those that this process has open, with a name or without."""
    opened = Path("/proc/self/fd").iterdir()
    return [stat.S_IMODE(fd.stat().st_mode) for fd in opened if _target(fd).startswith(f"{folder}")]


def _names_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _target(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:  # it was that of the listing
        return ""
