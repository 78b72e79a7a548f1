import asyncio
import contextlib
import itertools
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual import VirtualLoop
from tiltd.runtime import logs, threads

if TYPE_CHECKING:
    from tiltd import ports

PLAIN = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=30)


@pytest.fixture
async def store() -> logs.LogStore:
    return logs.LogStore(clock=lambda: 1.0)


async def read(store: logs.LogStore, since: int = 0) -> list[logs.Entry]:
    return [e async for batch in store.read(since, follow=False) for e in batch.entries]


async def texts(store: logs.LogStore) -> list[str]:
    return [entry.text for entry in await read(store)]


async def test_a_line_has_a_number_a_time_and_a_source(store: logs.LogStore) -> None:
    log: ports.Log = store.writer("web", "build")
    log.write("one\n")
    store.writer("db", "apply").write("two\n", level="warn")
    assert await read(store) == [
        logs.Entry(1, 1.0, "web", "build", "info", "one"),
        logs.Entry(2, 1.0, "db", "apply", "warn", "two"),
    ]


async def test_two_writers_never_share_a_line(store: logs.LogStore) -> None:
    one, two = store.writer("web", "a"), store.writer("web", "a")
    one.write("fir")
    two.write("sec")
    one.write("st\n")
    two.write("ond\n")
    assert await texts(store) == ["first", "second"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("a\r\nb\r\n", ["a", "b"], id="line ends of Windows"),
        pytest.param("10%\r50%\r100%\n", ["100%"], id="progress"),
        pytest.param("10%\r50%\r100%\r\n", ["100%"], id="progress with such a line end"),
        pytest.param("\n\nx\n", ["", "", "x"], id="empty lines"),
        pytest.param("\x1b[1;31mred\x1b[0m\n", ["\x1b[1;31mred\x1b[0m"], id="colours stay"),
        pytest.param("a\x1b[2K\x1b[1Ab\n", ["ab"], id="the cursor does not move"),
        pytest.param("\x1b]0;title\x07x\x1b]8;;u\x1b\\y\n", ["xy"], id="titles and links go"),
        pytest.param("a\tb\x00\x07\n", ["a\tb"], id="tabs stay, other controls go"),
        pytest.param("\x1bcx\x1b(By\n", ["xy"], id="short escapes go"),
        pytest.param("a\x85b\u2028c\n", ["ab\u2028c"], id="only a newline ends a line"),
        pytest.param("é\ufffd\n", ["é\ufffd"], id="any letter"),
    ],
)
async def test_lines_are_cleaned(store: logs.LogStore, given: str, expected: list[str]) -> None:
    store.writer("web", "x").write(given)
    assert await texts(store) == expected


