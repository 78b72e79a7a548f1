import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.realcluster import console, process, settings

# Says that it is ready by writing a file, then waits for its end.
SERVE = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVE}"


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[settings.Folders]:
    made = settings.Folders(cache=tmp_path / "cache", state=tmp_path / "state")
    yield made
    for name in process.names(made):
        process.stop(made, name, grace=0)


def service(folders: settings.Folders, code: str, name: str = "server") -> process.Service:
    sign = folders.state / "ready"
    return process.Service(name, [sys.executable, "-c", code, str(sign)], ready=sign.exists)


def test_a_started_service_is_found_by_its_pid_file_and_not_started_twice(
    folders: settings.Folders,
) -> None:
    process.ensure(folders, service(folders, SERVE))
    first = process.running(folders, "server")
    process.ensure(folders, service(folders, SERVE))

    assert first is not None
    assert process.running(folders, "server") == first


def test_a_service_is_the_leader_of_its_own_session(folders: settings.Folders) -> None:
    process.ensure(folders, service(folders, SERVE))

    identity = process.running(folders, "server")

    assert identity is not None
    assert os.getsid(identity.pid) == identity.pid


def test_stop_ends_the_process_and_forgets_it(folders: settings.Folders) -> None:
    process.ensure(folders, service(folders, SERVE))
    identity = process.running(folders, "server")
    assert identity is not None

    process.stop(folders, "server")

    assert process.identify(identity.pid) != identity
    assert process.names(folders) == []


def test_what_ignores_sigterm_is_killed_after_the_grace(folders: settings.Folders) -> None:
    process.ensure(folders, service(folders, STUBBORN))
    identity = process.running(folders, "server")
    assert identity is not None

    begin = time.monotonic()
    process.stop(folders, "server", grace=0.3)

    assert time.monotonic() - begin >= 0.3
    assert process.identify(identity.pid) != identity


@pytest.mark.parametrize(
    "change", [pytest.param({"start": 1}, id="start"), pytest.param({"boot": "other"}, id="boot")]
)
def test_a_process_that_only_has_the_same_pid_is_not_ours_and_lives_on(
    folders: settings.Folders, change: dict[str, object]
) -> None:
    process.ensure(folders, service(folders, SERVE))
    identity = process.running(folders, "server")
    assert identity is not None
    stranger = folders.pids / "stranger"
    stranger.write_text(json.dumps({**dataclasses.asdict(identity), **change}))

    assert process.running(folders, "stranger") is None
    process.stop(folders, "stranger")

    assert process.identify(identity.pid) == identity
    assert not stranger.exists()


def test_a_service_that_ends_is_reported_with_the_end_of_its_log(
    folders: settings.Folders,
) -> None:
    code = "import sys; sys.exit('the port is taken')"

    with pytest.raises(console.Failure, match="server ended") as caught:
        process.ensure(folders, service(folders, code))

    assert "the port is taken" in str(caught.value)
    assert str(process.log_of(folders, "server")) in str(caught.value)


def test_a_service_that_never_gets_ready_is_reported_after_its_patience(
    folders: settings.Folders,
) -> None:
    never = dataclasses.replace(service(folders, SERVE), ready=lambda: False, patience=0.2)

    with pytest.raises(console.Failure, match="not ready after"):
        process.ensure(folders, never)


def test_a_failing_command_says_what_it_said() -> None:
    with pytest.raises(console.Failure, match=r"(?s)exit code 3.*no such thing"):
        process.run(sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)")
