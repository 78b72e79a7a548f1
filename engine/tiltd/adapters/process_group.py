"""A local program and everything that it starts: begun, read, and ended as one.

Each program leads a session, hence a process group, of its own: a Ctrl-C in the user's terminal
does not reach it, and one signal reaches all its children.  It is started with `Popen` itself and
not by asyncio, because that is a single call which no cancellation can interrupt: there is never
a process without an owner.  Its exit is awaited in a thread; where the system can (`waitid`), it
is left unreaped until its group is given up, so that its number can't come back as somebody
else's group.

Output is read by the loop, one block at a time, so that a program that prints without end takes
turns with everything else.  It may outlive the program: a background child holds the pipe open.

Should the daemon be killed, nobody is left to end the groups.  A `Guardian`, one small shell for
all of them, holds the read end of a pipe and knows the groups; when the pipe breaks, it ends them.
The kernel's own means (PR_SET_PDEATHSIG) reaches neither grandchildren nor other systems than
Linux, follows the thread and not the process, and needs code between fork and exec, which is
unsafe in a process with threads.
"""

import asyncio
import codecs
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tiltd import ports
from tiltd.model.problems import Code, Problem
from tiltd.runtime import threads

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

_POLL = 0.01
_LONGEST_POLL = 0.05
_LAST_WAIT = 2.0
_REAP = 0.2
_BLOCK = 64 * 1024
_RESOURCES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})
# Groups come as lines `+ID` and `-ID`; the end of the input is the end of the daemon.
_GUARDIAN = """
trap '' HUP INT TERM QUIT
groups=' '
while read -r line; do
  id="${line#?}"
  case "$line" in
    +*) groups="$groups$id " ;;
    -*) case "$groups" in *" $id "*) groups="${groups%% $id *} ${groups#* $id }" ;; esac ;;
  esac
done
[ "$groups" = ' ' ] && exit 0
for id in $groups; do kill -s TERM -- "-$id" 2>/dev/null; done
sleep 1
for id in $groups; do kill -s KILL -- "-$id" 2>/dev/null; done
exit 0
"""


class Guardian:
    """Ends the process groups of a daemon that was killed; see the module."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._shell: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Watch over a group."""
        self._groups.add(group)
        self._tell(f"+{group}\n")
        if self._shell is None:
            self._start()

    def remove(self, group: int) -> None:
        """Forget a group: it is no more, or lives on by right."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    async def close(self) -> None:
        """End the guardian; groups that it still knows are ended too."""
        shell, self._shell = self._shell, None
        if shell is not None:
            if shell.stdin is not None:
                shell.stdin.close()
            await threads.alone("guardian-exit", shell.wait)

    def _start(self) -> None:
        with contextlib.suppress(OSError):  # a system without a shell goes without a guardian
            self._shell = subprocess.Popen(  # noqa: S603 - our own script
                ("/bin/sh", "-c", _GUARDIAN),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
            )
            self._tell("".join(f"+{group}\n" for group in sorted(self._groups)))

    def _tell(self, text: str) -> None:
        if self._shell is None or self._shell.stdin is None:
            return
        try:
            self._shell.stdin.write(text.encode())
        except OSError:  # somebody killed it: the next group gets a new one, which learns of all
            shell, self._shell = self._shell, None
            if shell.stdin is not None:
                shell.stdin.close()
            shell.kill()
            shell.wait()


class Group:
    """A running program with its children.  Made by `start`.

    Args:
        process: the leader.
        pipe: its output, read end.
        log: where the output goes.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], pipe: int, log: ports.Log, guardian: Guardian
    ) -> None:
        self.pid = process.pid
        self.exit_code: int | None = None
        self.silent = asyncio.Event()
        """Set once nobody holds the output any more, and all of it is in the log."""
        self._loop = asyncio.get_running_loop()
        self._process, self._pipe, self._log, self._guardian = process, pipe, log, guardian
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._broken: BaseException | None = None
        self._forget: Callable[[Group], None] | None = None
        self._released = False
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)
        guardian.add(self.pid)

    async def exited(self) -> int:
        """Wait for the leader's end: its exit code, negative for a signal."""
        if self.exit_code is None:
            self.exit_code = await threads.alone(f"wait-{self.pid}", _wait, self._process)
        if self._broken is not None:
            raise self._broken
        return self.exit_code

    async def drained(self, seconds: float) -> bool:
        """Give the rest of the output a moment; whether it was all."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.silent.wait()
        if self._broken is not None:
            raise self._broken
        return self.silent.is_set()

    def keep(self, forget: Callable[["Group"], None]) -> None:
        """Let what is left go on in the background; `forget` is called when it is silent."""
        self._forget = forget

    async def end(self, grace: float = GRACE) -> None:
        """End whoever is left: SIGTERM to all, SIGKILL after `grace` seconds; then reap.

        To be cancelled here means to hurry: SIGKILL at once.
        """
        if self._released:
            return
        self._forget = None
        try:
            self._signal(signal.SIGTERM)
            if not await self._gone(grace):
                self._signal(signal.SIGKILL)
                await self._gone(_LAST_WAIT)
            await self.drained(_POLL)
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)
            raise
        finally:
            self.release()

    def release(self) -> None:
        """Stop reading, reap the leader, give the group up."""
        if self._released:
            return
        self._released = True
        self._stop_reading()
        self._guardian.remove(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP)

    async def _gone(self, seconds: float) -> bool:
        """Whether the whole group ends in time."""
        deadline, pause = self._loop.time() + seconds, _POLL
        while self._alive():
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)
        return True

    def _alive(self) -> bool:
        # A zombie still answers to signal 0, so reap the leader, and what was left to us as init.
        if self._process.poll() is not None:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-self.pid, os.WNOHANG)[0]:
                    pass
        return self._signal(0) and not (
            self._process.returncode is not None and _only_zombies(self.pid)
        )

    def _signal(self, number: int) -> bool:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs as somebody else: we can't end it, but it is there
            return self._process.returncode is None
        return True

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, _BLOCK)
        except BlockingIOError:
            return
        try:
            text = self._decoder.decode(data, final=not data)
            if text:
                self._log.write(text)
        except Exception as error:  # noqa: BLE001 - a bug in the log: raised to who waits for us
            self._broken = error
            self._stop_reading()
        else:
            if not data:
                self._stop_reading()

    def _stop_reading(self) -> None:
        if not self.silent.is_set():
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self.silent.set()
            if self._forget is not None:
                self._forget(self)
                self.release()


def start(
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    log: ports.Log,
    guardian: Guardian,
    stdout: int | None = None,
) -> Group:
    """Start a program: no shell, nothing to read, both outputs into one log.

    Args:
        argv: program and arguments; a program without a slash is looked up in the PATH of `env`.
        cwd: the folder to run in, absolute.
        env: its whole environment.
        log: where its output goes.
        guardian: ends it should we be killed.
        stdout: where its standard output goes instead of into the log.

    Raises:
        PermanentError: there is no such program or folder, or it can't be executed.
        TransientError: the system is out of processes, memory or files.
    """
    if not argv or not argv[0]:
        raise _refused("the command is empty", "name a program to run")
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - running the user's commands is the purpose
            tuple(argv),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=write_end if stdout is None else stdout,
            stderr=write_end,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(read_end)
        _explain(error, argv[0], cwd)
    finally:
        os.close(write_end)
    return Group(process, read_end, log, guardian)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end, and leave the dead unburied where the system can."""
    if sys.platform == "darwin":
        return process.wait()
    while True:
        status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        if status is not None:
            break
    return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status


