import asyncio
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.adapters.logged import Logged
from tiltd import ports
from tiltd.adapters import process_group, processes
from tiltd.model.desired import Command, Exec, Probe
from tiltd.model.observed import ServeStatus
from tiltd.model.problems import Code

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def started() -> Callable[[], list[psutil.Process]]:
    """The children that the test has; what others have started for all tests may go on."""
    before = set(psutil.Process().children())
    return lambda: [child for child in psutil.Process().children() if child not in before]


@pytest.fixture
async def runner(
    started: Callable[[], list[psutil.Process]],
) -> AsyncIterator[processes.LocalProcesses]:
    made = processes.LocalProcesses()
    yield made
    await made.close()
    assert started() == []


@pytest.fixture
async def log() -> Logged:
    return Logged()


def sh(script: str, cwd: Path | str = "/", **env: str) -> Command:
    return Command(("sh", "-c", script), str(cwd), env)


def python(program: str, cwd: Path | str = "/") -> Command:
    return Command((sys.executable, "-u", "-c", program), str(cwd))


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while _lives(pid):  # noqa: ASYNC110 - nobody tells of a stranger's death
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_command_gives_its_output_and_exit_code(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    port: ports.Processes = runner
    assert await port.run(sh("echo out; echo err >&2; exit 3"), ENV, log) == 3
    assert log.text == "out\nerr\n"


async def test_a_command_that_dies_of_a_signal_says_so(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    assert await runner.run(sh("kill -9 $$"), ENV, log) == -9


async def test_a_command_runs_in_its_folder_with_both_environments(
    runner: processes.LocalProcesses, log: Logged, tmp_path: Path
) -> None:
    env = {**ENV, "A": "session", "B": "session"}
    await runner.run(sh("pwd; echo $A $B ${HOME-none}", tmp_path, B="own"), env, log)
    assert log.text == f"{tmp_path}\nsession own none\n"


async def test_arguments_reach_the_program_without_a_shell(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    await runner.run(Command(("echo", "$HOME", "a  b", "*"), "/"), ENV, log)
    assert log.text == "$HOME a  b *\n"


async def test_there_is_nothing_to_read(runner: processes.LocalProcesses, log: Logged) -> None:
    assert await runner.run(Command(("cat",), "/"), ENV, log) == 0
    assert log.text == ""


async def test_letters_survive_being_cut_in_two_and_other_bytes_are_replaced(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    program = """
import os, time
os.write(1, b"\\xc3"); time.sleep(0.05); os.write(1, b"\\xa9 \\xff\\xfe \\xe2\\x82")
"""
    await runner.run(python(program), ENV, log)
    assert log.text == "é \ufffd\ufffd \ufffd"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(Command(("no-such-tool",), "/"), "no such program", id="not on the PATH"),
        pytest.param(Command(("./none",), "/"), "no such file", id="no such file"),
        pytest.param(Command(("true",), "/no/such"), "folder /no/such", id="no such folder"),
        pytest.param(Command(("true",), "/etc/passwd"), "folder /etc/passwd", id="no folder"),
        pytest.param(Command(("/etc/passwd",), "/"), "not executable", id="not executable"),
        pytest.param(Command((), "/"), "empty", id="empty"),
        pytest.param(Command(("echo", "a\0b"), "/"), "null", id="a NUL character"),
        pytest.param(Command(("echo", "x" * (1 << 22)), "/"), "too long", id="too long"),
    ],
)
async def test_what_cannot_be_started_is_a_users_error(
    runner: processes.LocalProcesses, log: Logged, command: Command, message: str
) -> None:
    before = _open_files()
    with pytest.raises(ports.PermanentError) as caught:
        await runner.run(command, ENV, log)
    problem = caught.value.problem
    assert problem.code is Code.COMMAND
    assert message in problem.message
    assert problem.hint
    assert _open_files() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("echo hi\n", "neither a program", id="no first line"),
        pytest.param("#!/no/such/shell\n", "interpreter", id="no such interpreter"),
    ],
)
async def test_a_script_that_nothing_can_run_is_explained(
    runner: processes.LocalProcesses, log: Logged, tmp_path: Path, text: str, message: str
) -> None:
    script = tmp_path / "script"
    script.write_text(text)
    script.chmod(0o755)
    with pytest.raises(ports.PermanentError, match=message):
        await runner.run(Command((str(script),), "/"), ENV, log)


async def test_cancelling_ends_grandchildren_that_ignore_sigterm(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    script = "(trap '' TERM; echo $(exec sh -c 'echo $PPID'); while :; do sleep 1; done) & wait"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run(sh(script), ENV, log))
        await log.shows("\n")
        started = time.monotonic()
        task.cancel()
    assert 0.9 < time.monotonic() - started < 3
    await gone(int(log.text))


async def test_cancelling_gives_a_grandchild_time_to_clean_up(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    script = """
(trap 'sleep 0.3; echo cleaned; exit' TERM; echo ready; while :; do sleep 0.05; done) &
wait
"""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run(sh(script), ENV, log))
        await log.shows("ready")
        task.cancel()
    assert "cleaned" in log.text