async def test_a_line_end_that_comes_in_two_halves_is_one(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    writer.write("a\r")
    writer.write("\nb\n")
    assert await texts(store) == ["a", "b"]


async def test_an_unfinished_line_is_flushed_after_a_moment(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    writer.write("Password: ")
    assert await texts(store) == []
    await asyncio.sleep(0.5)
    assert await texts(store) == ["Password: "]
    writer.write("thanks\n")
    assert await texts(store) == ["Password: ", "thanks"]


async def test_dots_that_keep_coming_are_flushed_too(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    for _ in range(20):
        writer.write(".")
        await asyncio.sleep(0.1)
    assert "".join(await texts(store)).count(".") >= 16


async def test_a_progress_bar_shows_now_and_then_and_not_each_time(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    for percent in range(100):
        writer.write(f"{percent}%\r")
        await asyncio.sleep(0.1)
    writer.write("done\n")
    assert 2 <= len(await texts(store)) <= 3
    assert (await texts(store))[-1] == "done"


async def test_a_change_of_level_ends_a_line(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    writer.write("fine so far")
    writer.write("broken\n", level="error")
    assert [(e.level, e.text) for e in await read(store)] == [
        ("info", "fine so far"),
        ("error", "broken"),
    ]


async def test_a_line_without_an_end_is_cut_and_takes_no_more_memory(
    store: logs.LogStore,
) -> None:
    store = logs.LogStore(limit=1 << 20)
    writer = store.writer("web", "x")
    for _ in range(1600):
        writer.write("x" * 65536)
    assert store.size <= 1 << 20
    assert store.dropped > 0
    found = await read(store, store.dropped)
    assert {len(entry.text) for entry in found} <= {logs.LONGEST_LINE}


async def test_a_secret_is_found_across_writes(store: logs.LogStore) -> None:
    store.scrub(["hunter22"])
    writer = store.writer("web", "x")
    writer.write("pw hun")
    writer.write("ter22 ok\n")
    assert await texts(store) == ["pw [redacted secret] ok"]


async def test_a_flush_holds_back_what_may_become_a_secret(store: logs.LogStore) -> None:
    store.scrub(["hunter22"])
    writer = store.writer("web", "x")
    writer.write("pw hun")
    await asyncio.sleep(1)
    assert await texts(store) == ["pw "]
    writer.write("ter22\n")
    assert await texts(store) == ["pw ", "[redacted secret]"]


async def test_what_was_held_back_comes_out_when_nothing_follows(store: logs.LogStore) -> None:
    store.scrub(["hunter22"])
    store.writer("web", "x").write("a hunt")
    await asyncio.sleep(10)
    assert await texts(store) == ["a ", "hunt"]


async def test_a_cut_in_a_long_line_does_not_split_a_secret(store: logs.LogStore) -> None:
    store.scrub(["hunter22"])
    writer = store.writer("web", "x")
    writer.write("x" * (logs.LONGEST_LINE - 3) + "hunt")
    writer.write("er22\n")
    assert "".join(await texts(store)).endswith("xxx[redacted secret]")


async def test_a_secret_that_controls_hide_is_found(store: logs.LogStore) -> None:
    store.scrub(["hunter22"])
    store.writer("web", "x").write("hun\x00ter22\n")
    assert await texts(store) == ["[redacted secret]"]


async def test_secrets_that_become_known_later_vanish_from_old_lines(
    store: logs.LogStore,
) -> None:
    store.writer("", "tiltfile").write("printed hunter22\n")
    store.scrub(["hunter22"])
    assert await texts(store) == ["printed [redacted secret]"]
    assert store.size == logs.cost("printed [redacted secret]")
    store.scrub([])
    store.writer("", "tiltfile").write("hunter22\n")
    assert await texts(store) == ["printed [redacted secret]", "hunter22"]


async def test_a_reader_goes_on_until_the_store_closes(store: logs.LogStore) -> None:
    writer = store.writer("web", "x")
    writer.write("before\n")
    found: list[str] = []

    async def reader() -> None:
        async for batch in store.read():
            found.extend(entry.text for entry in batch.entries)

    async with asyncio.TaskGroup() as group:
        group.create_task(reader())
        await asyncio.sleep(1)
        assert found == ["before"]
        writer.write("during\n")
        await asyncio.sleep(1)
        assert found == ["before", "during"]
        writer.write("unfinished")
        store.close()
    assert found == ["before", "during", "unfinished"]


async def test_a_reader_resumes_after_what_it_has_seen(store: logs.LogStore) -> None:
    store.writer("web", "x").write("1\n2\n3\n")
    assert [entry.text for entry in await read(store, 2)] == ["3"]


async def test_a_reader_gets_what_it_asked_for_and_can_still_resume(store: logs.LogStore) -> None:
    for name in ("web", "db"):
        store.writer(name, "x").write("debugging\n", level="debug")
        store.writer(name, "x").write("informing\n")
    batches = [
        batch async for batch in store.read(resources={"db"}, levels={"info", "warn"}, follow=False)
    ]
    assert [(e.resource, e.text) for b in batches for e in b.entries] == [("db", "informing")]
    assert batches[-1].last == 4


async def test_a_slow_reader_is_told_what_it_missed_and_holds_nobody_up() -> None:
    store = logs.LogStore(limit=10 * logs.cost("a"))
    writer = store.writer("web", "x")
    writer.write("a\nb\n")
    reader = store.read()
    async with contextlib.aclosing(reader):
        first = await anext(reader)
        assert (first.last, first.dropped) == (2, 0)
        writer.write("c\n" * 100)
        second = await anext(reader)
    assert second.dropped == 90
    assert [entry.seq for entry in second.entries] == list(range(93, 103))


@pytest.mark.parametrize("text", ["x" * 60, "ü☃" * 30, "🎉" * 60])
async def test_a_line_counts_with_all_the_memory_that_it_takes(text: str) -> None:
    store = logs.LogStore()
    writer = store.writer("web", "x")
    tracemalloc.start()
    try:
        for _ in range(100):
            writer.write(f"{text}\n" * 100)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= store.size <= 2 * taken


async def test_the_tail_of_a_span_is_its_last_lines(store: logs.LogStore) -> None:
    for number in range(5):
        store.writer("web", "main").write(f"{number}\n")
        store.writer("web", "sidecar").write("noise\n")
    assert [entry.text for entry in store.tail("web", "main", 2)] == ["3", "4"]
    assert [entry.text for entry in store.tail("web", "main", 9)] == list("01234")
    assert store.tail("web", "nothing", 3) == ()


async def test_what_was_dropped_is_in_no_tail() -> None:
    store = logs.LogStore(limit=3 * logs.cost("a"))
    store.writer("web", "quiet").write("q\n")
    store.writer("web", "loud").write("a\nb\nc\n")
    assert store.tail("web", "quiet", 5) == ()
    assert [entry.text for entry in store.tail("web", "loud", 5)] == ["a", "b", "c"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_writers_in_threads_lose_nothing_and_keep_their_order(store: logs.LogStore) -> None:
    count, start = 2000, threading.Barrier(4)

    def write(name: str) -> None:
        writer = store.writer(name, "x")
        start.wait(10)
        for number in range(count):
            writer.write(f"{number}")
            writer.write("\n")

    found: dict[str, list[str]] = {name: [] for name in "abcd"}

    async def reader() -> None:
        async for batch in store.read():
            assert batch.dropped == 0
            for entry in batch.entries:
                found[entry.resource].append(entry.text)

    async with asyncio.TaskGroup() as group:
        group.create_task(reader())
        async with asyncio.TaskGroup() as writers:
            for name in found:
                writers.create_task(threads.alone(name, write, name))
        store.close()
    assert all(lines == [str(n) for n in range(count)] for lines in found.values())


@given(st.lists(PLAIN), st.lists(st.integers(0, 300)))
def test_lines_are_the_same_however_the_text_is_cut(lines: list[str], cuts: list[int]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})

    async def run() -> list[str]:
        store = logs.LogStore()
        writer = store.writer("web", "x")
        for begin, end in itertools.pairwise(places):
            writer.write(text[begin:end])
        return await texts(store)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(run()) == lines
