"""The daemon's one line to its starter."""

import pytest

from tilt_api import handshake


@pytest.mark.parametrize(
    "word",
    [
        handshake.Ready("unix:///run/t.sock"),
        handshake.Running("unix:///a folder/t.sock"),
        handshake.Failed('no "room"\non the disk', "make room"),
    ],
)
def test_what_is_said_is_heard(word: handshake.Word) -> None:
    line = handshake.encode(word)
    assert line.count(b"\n") == 1
    assert handshake.decode(line) == word


@pytest.mark.parametrize(
    "line", [b"", b"ready unix:///cut", b"hello world\n", b"error {}\n", b"error [1]\n", b"\xff\n"]
)
def test_anything_else_is_nothing(line: bytes) -> None:
    assert handshake.decode(line) is None
