"""What is missing is said at the start, in words that name it and what follows from it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilt_cluster import engine, lacking


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket at which somebody listens, as at the Engine's."""
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield server


def test_root_with_an_engine_lacks_nothing(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert engine.trouble(listening.getsockname()) == ""
    assert lacking.of_node() == ()


def test_who_is_not_root_is_told_what_that_means(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listening.fileno() >= 0
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    services, owners = lacking.of_node()

    assert services in (lacking.NEITHER, lacking.NO_ADDRESSES)
    assert owners == lacking.NO_OWNERS


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"

    assert engine.trouble(str(nowhere)) == f"there is no Docker Engine at {nowhere}"


def test_an_engine_that_has_ended_is_named(listening: socket.socket) -> None:
    path: str = listening.getsockname()
    listening.close()

    assert engine.trouble(path) == f"nobody answers for the Docker Engine at {path}"


def test_an_engine_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")

    (said,) = lacking.of_node()

    assert "DOCKER_HOST is tcp://10.0.0.1:2375" in said
    assert said.endswith("the API works, and pods stay Pending")
