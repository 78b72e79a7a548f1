"""Commands that the Tiltfile runs while it is read: `local()`, helm and kustomize.

Each runs in a process group of its own.  One loop feeds it, reads both of its streams and hears
when the reading is to stop; then the whole group is killed.  A command has ended when its streams
have: as with any pipe, a background process that keeps them open keeps the Tiltfile waiting.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, cast

from tiltd.model.desired import Command
from tiltd.model.problems import Code
from tiltd.tiltfile import paths
from tiltd.tiltfile.mistakes import Mistake

_CHUNK = 65536
_ASK_AGAIN = 0.05


class StoppedError(Exception):
    """The reading was stopped from outside."""


class Stop:
    """Tells a reading, from another thread, to end: a flag and something to wait for."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._lock = threading.Lock()
        self._closed = False
        self._asked = False
        self._also: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Ask the reading to end; may be called from any thread, and more than once."""
        self._asked = True
        for callback in self._also:
            callback()
        with self._lock:  # a closed descriptor's number may be another file's by now
            if not self._closed:
                os.write(self._writer, b".")

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked

    def when_asked(self, callback: Callable[[], None]) -> None:
        """Call back when a stop is asked for; at once if it already was."""
        self._also.append(callback)
        if self._asked:
            callback()

    def fileno(self) -> int:
        """Readable once a stop was asked for."""
        return self._reader

    def close(self) -> None:
        """Free the pipe; may be called more than once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._reader)
                os.close(self._writer)


@dataclass(frozen=True, slots=True)
class Output:
    """What a command printed, and its exit code (negative: by that signal)."""

    stdout: str
    stderr: str
    code: int


def run(
    command: Command,
    env: Mapping[str, str],
    stop: Stop,
    stdin: str = "",
    echo: Callable[[str], None] | None = None,
) -> Output:
    """Run a command to its end.

    Args:
        command: its `env` goes over `env`.
        env: the whole environment.
        stop: ends it early.
        stdin: what it reads.
        echo: gets what it prints, as it prints it.

    Raises:
        StoppedError: a stop was asked for.
        Mistake: it can't be started.
    """
    process = _start(command, {**env, **command.env})
    try:
        out, err = _talk(process, stop, stdin, echo)
        code = _wait(process, stop)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
    return Output(_text(out), _text(err), code)


def text_of(command: Command) -> str:
    """A command as people write it."""
    if command.argv[:2] == ("sh", "-c") and len(command.argv) == len(("sh", "-c", "script")):
        return command.argv[2]
    return " ".join(command.argv)


def _start(command: Command, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    if not paths.is_folder(command.dir):
        raise Mistake(
            f"the command {text_of(command)!r} can't run in {command.dir}: there is no such folder",
            code=Code.TILTFILE,
        )
    try:
        return subprocess.Popen(  # noqa: S603 (the user's command)
            command.argv,
            cwd=command.dir,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(command, error) from error


def _not_started(command: Command, error: OSError | ValueError) -> Mistake:
    name = command.argv[0]
    if isinstance(error, FileNotFoundError):
        return Mistake(
            f"the program {name!r} was not found",
            hint=f"install {name}, or add its folder to PATH",
        )
    if isinstance(error, OSError) and error.errno == _TOO_LONG:
        return Mistake(
            f"the command {text_of(command)[:60]!r}… can't be started: its arguments and "
            "environment are larger than the kernel allows",
            hint="pass large texts by stdin= or in a file",
        )
    return Mistake(f"the command {text_of(command)[:200]!r} can't be started: {error}")


_TOO_LONG = 7  # E2BIG


def _talk(
    process: subprocess.Popen[bytes],
    stop: Stop,
    stdin: str,
    echo: Callable[[str], None] | None,
) -> tuple[bytearray, bytearray]:
    printed = {1: bytearray(), 2: bytearray()}
    due = memoryview(stdin.encode("utf-8", "surrogateescape"))
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        _register(selector, process.stdout, selectors.EVENT_READ, 1)
        _register(selector, process.stderr, selectors.EVENT_READ, 2)
        _register(selector, process.stdin, selectors.EVENT_WRITE, 0)
        while len(selector.get_map()) > 1:
            for key, _ in selector.select():
                if key.fileobj is stop:
                    raise StoppedError
                if key.data == 0:
                    due = _feed(selector, key, due)
                elif chunk := os.read(key.fd, _CHUNK):
                    printed[key.data] += chunk
                    if echo:
                        echo(_text(chunk))
                else:
                    selector.unregister(key.fileobj)
    return printed[1], printed[2]


def _wait(process: subprocess.Popen[bytes], stop: Stop) -> int:
    # Mostly it has ended with its streams; one that closed them by itself is asked now and then.
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_ASK_AGAIN)
        if stop.asked:
            raise StoppedError


def _register(
    selector: selectors.BaseSelector, stream: IO[bytes] | None, events: int, number: int
) -> None:
    if stream is None:  # pragma: no cover (all three are pipes)
        raise AssertionError
    os.set_blocking(stream.fileno(), False)
    selector.register(stream, events, number)


def _feed(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, due: memoryview
) -> memoryview:
    try:
        due = due[os.write(key.fd, due[:_CHUNK]) :] if due else due
    except BrokenPipeError:
        due = due[:0]
    if not due:
        selector.unregister(key.fileobj)
        cast("IO[bytes]", key.fileobj).close()
    return due


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")
