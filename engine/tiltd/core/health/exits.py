"""What an exit code means, and what a message from a container runtime suggests.

Codes above 128 are 128 + the signal, as shells and the kubelet count.  Tables, because that is all
there is to it; the first row that matches wins.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tiltd.core.health import fields
from tiltd.core.health.fields import Obj

# Linux, signal(7); the daemon may run elsewhere, the containers don't.
SIGNALS: Final[Mapping[int, str]] = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}

_HIGHEST_SIGNAL = 64

_KILLED = 137

_CODES: Final[Mapping[int, str]] = {
    126: "the command may not be executed: set its execute bit (chmod +x) in the image",
    127: "a command was not found: check command and args, and that the image contains it",
    132: "the CPU doesn't know an instruction: the image may be built for a newer CPU model",
    134: "the program aborted itself: its last lines say why",
    _KILLED: "killed from outside: a limit, a node out of memory, or it did not end when asked to",
    139: "the program accessed memory that it may not: a bug in it or in a native library",
    143: "it was asked to end: by a probe, a rollout or another process",
    255: "often a runtime that could not execute the program: its output says more",
}

_TEXTS: Final[Sequence[tuple[re.Pattern[str], str]]] = [
    (
        re.compile(r"exec format error", re.IGNORECASE),
        "the program is for another CPU architecture, or a script without a #! line",
    ),
    (
        re.compile(r"executable file not found", re.IGNORECASE),
        "the image has no such program on its PATH: check command, entrypoint and the image",
    ),
    (
        re.compile(r"exec.*permission denied", re.IGNORECASE | re.DOTALL),
        "the entrypoint may not be executed: set its execute bit (chmod +x) in the image",
    ),
    (
        re.compile(r"(exec|stat).*no such file or directory", re.IGNORECASE | re.DOTALL),
        "the entrypoint, or the interpreter in its #! line (mind CRLF), is not in the image",
    ),
    (
        re.compile(r"is not a directory|not a directory", re.IGNORECASE),
        "a file is mounted over a directory or the other way round: check mountPath and subPath",
    ),
    (
        re.compile(r"chdir to cwd", re.IGNORECASE),
        "workingDir does not exist in the image, or its user may not enter it",
    ),
    (
        re.compile(r"unable to find user|no matching entries in passwd", re.IGNORECASE),
        "the image has no such user: check USER and runAsUser",
    ),
    (
        re.compile(r"runAsNonRoot", re.IGNORECASE),
        "the image runs as root, the pod forbids it: set a numeric USER in the image or runAsUser",
    ),
    (
        re.compile(r"connect(ion)? refused", re.IGNORECASE),
        "nothing listens there: is it the server's port, and does it listen on 0.0.0.0?",
    ),
    (
        re.compile(r"statuscode: 404", re.IGNORECASE),
        "the server answers but doesn't know the probe's path",
    ),
    (
        re.compile(r"context deadline exceeded|Client\.Timeout|timed? ?out", re.IGNORECASE),
        "the server takes longer than timeoutSeconds to answer",
    ),
]


def hint(message: str) -> str:
    """What to do about a runtime's or probe's `message`; empty if nothing is known."""
    return next((advice for pattern, advice in _TEXTS if pattern.search(message)), "")


def code(ended: Obj) -> int | None:
    """The exit code of a terminated state."""
    return fields.number(ended, "exitCode") if fields.has(ended, "exitCode") else None


def signal(ended: Obj) -> int | None:
    """The signal that ended it, reported or deduced from the code."""
    reported = fields.number(ended, "signal")
    implied = fields.number(ended, "exitCode") - 128
    found = reported or implied
    return found if 0 < found <= _HIGHEST_SIGNAL else None


def words(ended: Obj) -> str:
    """`exit code 137 (SIGKILL)`."""
    number = signal(ended)
    name = f" ({SIGNALS.get(number, f'signal {number}')})" if number else ""
    return f"exit code {fields.number(ended, 'exitCode')}{name}"


def advice(ended: Obj, memory_limit: str) -> str:
    """What to do about a terminated state.

    Args:
        ended: `state.terminated` or `lastState.terminated`.
        memory_limit: the container's, as written; empty if it has none.
    """
    if fields.text(ended, "reason") == "OOMKilled":
        has = f"its limit is {memory_limit}" if memory_limit else "it has no limit of its own"
        return f"it used more memory than it may ({has}): raise resources.limits.memory or use less"
    said = hint(fields.text(ended, "message"))
    if not said and memory_limit and fields.number(ended, "exitCode") == _KILLED:
        # A runtime with much to do can miss that it was the kernel, for want of memory.
        return (
            f"killed from outside: more memory than it may have (its limit is {memory_limit}), "
            "a node out of memory, or it did not end when asked to"
        )
    return said or _CODES.get(fields.number(ended, "exitCode"), "")
