"""Programs that are asked a question on their standard input: credential helpers.

`ports.Processes` gives no input and mixes both outputs, and an answer that holds a password must
come near no log.  Each program runs in a process group of its own; a cancelled task ends the
group: SIGTERM, then SIGKILL after half a second, and it is reaped before the task goes on.
"""

import asyncio
import dataclasses
import os
import shutil
import signal
from asyncio import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

_TERM_SECONDS = 0.5


def find(name: str, env: Mapping[str, str]) -> str:
    """The program's path by the session's `PATH`; empty if there is none."""
    return shutil.which(name, path=env.get("PATH", os.defpath)) or ""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a program answered; `text` may be secret."""

    code: int
    text: str = dataclasses.field(repr=False)


async def ask(argv: Sequence[str], question: str, env: Mapping[str, str]) -> Answer:
    """Run to the end; the exit code (negative: that signal) and the standard output.

    Raises:
        OSError: it can't be started.
    """
    process = await subprocess.create_subprocess_exec(
        *argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(env),
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(question.encode())
    finally:
        if process.returncode is None:
            await _end(process)
    return Answer(await process.wait(), output.decode(errors="replace"))


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
