"""How a pod of one container starts without a sandbox: its process waits at a gate.

The Engine needs as much CPU for a sandbox as for a container, and each costs a shim of some 13 MB.
A pod of one container can do without, if its network is there before its program is.  But the
Engine has no pause between making a container's namespaces and running its program.  So what it
runs first is a program of ours, of some 300 bytes: it opens a pipe with a name, which waits until
the node has put the container on the bridge, reads from it which file to execute, and becomes that,
with its arguments, environment, user and number as they are.

The node looks for that file as runc does (`PATH`, from inside of the container).  Anything that is
not plain to see (no such file, no right to it, another machine's, a script of an interpreter that
is not there) is not decided here: the container is removed, and the pod gets a sandbox after all,
so that the Engine itself says what is wrong.
"""

import contextlib
import ctypes
import errno
import ipaddress
import os
import platform
import stat
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from tilt_cluster.network import links
from tilt_cluster.node import pause

FOLDER = "gate"
"""Of a pod's folder."""
TARGET = "/dev/.tilt"
"""Where a container finds it."""
START = f"{TARGET}/start"
_GO = "go"
_TEXT = f"{TARGET}/{_GO}".encode() + b"\0" + b"could not be started"
_CLONE_FS = 0x200
_PATIENCE, _AGAIN = 5.0, 0.001
_MOST = 4096
_RUNNABLE = 0o111
_SEARCHABLE = 0o001
_ELF, _SCRIPT = b"\x7fELF", b"#!"
_PROGRAM_HEADERS, _INTERPRETER = 32, 3
_CAPABILITIES = "security.capability"

# The same in both: fd = open(path, O_RDONLY | O_CLOEXEC); read(fd, buffer, 4096);
# execve(buffer, &argv[1], envp); write(2, text, 20); exit_group(126).  EINTR tries again.
_CODE_X86_64 = bytes.fromhex(
    "4889e5 4881ec00100000 b802000000 488d3d67000000 be00000800 0f05 4883f8fc 74e7 85c0 7832 89c3"
    "31c0 89df 4889e6 ba00100000 0f05 4883f8fc 74ec 4885c0 7e17"
    "488b4500 488d54c510 488d7510 4889e7 b83b000000 0f05"
    "b801000000 bf02000000 488d3521000000 ba14000000 0f05 b8e7000000 bf7e000000 0f05"
)
_CODE_AARCH64 = bytes.fromhex(
    "f3030091 ff0740d1 600c8092 21040010 0201a0d2 030080d2 080780d2 010000d4 1f1000b1 20ffff54"
    "4002f8b7 f40300aa e00314aa e1030091 020082d2 e80780d2 010000d4 1f1000b1 40ffff54 1f0000f1"
    "0d010054 630240f9 620e038b 42400091 61420091 e0030091 a81b80d2 010000d4"
    "400080d2 41010050 820280d2 080880d2 010000d4 c00f80d2 c80b80d2 010000d4"
)
_CODES = {"x86_64": _CODE_X86_64, "aarch64": _CODE_AARCH64}


class UnusualError(Exception):
    """What is to be run can't be told for sure."""


def program() -> bytes:
    """The program as an ELF file."""
    machine = platform.machine()
    return pause.elf(machine, _CODES[machine] + _TEXT)


def is_known() -> bool:
    """Whether there is such a program for this machine."""
    return platform.machine() in _CODES


def make(folder: Path, what: Sequence[str]) -> None:
    """Make what a container finds below `TARGET`: the program, and the pipe that it waits for.

    Args:
        folder: for both.
        what: shall be run, with arguments.

    Raises:
        OSError: the folder can't be written.
        UnusualError: nothing shall be run.
    """
    if not what:
        raise UnusualError("no command is given")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    start, go = folder / "start", folder / _GO
    start.write_bytes(program())
    start.chmod(0o555)
    go.unlink(missing_ok=True)
    os.mkfifo(go)
    go.chmod(0o444)


def is_shut(folder: Path) -> bool:
    """Whether the container of this folder may still wait."""
    return (folder / _GO).exists()


def let_go(
    container: str,
    pid: int,
    folder: Path,
    bridge: str,
    address: ipaddress.IPv4Interface,
    via: str,
) -> None:
    """Give a waiting container its network, and let it go.

    Call it in a thread that ends after it (`links.in_thread`): it leaves its namespace and root.

    Args:
        container: its id.
        pid: of its process.
        folder: as `make` has left it.
        bridge: the interface of the bridge.
        address: of the pod, in the bridge's network.
        via: the gateway.

    Raises:
        UnusualError: what to run can't be told; it waits still.
        links.ElsewhereError: that is not the container's process here.
        OSError: the kernel refuses, or the process has ended.
    """
    links.join(container, pid, bridge, address, via)
    pipe = _pipe(folder / _GO, pid)
    try:
        found = _found(pid)  # from here on, paths are those of the container
        os.write(pipe, os.fsencode(found) + b"\0")
    finally:
        os.close(pipe)


