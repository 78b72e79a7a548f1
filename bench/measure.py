"""Runs a program: how long, how much CPU, how much memory.

CPU is what the kernel charged to the program and to all children that it waited for (wait4(2)), so
the daemon that `tilt-client ci` starts and ends is in it; Docker Engine, registry and cluster are
not.  Memory is the sum of the peaks (VmHWM, proc(5)) of the program and its children, which is
client and daemon.  The kernel keeps the peaks, so a look now and then loses little: whatever a
process takes in its last 50 ms.  The code of libraries that both have mapped is in that twice; in
`share` it is once: their own memory (RssAnon), and the files of the one that has mapped most.

A daemon that was there before is no child of the client, so it is named; its CPU counts as far as
it worked for this run, and for no longer than the client ran.
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
        share: the same, with what is shared counted once.
    """

    seconds: float
    cpu: float
    memory: float
    share: float


class FailedRunError(Exception):
    """The program did not exit with 0, so there is nothing to measure."""


def run(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    beside: Sequence[int] = (),
) -> Run:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        env: its environment, if not ours.
        beside: processes that work for it and are not its children.

    Raises:
        FailedRunError: its exit code is not 0; the end of its output is in the message.
    """
    with tempfile.TemporaryFile() as output:
        began, worked = time.monotonic(), sum(_cpu(pid) for pid in beside)
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
        over = threading.Event()
        peaks: dict[int, int] = {}
        shares: list[int] = [0]
        pids = (process.pid, *beside)
        looker = threading.Thread(target=_look, args=(pids, over, peaks, shares))
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
        worked = sum(_cpu(pid) for pid in beside) - worked
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-4000:]
            raise FailedRunError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    cpu = usage.ru_utime + usage.ru_stime + worked
    return Run(seconds, cpu, sum(peaks.values()) / _MIB, max(shares) / _MIB)


def median(runs: Iterable[Run]) -> dict[str, float]:
    """The medians, each of its own, ready for JSON."""
    seconds, cpu, memory, share = zip(*runs, strict=True)
    return {
        "seconds": round(statistics.median(seconds), 2),
        "cpu_seconds": round(statistics.median(cpu), 2),
        "memory_mib": round(statistics.median(memory), 1),
        "memory_shared_once_mib": round(statistics.median(share), 1),
    }


def told(runs: Iterable[Run], limit: float | None) -> dict[str, float | bool]:
    """The medians, beside the limit of the seconds (on an idle machine) if there is one."""
    middle = median(runs)
    if limit is None:
        return {**middle}
    return {**middle, "limit_seconds": limit, "within": middle["seconds"] <= limit}


def ratios(theirs: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, float]:
    """How many times as much the other one needs."""
    return {name: round(theirs[name] / ours[name], 2) for name in ours if ours[name]}


def _look(
    pids: Sequence[int], over: threading.Event, peaks: dict[int, int], shares: list[int]
) -> None:
    while not over.is_set():
        members = {*pids, *(child for pid in pids for child in _children(pid))}
        found = {member: _memory(member) for member in members}
        for member, sizes in found.items():
            peaks[member] = max(sizes["VmHWM"], peaks.get(member, 0))
        own, files = ([s[name] for s in found.values()] for name in ("RssAnon", "RssFile"))
        shares.append(sum(own) + max(files, default=0))
        over.wait(_LOOK)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in _listed(Path(f"/proc/{pid}/task")):
        found.extend(int(child) for child in _text(task / "children").split())
    return found


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process that we started has used by now (proc(5), stat)."""
    after_name = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(ticks) for ticks in after_name[11:13]) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> Mapping[str, int]:
    """Sizes of a process's memory in bytes, by their names in proc(5); 0 once it has ended."""
    sizes = {"VmHWM": 0, "RssAnon": 0, "RssFile": 0}
    for line in _text(Path(f"/proc/{pid}/status")).splitlines():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * _KIB
    return sizes


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
