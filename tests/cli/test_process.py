"""The real process `tilt-client`, with daemons that follow a script."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Place
from tests.fakes import daemon as fake
from tilt_api import address
from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.version import VERSION
from tilt_client import spawn
from tilt_client.commands import doctor
from tilt_client.complaint import Complaint

HEALTHY = fake.SCRIPTS["healthy"]
ENDLESS = fake.SCRIPTS["endless"]
CLEAN = 3.0
"""Seconds in which an interrupt has to have ended everything."""


def read_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Lines of standard output up to the one that contains `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    raise AssertionError(f"{text!r} did not come: {lines}")


def alive(line: str) -> bool:
    """Whether a daemon that was started (a line of `starts`) still runs."""
    pid = int(line.split(maxsplit=1)[0])
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# --- a daemon that runs already ---


def test_a_healthy_session_prints_logs_then_the_verdict(place: Place) -> None:
    with place.serving(fake.Script(HEALTHY)) as servicer:
        done = place.run("ci")
        assert servicer.client_gone.wait(10)
    assert done.stderr == ""
    assert done.returncode == 0
    *lines, verdict = done.stdout.splitlines()
    assert {"web │ building", "web │ the last word"} < set(lines)
    assert verdict == "✔ 1 resource healthy in 12.3s"
    assert "\x1b" not in done.stdout
    assert "Shutdown" not in servicer.calls
    assert place.starts() == []


def test_the_request_carries_all_that_was_asked_for(place: Place) -> None:
    place.env["SOME_VARIABLE"] = "some value"
    with place.serving(fake.Script(HEALTHY)) as servicer:
        flags = ("--context", "kind-x", "--namespace", "n", "--timeout", "2m", "--crash-budget=0")
        assert place.run(*flags, "ci", "web", "--", "--x").returncode == 0
    (request,) = servicer.requests
    assert request.tiltfile_path == str(place.project / "Tiltfile")
    assert (request.mode, request.context, request.namespace) == (pb.MODE_CI, "kind-x", "n")
    assert list(request.args) == ["web", "--x"]
    assert (request.limits.timeout, request.limits.crash_budget) == (120, 0)
    assert not request.limits.HasField("grace")
    assert request.env["SOME_VARIABLE"] == "some value"
    assert request.working_dir == str(place.project)
    assert request.end_with_client


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (pb.OUTCOME_HEALTHY, 0),
        (pb.OUTCOME_FAILED, 1),
        (pb.OUTCOME_TILTFILE_ERROR, 2),
        (pb.OUTCOME_TIMEOUT, 3),
        (pb.OUTCOME_CANCELLED, 130),
    ],
)
def test_the_exit_code_is_the_outcome(
    place: Place, outcome: "pb.Outcome.ValueType", code: int
) -> None:
    with place.serving(fake.Script((fake.End(outcome),))):
        assert place.run("ci").returncode == code


def test_lines_that_come_with_the_verdict_are_printed_before_it(place: Place) -> None:
    many = tuple(f"line {n}" for n in range(5000))
    end = fake.End(pb.OUTCOME_HEALTHY, last=fake.Say(many, "web", "pod/web-1/main/0"))
    with place.serving(fake.Script((end,))):
        lines = place.run("ci").stdout.splitlines()
    assert [line.partition("│ ")[2] for line in lines[:-1]] == list(many)
    assert lines[-1].startswith("✔")


def test_a_project_in_use_is_one_clear_message(place: Place) -> None:
    with place.serving(fake.Script(busy="a session is running already: `up` of /src/Tiltfile")):
        done = place.run("ci")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "tilt-client: a session is running already: `up` of /src/Tiltfile",
        "  hint: wait for it",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_session_and_waits_for_its_end(
    place: Place, number: signal.Signals
) -> None:
    with place.serving(fake.Script(ENDLESS)) as servicer:
        with place.popen("ci") as process:
            read_until(process, "started")
            process.send_signal(number)
            out, err = process.communicate(timeout=CLEAN)
        assert "StopSession" in servicer.calls
    assert process.returncode == 130
    assert out.splitlines()[-1] == "stopped after 12.3s"
    assert err == ""


def test_up_ends_well_with_an_interrupt(place: Place) -> None:
    with place.serving(fake.Script(ENDLESS)) as servicer, place.popen("up") as process:
        read_until(process, "started")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=CLEAN)
        assert process.returncode == 0
        assert servicer.requests[0].mode == pb.MODE_UP


def test_a_second_interrupt_ends_at_once(place: Place) -> None:
    stubborn = fake.Script(fake.SCRIPTS["stubborn"])
    with place.serving(stubborn) as servicer, place.popen("ci") as process:
        read_until(process, "started")
        process.send_signal(signal.SIGINT)
        read_until(process, "stopping")
        process.send_signal(signal.SIGINT)
        assert process.wait(0.5) == 130
        assert servicer.client_gone.wait(10)


def test_a_session_that_will_not_stop_does_not_hold_the_client(place: Place) -> None:
    with place.serving(fake.Script(fake.SCRIPTS["stubborn"])), place.popen("ci") as process:
        read_until(process, "started")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=CLEAN)
    assert process.returncode == 130
    assert "did not end in time" in out


def test_a_killed_client_takes_its_session_along(place: Place) -> None:
    with place.serving(fake.Script(ENDLESS)) as servicer, place.popen("ci") as process:
        read_until(process, "started")
        assert not servicer.client_gone.is_set()
        process.kill()
        assert servicer.client_gone.wait(10)


def test_a_reader_that_leaves_ends_it_quietly(place: Place) -> None:
    many = fake.Say(tuple("x" * 1000 for _ in range(1000)), "web")
    with place.serving(fake.Script((many, fake.AwaitStop()))) as servicer:
        with place.popen("ci") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(10) == 141
            assert process.stderr.read() == ""
        assert servicer.client_gone.wait(10)


def test_a_process_without_outputs_still_has_an_exit_code(place: Place) -> None:
    with place.serving(fake.Script((fake.End(pb.OUTCOME_TIMEOUT),))):
        command = f"{sys.executable} -m tilt_client ci >&- 2>&-"
        shell = ["sh", "-c", command]
        done = subprocess.run(shell, cwd=place.project, env=place.env, check=False)
    assert done.returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_and_ends_the_session(place: Place) -> None:
    steps = (fake.Say(("a line",), "web"), fake.AwaitStop())
    with place.serving(fake.Script(steps)) as servicer, Path("/dev/full").open("w") as full:
        with place.popen("ci", stdout=full.fileno()) as process:
            _, err = process.communicate(timeout=30)
        assert servicer.client_gone.wait(10)
    assert (process.returncode, err) == (
        1,
        "tilt-client: the output can't be written: No space left on device\n",
    )


def test_a_working_folder_that_is_gone_is_told(place: Place) -> None:
    gone = place.project / "gone"
    gone.mkdir()
    command = f"cd {gone}; rmdir {gone}; {sys.executable} -m tilt_client ci"
    done = subprocess.run(
        ["sh", "-c", command], env=place.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tilt-client: the current folder is gone\n")


def test_colours_are_for_terminals(place: Place) -> None:
    with place.serving(fake.Script(HEALTHY)):
        coloured = on_terminal(place, "ci")
        plain = on_terminal(place, "ci", "--no-color")
        place.env["NO_COLOR"] = "1"
        asked = on_terminal(place, "ci")
    assert "\x1b[32m✔ 1 resource healthy" in coloured
    assert "\x1b" not in plain
    assert "\x1b" not in asked


def on_terminal(place: Place, *args: str) -> str:
    """What a client prints that writes to a terminal."""
    place.env["TERM"] = "xterm"
    ours, theirs = pty.openpty()
    with place.popen(*args, stdout=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # how Linux says that the other side was closed
                break
        process.wait(30)
    os.close(ours)
    return said.decode()


def test_an_output_without_unicode_gets_plain_signs(place: Place) -> None:
    place.env |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    odd = fake.Say(("schön",), "web")
    with place.serving(fake.Script((odd, *HEALTHY))):
        done = place.run("ci")
    assert "web | sch?n" in done.stdout.splitlines()
    assert "ok: 1 resource healthy in 12.3s" in done.stdout.splitlines()


# --- starting and ending a daemon ---


def test_ci_starts_a_daemon_and_ends_it(place: Place) -> None:
    place.script("healthy")
    done = place.run("ci")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"Starting tiltd for {place.project}"
    (start,) = place.starts()
    assert start.endswith(" ci")
    assert not alive(start)


def test_up_leaves_its_daemon_running_for_the_next(place: Place) -> None:
    place.script("endless")
    with place.popen("up") as process:
        read_until(process, "started")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=CLEAN)
    assert process.returncode == 0
    (start,) = place.starts()
    assert alive(start)
    stopped = place.run("daemon", "stop")
    assert (stopped.returncode, stopped.stdout) == (
        0,
        f"tiltd (process {start.split()[0]}) has ended\n",
    )
    assert not alive(start)


@pytest.mark.parametrize("script", ["endless", "stubborn"])
def test_an_interrupt_leaves_no_process(place: Place, script: str) -> None:
    place.script(script)
    with place.popen("ci") as process:
        read_until(process, "started")
        (start,) = place.starts()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        took = time.monotonic() - began
    assert process.returncode == 130
    assert not alive(start)
    assert took < CLEAN


def test_the_daemons_files_are_its_owners_alone(place: Place) -> None:
    place.script("healthy")
    place.run("ci")
    home = place.home
    assert Path(home.folder).stat().st_mode & 0o777 == 0o700
    assert Path(home.log).stat().st_mode & 0o777 == 0o600


def test_clients_that_start_at_once_share_one_daemon(place: Place) -> None:
    place.script("endless")
    with place.popen("up") as first, place.popen("up") as second, place.popen("up") as third:
        clients = (first, second, third)
        for process in clients:
            read_until(process, "started")
        assert len(place.starts()) == 1
        for process in clients:
            process.send_signal(signal.SIGINT)
        for process in clients:
            process.communicate(timeout=10)


def test_a_daemon_that_has_the_lock_but_no_socket_yet_is_waited_for(place: Place) -> None:
    """As when someone starts `tiltd` by hand just before."""
    place.env["TILTD_COMMAND"] = f"{sys.executable} {place.project / 'late.py'}"
    (place.project / "late.py").write_text(
        "import os, subprocess, sys\n"
        "from tilt_api import address, handshake\n"
        "home = address.home(sys.argv[2])\n"
        "at = sys.argv.index('--ready-fd') + 1\n"
        "ready, nobody = int(sys.argv[at]), os.open('/dev/null', os.O_WRONLY)\n"
        "sys.argv[at] = str(nobody)\n"
        "command = [sys.executable, '-m', 'tests.fakes.daemon', 'endless', *sys.argv[1:]]\n"
        "subprocess.Popen(command, pass_fds=(nobody,), start_new_session=True)\n"
        "os.write(ready, handshake.encode(handshake.Running(str(home.address))))\n"
    )
    with place.popen("up") as process:
        read_until(process, "started")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=CLEAN)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            "broken",
            ["tilt-client: tiltd ended before it was ready", "RuntimeError: tiltd is broken"],
        ),
        ("silent", ["tilt-client: tiltd ended before it was ready", "hint: its whole log: "]),
        ("unwilling", ["tilt-client: tiltd can't start: no room", "  hint: make room"]),
    ],
)
def test_a_daemon_that_does_not_start_is_told_with_its_reason(
    place: Place, script: str, says: list[str]
) -> None:
    place.script(script)
    done = place.run("ci")
    assert done.returncode == 1
    for text in says:
        assert text in done.stderr
    assert not any(map(alive, place.starts()))


def test_an_interrupt_while_the_daemon_starts_ends_both(place: Place) -> None:
    place.script("mute")
    with place.popen("ci") as process:
        read_until(process, "Starting")
        while not place.starts():
            time.sleep(0.01)  # until the daemon runs, which it tells only a file
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=CLEAN)
    assert (process.returncode, out, err) == (130, "", "")
    assert not any(map(alive, place.starts()))


def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.script("mute")
    for name in ("XDG_RUNTIME_DIR", "TILTD_COMMAND"):
        monkeypatch.setenv(name, place.env[name])
    monkeypatch.setenv("PYTHONPATH", place.env["PYTHONPATH"])
    monkeypatch.setattr(spawn, "STARTING", 0.2)
    address.ensure_folder(place.home)
    own = spawn.Spawned(place.home, str(place.project), spawn.Start("ci", passing=True))
    try:
        with pytest.raises(Complaint, match=r"tiltd was not ready after 0.2s"):
            own.word()
    finally:
        own.end()
        own.close()
    assert not any(map(alive, place.starts()))


def test_a_background_job_goes_on_when_the_terminal_is_interrupted(place: Place) -> None:
    with place.serving(fake.Script(ENDLESS)) as servicer:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = place.popen("ci")
        finally:
            signal.signal(signal.SIGINT, before)
        with process:
            read_until(process, "started")
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=CLEAN)
    assert process.returncode == 130
    assert out.count("stopping") == 1
    assert servicer.calls.count("StopSession") == 1


def test_a_program_that_is_not_there_is_told(place: Place) -> None:
    place.env["TILTD_COMMAND"] = "/no/such/program"
    done = place.run("ci")
    assert done.returncode == 1
    assert "tiltd can't be started" in done.stderr
    assert "TILTD_COMMAND" in done.stderr


def test_a_daemon_that_dies_in_the_middle_is_told_with_the_end_of_its_log(place: Place) -> None:
    place.script("dies")
    done = place.run("ci")
    assert done.returncode == 1
    assert "tilt-client: tiltd has ended unexpectedly" in done.stderr
    assert "  tiltd: bug: the sky is falling" in done.stderr


def test_a_socket_that_a_crash_left_behind_is_in_nobodys_way(place: Place) -> None:
    place.script("dies")
    place.run("ci")
    place.script("healthy")
    assert place.run("ci").returncode == 0


def test_a_daemon_of_another_version_that_works_is_left_alone(place: Place) -> None:
    busy = fake.Script(version="0.0.1", busy="`up` runs")
    with place.serving(busy) as servicer:
        done = place.run("ci")
    assert done.returncode == 1
    assert f"tiltd 0.0.1 (process {os.getpid()}) runs a session" in done.stderr
    assert "hint: end that session first, or: tilt-client daemon stop" in done.stderr
    assert "Shutdown" not in servicer.calls


def test_an_idle_daemon_of_another_version_is_replaced(place: Place) -> None:
    place.script("healthy")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    old_version = fake.Script(version="0.0.1", pid=dead.pid)
    with place.serving(old_version) as old, place.popen("ci") as process:
        assert old.shut_down.wait(10)
        Path(str(place.home.address).removeprefix("unix://")).unlink()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert f"Replacing tiltd 0.0.1 by {VERSION}" in out


def test_a_daemon_of_another_project_is_not_used(place: Place) -> None:
    with place.serving(fake.Script(HEALTHY, project="/elsewhere")):
        done = place.run("ci")
    assert done.returncode == 1
    assert f"serves /elsewhere, not {place.project}" in done.stderr


def test_an_address_without_a_daemon_is_told(place: Place) -> None:
    place.env["TILTD_ADDRESS"] = "127.0.0.1:1"
    done = place.run("ci")
    assert done.returncode == 1
    assert "no tiltd listens on 127.0.0.1:1" in done.stderr


# --- other verbs ---


def test_the_version_is_told_without_a_daemon(place: Place) -> None:
    for args in (("version",), ("--version",)):
        done = place.run(*args)
        assert (done.returncode, done.stdout) == (0, f"tilt-client {VERSION}\n")
    assert place.starts() == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "what to do? A verb is missing"),
        (("deploy",), "there is no verb 'deploy'"),
        (("ci", "--timeout", "soon"), "'soon' is no duration"),
        (("ci", "-f", "missing"), "there is no Tiltfile at"),
        (("version", "--timeout", "3m"), "unrecognized arguments"),
        (("daemon",), "the following arguments are required"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_one_message(
    place: Place, args: tuple[str, ...], says: str
) -> None:
    done = place.run(*args)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ""


@pytest.mark.parametrize("args", [("--help",), ("ci", "-h"), ("up", "--help"), ("daemon", "-h")])
def test_every_verb_has_help(place: Place, args: tuple[str, ...]) -> None:
    done = place.run(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: tilt-client")


def test_the_daemons_status_and_log(place: Place) -> None:
    none = place.run("daemon", "status")
    assert (none.returncode, none.stdout) == (1, "no tiltd runs for this project\n")
    assert place.run("daemon", "stop").returncode == 0
    with place.serving(fake.Script()):
        some = place.run("daemon", "status")
    assert some.returncode == 0
    rows = dict(line.split(maxsplit=1) for line in some.stdout.splitlines() if "idle" not in line)
    assert (rows["version"], rows["project"]) == (VERSION, str(place.project))
    assert rows["process"] == str(os.getpid())
    Path(place.home.log).write_text("one\ntwo\nthree\n")
    assert place.run("daemon", "logs", "-n", "2").stdout == "two\nthree\n"


def test_the_doctor_tells_each_finding_in_a_line(place: Place, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = "[ $1 = buildx ] && exit 1; [ $1 = compose ] && echo v2 && exit; echo 99.9"
    for name, code in (("docker", docker), ("kubectl", "exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{code}\n")
        (programs / name).chmod(0o755)
    place.env["PATH"] = f"{programs}:/usr/bin:/bin"
    done = place.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert f"ok    tilt-client     {VERSION}" in lines
    assert "ok    docker engine   99.9" in lines
    assert "warn  docker buildx   not there" in lines
    assert "ok    docker compose  v2" in lines
    assert "warn  kubernetes      no answer" in lines
    assert sum(line.startswith("      ") for line in lines) == 2


def test_the_doctor_tells_what_is_missing_without_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert doctor.engine().found == f"nothing listens at {tmp_path}/none.sock"
    assert doctor.compose().found == "not there"
    assert doctor.cluster("").found == "unknown: there is no kubectl to ask"


def test_nothing_slow_is_imported_before_the_daemon_is_started() -> None:
    code = (
        "import sys; sys.path.pop(0); sys.argv = ['tilt-client', 'ci', '-f', '/none/Tiltfile']\n"
        "import tilt_client.__main__, tilt_client.commands.up\n"
        "assert tilt_client.__main__.main() == 2\n"
        "slow = {'grpc', 'google.protobuf', 'asyncio', 'importlib.metadata', 'pathlib', 'shutil'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_client_does_without_openssl() -> None:
    code = (
        "import sys; sys.argv = ['tilt-client', 'version']\n"
        "from tilt_client.__main__ import main; main()\n"
        "import tilt_client.session, asyncio, hashlib\n"
        "print(hashlib.sha256(b'').hexdigest()[:4], sys.modules['_ssl'], sys.modules['_hashlib'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "e3b0 None None"


def test_the_engine_is_never_imported() -> None:
    code = (
        "import sys\n"
        "import tilt_client.session, tilt_client.commands.doctor, tilt_client.commands.daemon\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tiltd', 'docker', 'kubernetes')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
