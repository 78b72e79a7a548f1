"""The typed helper, against a scripted daemon on a real socket."""

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.fakes import daemon as fake
from tilt_api import client
from tilt_api.v1 import tilt_pb2 as pb

HEALTHY = fake.SCRIPTS["healthy"]


@pytest.fixture
def where() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tc") as folder:
        yield f"unix://{folder}/t.sock"


def request() -> pb.StartSessionRequest:
    return pb.StartSessionRequest(tiltfile_path="/src/Tiltfile", mode=pb.MODE_CI)


def test_calls_that_answer_once(where: str) -> None:
    with fake.serving(fake.Script(project="/src"), where), client.connect(where) as tiltd:
        assert tiltd.info().project_dir == "/src"
        assert tiltd.start(request()).session_id == fake.SESSION
        assert tiltd.snapshot().session.id == fake.SESSION
        assert list(tiltd.cancel("web")) == ["image/web"]
        tiltd.stop(fake.SESSION)
        tiltd.shutdown()


def test_a_refusal_has_code_words_and_problem(where: str) -> None:
    with fake.serving(fake.Script(busy="`up` runs"), where), client.connect(where) as tiltd:
        with pytest.raises(client.CallError, match="no resource 'web'") as caught:
            tiltd.trigger("web")
        assert (caught.value.code, caught.value.lost) == ("NOT_FOUND", False)
        with pytest.raises(client.CallError, match="`up` runs") as caught:
            tiltd.start(request())
        assert (caught.value.code, caught.value.problem.hint) == (
            "FAILED_PRECONDITION",
            "wait for it",
        )


def test_nobody_there_is_a_lost_connection(where: str) -> None:
    with client.connect(where) as tiltd, pytest.raises(client.CallError) as caught:
        tiltd.info()
    assert caught.value.lost


@contextlib.contextmanager
def busy(where: str, seconds: float) -> Generator[str]:
    """The way to a daemon that takes a connection at once, and greets on it much later."""
    path = where.removeprefix("unix://")
    front = f"{path}.front"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(front)
        listener.listen()

        def relay() -> None:
            client, _ = listener.accept()
            time.sleep(seconds)
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            stack.callback(client.close)
            stack.callback(server.close)
            for one, other in ((client, server), (server, client)):
                stack.callback(copying(one, other).join)
                stack.callback(shut, one)

        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield f"unix://{front}"
        finally:
            thread.join()


def shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        one.shutdown(socket.SHUT_RDWR)


def copying(one: socket.socket, other: socket.socket) -> threading.Thread:
    def copy() -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(1 << 16):
                other.sendall(piece)

    thread = threading.Thread(target=copy)
    thread.start()
    return thread


def test_a_daemon_that_is_slow_to_greet_is_waited_for(where: str) -> None:
    """As on a machine with too much to do: it is not gone for that."""
    with (
        fake.serving(fake.Script(project="/src"), where),
        busy(where, 0.7) as front,
        client.connect(front) as tiltd,
    ):
        assert tiltd.info().project_dir == "/src"


def test_watch_and_logs_tell_all_from_the_first(where: str) -> None:
    with fake.serving(fake.Script(HEALTHY), where), client.connect(where) as tiltd:
        tiltd.start(request())
        seen: list[pb.WatchResponse] = []
        for answer in tiltd.watch():
            seen.append(answer)
            if answer.session.settled:
                break
        assert [a.sequence for a in seen] == [1, 2, 3, 4]
        wanted = pb.StreamLogsRequest(since=1)
        texts = [text.text for answer in tiltd.logs(wanted, patience=0) for text in answer.lines]
        assert texts == ["the last word"]


def test_another_thread_ends_a_stream(where: str) -> None:
    with fake.serving(fake.Script(), where), client.connect(where) as tiltd:
        tiltd.start(request())
        stream = tiltd.watch()
        first = next(stream)
        ended = threading.Event()

        def read() -> None:
            assert list(stream) == []
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        stream.cancel()
        assert first.session.id == fake.SESSION
        assert ended.wait(10)


def test_a_stream_that_was_cancelled_before_it_began_is_empty(where: str) -> None:
    with fake.serving(fake.Script(), where), client.connect(where) as tiltd:
        stream = tiltd.watch()
        stream.cancel()
        assert list(stream) == []


class Breakable:
    """A way to the daemon that can be cut, which a socket of its own can't be without an end."""

    def __init__(self, target: str, front: str) -> None:
        self._target = target
        self._pairs: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(front)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for end in self._pairs:
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut_quietly()
        self._listener.close()

    def cut_quietly(self) -> None:
        for end in self._pairs:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            back = socket.socket(socket.AF_UNIX)
            back.connect(self._target)
            self._pairs += [front, back]
            for source, sink in ((front, back), (back, front)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def test_a_broken_stream_goes_on_behind_what_was_seen(where: str) -> None:
    target = where.removeprefix("unix://")
    front = str(Path(target).with_name("front.sock"))
    steps = (
        fake.Say(("one",)),
        fake.Change((fake.resource("web", pb.VERDICT_PROGRESSING),)),
        fake.AwaitStop(),
        fake.Say(("two",)),
        fake.Change((fake.resource("web", pb.VERDICT_HEALTHY),)),
    )
    with fake.serving(fake.Script(steps), where) as servicer:
        way = Breakable(target, front)
        with client.connect(f"unix://{front}") as tiltd:
            tiltd.start(request())
            changes, logs = tiltd.watch(), tiltd.logs()
            assert [next(changes).sequence, next(changes).sequence] == [1, 2]
            assert next(logs).lines[0].text == "one"
            way.cut()
            servicer.stopped.set()
            assert next(changes).sequence == 3
            assert next(logs).lines[0].text == "two"
            changes.cancel()
            logs.cancel()
        way.close()
        assert "Watch 2" in servicer.calls
        assert "StreamLogs 1" in servicer.calls


def test_a_stream_that_carries_a_session_is_not_resumed(where: str) -> None:
    target = where.removeprefix("unix://")
    front = str(Path(target).with_name("front.sock"))
    with fake.serving(fake.Script(), where) as servicer:
        way = Breakable(target, front)
        with client.connect(f"unix://{front}") as tiltd:
            tiltd.start(request())
            stream = tiltd.watch(fake.SESSION)
            next(stream)
            way.cut()
            with pytest.raises(client.CallError) as caught:
                next(stream)
        way.close()
        assert caught.value.lost
        assert sum(call.startswith("Watch") for call in servicer.calls) == 1
