"""`./try.sh`: its verdict is that of `ci`, it ends what it has started, and passes signals on.

The machine's programs are scripts in front of PATH; what they do is make a file, or remove it.
"""

import os
import signal
import threading
from pathlib import Path

import pytest
from tools.realcluster import cluster, console, engine, packages, settings

from tools import base_images, first_run


class Machine:
    """One with systemd, on which an Engine answers when the file `runs` is there."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.runs, self.ci = folder / "bin", folder / "runs", folder / "ci"
        self.folders = settings.Folders(cache=folder / "cache", state=folder / "state")
        self.programs.mkdir()
        self.write("docker", f"test -e {self.runs}")
        self.write("dockerd", "exit 1")
        self.write(
            "systemctl", f"case $1 in start) touch {self.runs};; stop) rm {self.runs};; esac"
        )
        self.write("tilt-client", f'echo "$@" "$KUBECONFIG" >> {self.ci}; test "$1" != ci')

    def write(self, name: str, script: str) -> Path:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def asked(self) -> list[str]:
        return self.ci.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)

    def nothing(*_: object) -> None:
        """All is installed."""

    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(packages, "ensure", nothing)
    monkeypatch.setattr(base_images, "archive", nothing)
    monkeypatch.setattr(first_run, "_environment", lambda: None)
    monkeypatch.setattr(first_run, "_CLIENT", made.programs / "tilt-client")
    monkeypatch.setattr(settings, "folders", lambda: made.folders)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made.folders.state.mkdir()
    return made


def test_the_exit_code_is_that_of_ci_and_the_engine_is_ended_if_it_was_started(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first_run.main([]) == 1
    assert machine.asked()[0].startswith("ci --cluster embedded -f ")
    assert "red: exit code 1" in capsys.readouterr().err
    assert not machine.runs.exists()

    machine.write("tilt-client", "exit 0")
    assert first_run.main([]) == 0
    assert "green: exit code 0" in capsys.readouterr().err
    assert not machine.runs.exists()


def test_an_engine_that_was_there_stays(machine: Machine) -> None:
    machine.runs.touch()
    first_run.main([])
    assert machine.runs.exists()
    assert not engine.started(machine.folders)


def test_what_is_kept_stays_until_it_is_ended(machine: Machine) -> None:
    where = "kubeconfig) echo /its/kubeconfig;; esac; case $1 in ci) exit 0;; esac"
    machine.write("tilt-client", f'echo "$@" "$KUBECONFIG" >> {machine.ci}; case $2 in {where}')
    assert first_run.main(["--keep"]) == 0
    assert machine.runs.exists()
    ran = next(line for line in machine.asked() if line.startswith("ci "))
    assert ran.startswith("ci --cluster current -f ")
    assert ran.endswith(" /its/kubeconfig")

    assert first_run.main(["--down"]) == 0
    assert not machine.runs.exists()
    assert any(line.startswith("cluster down --name try") for line in machine.asked())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ci_gets_the_signal_and_says_how_it_ends(machine: Machine, number: signal.Signals) -> None:
    machine.runs.touch()
    told, ready = machine.programs / "told", machine.programs / "ready"
    os.mkfifo(ready)
    caught = f"trap 'touch {told}; exit 130' {number.name.removeprefix('SIG')}"
    machine.write("tilt-client", f"{caught}; echo > {ready}; while :; do sleep 0.1; done")

    def send() -> None:
        ready.read_text()
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    assert first_run.main([]) == 130
    sender.join()
    assert told.exists()


def test_whoever_is_not_root_is_told_why_that_matters(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert first_run.main([]) == 1
    assert "names and addresses of Services need root" in capsys.readouterr().err
    assert not machine.ci.exists()


def test_down_ends_the_engine_that_systemd_was_asked_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[settings.Folders] = []  # what it takes back of the network is the machine's own
    monkeypatch.setattr(cluster, "remove", removed.append)
    engine.ensure(machine.folders)
    assert engine.started(machine.folders)
    cluster.down(machine.folders)
    assert removed == [machine.folders]
    assert not machine.runs.exists()


def test_an_engine_that_does_not_come_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.write("systemctl", "exit 0")
    monkeypatch.setattr(engine, "_PATIENCE", 0.0)
    with pytest.raises(console.Failure, match="journalctl -u docker"):
        engine.ensure(machine.folders)