def _only_zombies(group: int) -> bool:
    """Whether all that is left of a group is dead: in many containers nobody buries orphans."""
    found = False
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            state, _, member_of = stat.read_bytes().rpartition(b")")[2].split()[:3]
            if int(member_of) == group:
                if state != b"Z":
                    return False
                found = True
    return found


def _explain(error: OSError | ValueError, program: str, cwd: str) -> NoReturn:
    """Turn what `Popen` raised into a sentence."""
    if not isinstance(error, OSError):
        raise _refused(
            f"can't run {program!r}: {error}",
            "neither arguments nor environment may hold a NUL character",
        ) from error
    if error.errno in _RESOURCES:
        raise ports.TransientError(
            Problem(Code.COMMAND, f"can't run {program!r} now: {error.strerror}")
        ) from error
    if not Path(cwd).is_dir():
        raise _refused(
            f"can't run {program!r}: the folder {cwd} does not exist, or is none",
            "create the folder, or correct dir=",
        ) from error
    raise _refused(*_reason(error, program, cwd)) from error


def _reason(error: OSError, program: str, cwd: str) -> tuple[str, str]:
    match error.errno:
        case errno.ENOENT if "/" not in program:
            return (
                f"can't run {program!r}: there is no such program on the PATH",
                "install it, or correct the command; a shell's builtins need `sh -c`",
            )
        case errno.ENOENT:
            if Path(cwd, program).exists():
                return (
                    f"can't run {program!r}: its interpreter does not exist",
                    "look at its first line (#!) and its line ends",
                )
            return (
                f"can't run {program!r}: there is no such file",
                f"paths of programs are relative to {cwd}",
            )
        case errno.EACCES:
            return (
                f"can't run {program!r}: it is not executable, or {cwd} may not be entered",
                f"chmod +x {program}",
            )
        case errno.ENOEXEC:
            return (
                f"can't run {program!r}: it is neither a program of this machine nor a script",
                "begin a script with a line such as #!/bin/sh",
            )
        case errno.E2BIG:
            return (
                f"can't run {program!r}: its arguments and environment are too long",
                "pass large values by file or by standard input",
            )
        case _:
            return f"can't run {program!r}: {error.strerror}", "correct the command"


def _refused(message: str, hint: str) -> ports.PermanentError:
    return ports.PermanentError(Problem(Code.COMMAND, message, hint=hint))
