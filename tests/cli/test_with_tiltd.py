"""Client and daemon together, without a cluster: what a script must be able to rely on."""

import signal
import time

import psutil

from tests.cli.conftest import Place, tiltfile
from tests.cli.test_process import CLEAN, read_until


def daemons(place: Place) -> list[psutil.Process]:
    """Processes that work for this test's project."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(place.project) in (process.info["cmdline"] or ())
    ]


def test_a_healthy_project(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo hello')\nlocal_resource('b', 'true')")
    done = real.run("ci")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "a │ hello" in lines
    assert lines[-1].startswith("✔ 2 resources healthy in ")
    assert daemons(real) == []


def test_a_failing_command(real: Place) -> None:
    tiltfile(real, "local_resource('check', 'echo first; echo last words; exit 3')")
    done = real.run("ci")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    at = lines.index("  last 2 lines of the command:")
    assert lines[at - 1].startswith("✘ check: ")
    assert "exit code 3" in lines[at - 1]
    assert lines[at + 1 : at + 3] == ["    first", "    last words"]
    assert lines[-1].startswith("✘ 1 of 1 resource failed in ")
    assert daemons(real) == []


def test_an_error_in_the_tiltfile(real: Place) -> None:
    tiltfile(real, "\n  \nlocal_resorce('a', 'true')\n")
    done = real.run("ci")
    assert (done.returncode, done.stderr) == (2, "")
    assert "✘ Tiltfile:3:1: " in done.stdout


def test_a_run_that_takes_too_long(real: Place) -> None:
    tiltfile(real, "local_resource('slow', 'sleep 1000')")
    done = real.run("ci", "--timeout", "3s")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1].endswith("1 of 1 resource not healthy: slow")
    assert daemons(real) == []


def test_an_interrupt_leaves_neither_daemon_nor_command(real: Place) -> None:
    tiltfile(real, f"local_resource('a', ['sh', '-c', 'echo busy; sleep 1000', '{real.project}'])")
    with real.popen("ci") as process:
        read_until(process, "busy")
        assert len(daemons(real)) == 2
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=CLEAN)
        assert time.monotonic() - began < CLEAN
    assert process.returncode == 130
    assert daemons(real) == []


def test_a_second_client_is_told_who_is_there(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo busy', serve_cmd='sleep 1000')")
    with real.popen("up") as process:
        read_until(process, "busy")
        second = real.run("ci")
        assert second.returncode == 1
        assert "a session is running in this project already: `up`" in second.stderr
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0
    tiltfile(real, "local_resource('a', 'echo next')")
    assert real.run("ci").returncode == 0
    assert real.run("daemon", "status").returncode == 0


def test_a_killed_client_leaves_no_session(real: Place) -> None:
    tiltfile(real, f"local_resource('a', ['sh', '-c', 'echo busy; sleep 1000', '{real.project}'])")
    with real.popen("ci") as process:
        read_until(process, "busy")
        left = daemons(real)
        process.kill()
    assert len(left) == 2
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


def test_arguments_reach_the_tiltfile(real: Place) -> None:
    tiltfile(
        real,
        "config.define_string_list('to-run', args=True)\n"
        "chosen = config.parse().get('to-run', [])\n"
        "for name in chosen:\n  local_resource(name, 'true')\n",
    )
    done = real.run("ci", "one", "--", "two")
    assert done.returncode == 0
    assert "✔ 2 resources healthy" in done.stdout


def test_a_broken_tiltfile_is_read_again_when_it_is_mended(real: Place) -> None:
    tiltfile(real, "local_resorce('a', 'echo hello')\n")
    with real.popen("up") as process:
        read_until(process, "local_resorce")
        tiltfile(real, "local_resource('a', 'echo hello')\n")
        read_until(process, "a │ hello")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=CLEAN)
