"""Stopping a long request, whenever that comes."""

import io

import pytest

from tiltd.adapters.images import stoppable


class Response:
    """As much of a response as it takes; its connection may be gone already."""

    def __init__(self, *, released: bool = False) -> None:
        self.raw = self
        self.released, self.shut, self.closed = released, False, False

    def shutdown(self) -> None:
        if self.released:
            raise RuntimeError("already released to the pool")
        self.shut = True

    def close(self) -> None:
        self.closed = True


def test_a_response_under_way_is_shut_down() -> None:
    request, response = stoppable.Request(), Response()
    request.started(response)
    request.stop()
    assert response.shut
    request.ended()
    assert response.closed


def test_a_response_that_comes_after_the_stop_is_shut_down_at_once() -> None:
    request, response = stoppable.Request(), Response()
    request.stop()
    request.started(response)
    assert response.shut


def test_one_that_has_just_ended_is_no_error() -> None:
    request = stoppable.Request()
    request.started(Response(released=True))
    request.stop()
    request.ended()
    request.stop()


def test_the_body_breaks_off() -> None:
    request = stoppable.Request()
    chunks = request.chunks(io.BytesIO(b"x" * 1_000_000))
    assert next(chunks)
    request.stop()
    with pytest.raises(stoppable.StoppedError):
        next(chunks)
