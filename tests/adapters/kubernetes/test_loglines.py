"""Lines are put together from pieces, and from streams that overlap."""

import random

import pytest

from tiltd.adapters.kubernetes.loglines import PIECE, Lines


def stamp(number: int) -> str:
    return f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}.{number:09d}Z"


def log(*texts: str, start: int = 0) -> bytes:
    return "".join(f"{stamp(start + i)} {text}\n" for i, text in enumerate(texts)).encode()


def test_pieces_of_any_size_give_the_same_text() -> None:
    texts = ["", "plain", "with spaces", "ünïcödé ☃", "2026-01-01T00:00:00Z looks like a time"]
    for size in (1, 2, 3, 7, 1000):
        lines = Lines()
        assert lines.begin() == ""
        data = log(*texts)
        parts = [lines.feed(data[i : i + size]) for i in range(0, len(data), size)]
        assert "".join(parts) + lines.end() == "\n".join(texts) + "\n"


def test_what_the_kubelet_writes_into_the_answer_is_not_told_as_the_containers() -> None:
    lines = Lines()
    lines.begin()
    words = "unable to retrieve container logs for containerd://1f6c147315c6"
    told = lines.feed(log("last words") + words.encode())
    assert told + lines.end() == "last words\n"
    assert lines.foreign == [words]


def test_bytes_that_are_no_text_are_replaced() -> None:
    lines = Lines()
    lines.begin()
    assert lines.feed(stamp(0).encode() + b" a\xffb\n") == "a\ufffdb\n"


def test_a_line_without_an_end_is_told_in_pieces_and_in_bounded_memory() -> None:
    lines = Lines()
    lines.begin()
    told = lines.feed(stamp(0).encode() + b" ")
    for _ in range(10):
        piece = lines.feed("ä".encode() * (PIECE // 2) + b"x")
        assert len(piece) == PIECE // 2 + 1, "it is not held back"
        told += piece
    told += lines.feed(b"\n" + log("next", start=1))
    assert told == ("ä" * (PIECE // 2) + "x") * 10 + "\nnext\n"


def test_a_long_line_that_broke_off_is_completed() -> None:
    lines = Lines()
    lines.begin()
    text = "".join(chr(ord("a") + i % 26) for i in range(3 * PIECE))
    whole = f"{stamp(0)} {text}\n".encode()
    told = lines.feed(whole[: 2 * PIECE])
    lines.begin()
    for i in range(0, len(whole), 5000):
        told += lines.feed(whole[i : i + 5000])
    lines.begin()
    told += lines.feed(whole + log("next", start=1))
    assert told == text + "\nnext\n"


@pytest.mark.parametrize("seed", range(20))
def test_streams_that_overlap_and_break_anywhere_tell_each_line_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  the same cuts at every run
    texts = [f"line {i}" if i % 3 else "the same" for i in range(200)]
    lines, told, position = Lines(), "", 0
    stamps = [stamp(i // 4) for i in range(200)]  # four lines of one time each
    rows = [f"{s} {t}\n" for s, t in zip(stamps, texts, strict=True)]
    while position < 200:
        since = lines.begin()
        first = next((i for i, s in enumerate(stamps) if s[:19] >= since[:19]), 0)
        data = "".join(rows[first:]).encode()
        cut = chance.randrange(len(data) + 400)
        told += lines.feed(data[:cut])
        position = told.count("\n")
    assert told == "".join(f"{text}\n" for text in texts)


def test_lines_of_two_streams_may_be_out_of_order() -> None:
    lines = Lines()
    lines.begin()
    early, late = f"{stamp(1)[:-4]}100Z", f"{stamp(1)[:-4]}200Z"
    told = lines.feed(f"{late} b\n".encode())
    assert lines.begin() == f"{stamp(1)[:19]}Z"
    told += lines.feed(f"{early} a\n{late} b\n".encode())
    assert told == "b\na\n"


def test_only_lines_after_a_time_are_told() -> None:
    lines = Lines(since=1767225601.5)  # 2026-01-01T00:00:01.5Z
    assert lines.begin() == "2026-01-01T00:00:01Z"
    before, after = "2026-01-01T00:00:01.4Z", "2026-01-01T02:00:01.6+02:00"
    assert lines.feed(f"{before} a\n{after} b\n".encode()) == "b\n"