def passed(folder: Path) -> None:
    """Note that the container of this folder has passed."""
    (folder / _GO).unlink(missing_ok=True)


def _pipe(path: Path, pid: int) -> int:
    """The pipe's end to write, as soon as the container has opened the other one."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                raise
        os.kill(pid, 0)  # raises if it has ended
        time.sleep(_AGAIN)  # nothing tells that a pipe has a reader now; it has in no time


def _found(pid: int) -> str:
    """The file that a waiting process shall execute, by the rules of runc.

    Raises:
        UnusualError: it can't be told.
    """
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    path = next((one[5:] for one in variables if one.startswith(b"PATH=")), b"")
    anyone = os.stat(f"/proc/{pid}").st_uid != 0  # noqa: PTH116 - no path of ours
    _go_into(pid)
    try:
        found = _look(os.fsdecode(arguments[1]), os.fsdecode(path))
        _check(found, anyone=anyone, script=True)
    except (OSError, ValueError, struct.error) as error:  # a file that is cut off, too
        raise UnusualError(str(error)) from error
    if len(os.fsencode(found)) >= _MOST:
        raise UnusualError(f"{found}: too long")
    return found


def _go_into(pid: int) -> None:
    """Make a process's root and working folder those of this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_FS) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        work = os.open(f"/proc/{pid}/cwd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(work)
        finally:
            os.close(work)
    finally:
        os.close(root)


def _look(name: str, path: str) -> str:
    if "/" in name:
        return name
    for folder in path.split(":"):
        if not folder.startswith("/"):
            raise UnusualError(f"PATH has {folder!r}")
        candidate = os.path.join(folder, name)  # noqa: PTH118 - text, in another root
        with contextlib.suppress(OSError):
            mode = os.stat(candidate).st_mode  # noqa: PTH116 - as above
            if stat.S_ISREG(mode) and mode & _RUNNABLE:
                return candidate
    raise UnusualError(f"{name} is not in PATH")


def _check(path: str, *, anyone: bool, script: bool) -> None:
    """Refuse a file of which it is not sure that the kernel runs it.

    Args:
        path: of the file.
        anyone: its user is not root, so that everybody must have the right to it.
        script: may it be one?

    Raises:
        UnusualError: it is not.
        OSError: likewise.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - in another root
    if not stat.S_ISREG(mode) or mode & _RUNNABLE != _RUNNABLE:
        raise UnusualError(f"{path} is not everybody's to run")
    if not os.access(path, os.X_OK):
        raise UnusualError(f"{path} is where nothing may be run")
    if _CAPABILITIES in _attributes(path):
        raise UnusualError(f"{path} asks for capabilities, which it may not get")
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        head = os.read(file, _MOST)
    finally:
        os.close(file)
    if anyone:
        _check_way(path)
    if head.startswith(_ELF):
        interpreter = _interpreter(path, head)
    elif head.startswith(_SCRIPT) and script:
        words = head[len(_SCRIPT) :].partition(b"\n")[0].split()
        interpreter = os.fsdecode(words[0]) if words else ""
        if not interpreter.startswith("/"):
            raise UnusualError(f"{path} is a script of an unknown interpreter")
    else:
        raise UnusualError(f"{path} is no program of this machine")
    if interpreter:
        _check(interpreter, anyone=anyone, script=False)


def _attributes(path: str) -> Sequence[str]:
    """The names of a file's extended attributes; none where there are no such things."""
    try:
        return os.listxattr(path)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    return ()


def _check_way(path: str) -> None:
    """Refuse a path with a folder into which not everybody may look."""
    real = os.path.realpath(path)
    while (real := os.path.dirname(real)) != "/":  # noqa: PTH120 - in another root
        if not os.stat(real).st_mode & _SEARCHABLE:  # noqa: PTH116
            raise UnusualError(f"{real} is not open to everybody")


def _interpreter(path: str, head: bytes) -> str:
    """Who loads a program that is not static; empty if nobody does (elf(5))."""
    machine = pause.MACHINES[platform.machine()]
    if head[4:6] != bytes((2, 1)) or struct.unpack_from("<H", head, 18)[0] != machine:
        raise UnusualError(f"{path} is another machine's program")
    (table,) = struct.unpack_from("<Q", head, _PROGRAM_HEADERS)
    size, count = struct.unpack_from("<HH", head, 54)
    for number in range(count):
        at = table + number * size
        if at + size > len(head):
            raise UnusualError(f"{path} has its table elsewhere")
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", head, at)
        if kind == _INTERPRETER:
            if offset + length > len(head):
                raise UnusualError(f"{path} names its loader elsewhere")
            return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return ""