async def test_cancelling_twice_kills_at_once(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    async with asyncio.TaskGroup() as group:
        script = "trap '' TERM; echo $$; while :; do sleep 1; done"
        task = group.create_task(runner.run(sh(script), ENV, log))
        await log.shows("\n")
        started = time.monotonic()
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()
    assert time.monotonic() - started < 0.8
    await gone(int(log.text))


async def test_a_background_child_does_not_hold_up_the_end_and_goes_on_logging(
    runner: processes.LocalProcesses, log: Logged, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = f"(read -r line <{go}; echo later) & echo now"
    started = time.monotonic()
    assert await runner.run(sh(script), ENV, log) == 0
    assert time.monotonic() - started < 2
    assert log.text == "now\n"
    go.write_text("go\n")
    await log.shows("later")


async def test_closing_ends_what_was_left_in_the_background(
    log: Logged, started: Callable[[], list[psutil.Process]]
) -> None:
    runner = processes.LocalProcesses()
    await runner.run(sh("sleep 1000 & echo $!"), ENV, log)
    await runner.close()
    await gone(int(log.text))
    assert started() == []


async def test_output_without_an_end_of_line_takes_little_memory(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    log.keep = False
    tracemalloc.start()
    try:
        code = await runner.run(sh("head -c 100000000 /dev/zero"), ENV, log)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code == 0
    assert log.biggest <= 65536
    assert peak < 4_000_000


async def test_a_bug_in_the_log_comes_out_and_leaves_no_process(
    runner: processes.LocalProcesses,
) -> None:
    class Broken:
        def write(self, text: str, *, level: str = "info") -> None:
            raise ZeroDivisionError(text, level)

    with pytest.raises(ZeroDivisionError):
        await runner.run(sh("echo x"), ENV, Broken())


def test_when_the_daemon_is_killed_its_processes_end(tmp_path: Path) -> None:
    program = f"""
import asyncio
from tiltd.adapters import processes
from tiltd.model.desired import Command
class Log:
    def write(self, text, *, level="info"):
        print(text, end="", flush=True)
async def main():
    runner = processes.LocalProcesses()
    async with asyncio.TaskGroup() as group:
        for script in ("true", "sleep 1000 & echo $$ $!; wait"):
            group.create_task(runner.run(Command(("sh", "-c", script), "/"), {ENV!r}, Log()))
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        daemon.kill()
    assert len(pids) == 2
    asyncio.run(_all_gone(pids))


async def _all_gone(pids: list[int]) -> None:
    for pid in pids:
        await gone(pid)


async def test_a_guardian_that_was_killed_is_replaced_and_knows_all_groups(
    log: Logged, started: Callable[[], list[psutil.Process]]
) -> None:
    guardian = process_group.Guardian()
    one = process_group.start(("sleep", "1000"), "/", ENV, log, guardian)
    (shell,) = (child for child in started() if child.pid != one.pid)
    shell.send_signal(signal.SIGKILL)
    await gone(shell.pid)
    two = process_group.start(("sleep", "1000"), "/", ENV, log, guardian)
    await guardian.close()  # with groups that it still knows
    assert await one.exited() == await two.exited() == -signal.SIGTERM
    one.release()
    two.release()


class Told:
    def __init__(self) -> None:
        self.statuses: list[ServeStatus] = []
        self._came = asyncio.Event()

    def __call__(self, status: ServeStatus) -> None:
        self.statuses.append(status)
        self._came.set()

    async def until(self, wanted: Callable[[ServeStatus], bool]) -> ServeStatus:
        async with asyncio.timeout(10):
            while not any(map(wanted, self.statuses)):
                self._came.clear()
                await self._came.wait()
        return next(filter(wanted, self.statuses))


async def test_a_served_process_without_a_probe_is_ready_until_it_ends(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    told = Told()
    before = time.time()
    await runner.serve(sh("exit 4"), ENV, None, log, told, "k")
    first, last = told.statuses
    assert (first.key, first.ready, first.exit_code) == ("k", True, None)
    assert before <= first.started_at <= time.time()
    assert first.pid
    assert (last.key, last.ready, last.exit_code) == ("k", False, 4)


async def test_a_served_process_is_ready_when_its_probe_passes_and_no_longer_when_it_fails(
    runner: processes.LocalProcesses, log: Logged, tmp_path: Path
) -> None:
    told = Told()
    probe = Probe(
        Exec(("sh", "-c", "test -e up || { echo no; echo not up; exit 1; }")), period=0.02
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            runner.serve(sh("sleep 1000", tmp_path), ENV, probe, log, told, "k")
        )
        undecided = await told.until(lambda status: bool(status.probe_message))
        assert undecided.ready is None
        assert undecided.probe_message == "sh exited with code 1: not up"
        await told.until(lambda status: status.ready is False)
        (tmp_path / "up").touch()
        ready = await told.until(lambda status: status.ready is True)
        assert ready.probe_message == ""
        told.statuses.clear()
        (tmp_path / "up").unlink()
        await told.until(lambda status: status.ready is False)
        task.cancel()
    await gone(ready.pid)
    assert all(a != b for a, b in zip(told.statuses, told.statuses[1:], strict=False))
    assert told.statuses[-1].exit_code is None


async def test_when_a_served_process_ends_so_does_the_rest_of_its_group(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    await runner.serve(sh("sleep 1000 & echo $!; exit 1"), ENV, None, log, Told(), "k")
    await gone(int(log.text))


async def test_a_served_process_that_cannot_start_is_a_users_error(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    told = Told()
    with pytest.raises(ports.PermanentError, match="no-such-tool"):
        await runner.serve(Command(("no-such-tool",), "/"), ENV, None, log, told, "k")
    assert told.statuses == []


async def test_a_failing_probe_does_not_end_the_process(
    runner: processes.LocalProcesses, log: Logged
) -> None:
    told = Told()
    probe = Probe(Exec(("no-such-tool",)), period=0.01)
    await runner.serve(sh("sleep 0.3; exit 7"), ENV, probe, log, told, "k")
    assert "no-such-tool" in told.statuses[1].probe_message
    assert told.statuses[-1].exit_code == 7
