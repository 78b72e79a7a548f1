"""Programs that are fed on their standard input: `docker buildx`, credential helpers.

Each runs in a process group of its own, so that ending it also ends what it started (the docker
command line runs its plugins as children).  A cancelled task ends the group: SIGTERM, then
SIGKILL after half a second, and the process is reaped before the task goes on.
"""

import asyncio
import os
import shutil
import signal
from asyncio import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

_TERM_SECONDS = 0.5
_LINE_LIMIT = 1 << 20


def find(name: str, env: Mapping[str, str]) -> str:
    """The program's path by the session's `PATH`; empty if there is none."""
    return shutil.which(name, path=env.get("PATH", os.defpath)) or ""


async def feed(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: int | bytes = b"",
    cwd: str | None = None,
    line: Callable[[str], None],
) -> int:
    """Run to the end; each line of output (both streams, as they come) goes to `line`.

    Args:
        argv: program (its path) and arguments.
        env: its whole environment.
        stdin: an open file descriptor, or what to write.
        cwd: the folder to run in.
        line: called with each line, without its end.

    Returns:
        the exit code; negative: killed by that signal.

    Raises:
        OSError: it can't be started.
    """
    process = await subprocess.create_subprocess_exec(
        *argv,
        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        limit=_LINE_LIMIT,
    )
    try:
        if process.stdin is not None:
            await _write(process.stdin, stdin if isinstance(stdin, bytes) else b"")
        if process.stdout is not None:
            await _read(process.stdout, line)
        return await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)


async def _write(stream: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it need not read what it is given
        stream.write(data)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader, line: Callable[[str], None]) -> None:
    while True:
        try:
            data = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            data = error.partial
        except asyncio.LimitOverrunError as error:
            data = await stream.readexactly(error.consumed)
        if not data:
            return
        # A progress bar redraws its line: what stands after the last return is what remains.
        text = data.decode(errors="replace").rstrip("\r\n")
        line(text.rpartition("\r")[2])


async def _end(process: subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TERM_SECONDS):
                await process.wait()
    finally:
        # Also once the leader is gone: a child that ignored SIGTERM must not outlive it.
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
