"""Runs a program: how long, how much CPU, how much memory.

CPU is what the kernel charged to the program and to all children that it waited for (wait4(2)), so
the daemon that `tilt-client ci` starts and ends is in it; Docker Engine, registry and cluster are
not.  Memory is the sum of the peaks (VmHWM, proc(5)) of the program and its children, which is
client and daemon.  The kernel keeps the peaks, so a look now and then loses little: whatever a
process takes in its last 50 ms.
"""

import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_LOOK = 0.05
_MIB = 1 << 20
_KIB = 1 << 10


class Run(NamedTuple):
    """One run.

    Args:
        seconds: from start to end.
        cpu: seconds of CPU, user and system.
        memory: peak in MiB.
    """

    seconds: float
    cpu: float
    memory: float


class FailedRunError(Exception):
    """The program did not exit with 0, so there is nothing to measure."""


def run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end.

    Raises:
        FailedRunError: its exit code is not 0; the end of its output is in the message.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
        over = threading.Event()
        peaks: dict[int, int] = {}
        looker = threading.Thread(target=_look, args=(process.pid, over, peaks))
        looker.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
        finally:
            over.set()
            looker.join()
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-4000:]
            raise FailedRunError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, sum(peaks.values()) / _MIB)


def median(runs: Iterable[Run]) -> dict[str, float]:
    """The medians, each of its own, ready for JSON."""
    seconds, cpu, memory = zip(*runs, strict=True)
    return {
        "seconds": round(statistics.median(seconds), 2),
        "cpu_seconds": round(statistics.median(cpu), 2),
        "memory_mib": round(statistics.median(memory), 1),
    }


def ratios(theirs: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, float]:
    """How many times as much the other one needs."""
    return {name: round(theirs[name] / ours[name], 2) for name in ours if ours[name]}


def _look(pid: int, over: threading.Event, peaks: dict[int, int]) -> None:
    while not over.is_set():
        for member in (pid, *_children(pid)):
            peaks[member] = max(_peak(member), peaks.get(member, 0))
        over.wait(_LOOK)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in _listed(Path(f"/proc/{pid}/task")):
        found.extend(int(child) for child in _text(task / "children").split())
    return found


def _peak(pid: int) -> int:
    """The most resident memory that a process has had, in bytes."""
    for line in _text(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return 0


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it has just ended
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has just ended
        return ""
