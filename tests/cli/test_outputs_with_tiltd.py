"""What real runs leave: reports, events, logs, and the marks of CI systems."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import junit_schema, schema
from tests.cli.conftest import Place, tiltfile
from tests.cli.test_process import read_until
from tests.cli.test_with_tiltd import daemons

BROKEN = (
    "local_resource('good', 'echo fine')\n"
    "local_resource('check', 'echo first; echo \"last | words\"; sleep 0.2; exit 3')\n"
    "local_resource('after', 'true', resource_deps=['check'])\n"
    "local_resource('manual', 'true', auto_init=False)\n"
)
EVERYTHING = (
    *("--report", "junit=out/junit.xml", "--report=json=out/report.json"),
    *("--events", "out/events.jsonl", "--log-dir", "out/logs"),
    *("--output-snapshot-on-exit", "out/snapshot.json"),
)


@pytest.fixture
def real(place: Place) -> Iterator[Place]:
    del place.env["TILTD_COMMAND"]
    place.env["KUBECONFIG"] = str(place.project / "none")
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        place.env.pop(name, None)
    yield place
    place.run("daemon", "stop")


def read(place: Place, name: str) -> str:
    return (place.project / "out" / name).read_text(encoding="utf-8")


def report(place: Place) -> Any:
    found = json.loads(read(place, "report.json"))
    schema.check(found, "report-v1")
    return found


def events(place: Place) -> list[Any]:
    found = [json.loads(text) for text in read(place, "events.jsonl").splitlines()]
    for event in found:
        schema.check(event, "events-v1")
    return found


def test_a_failed_run_leaves_all_that_was_asked_for(real: Place) -> None:
    tiltfile(real, f"config.define_string('password')\nconfig.parse()\n{BROKEN}")
    done = real.run("ci", *EVERYTHING, "--", "--password=hunter2hunter2")
    assert (done.returncode, done.stderr) == (1, "")

    told = report(real)
    assert (told["outcome"], told["exitCode"]) == ("failed", 1)
    assert told["summary"] == done.stdout.splitlines()[-1]
    results = {r["name"]: r["result"] for r in told["resources"]}
    assert results["check"] == "failed"
    assert results["after"] == "unfinished"
    assert results["manual"] == "not-started"
    (check,) = (r for r in told["resources"] if r["name"] == "check")
    assert check["findings"][0]["lastLines"]["lines"] == ["first", "last | words"]
    assert check["seconds"] >= 0.2

    found = junit_schema.cases(junit_schema.check(read(real, "junit.xml")))
    assert found["check"].findtext("system-out") == "first\nlast | words"
    assert found["check"].find("failure") is not None
    assert found["after"].find("skipped") is not None

    happened = events(real)
    assert happened[0]["type"] == "session-started"
    assert happened[-1] == {**happened[-1], "type": "exit", "exitCode": 1}
    verdicts = [e["verdict"] for e in happened if e.get("resource") == "check" and "verdict" in e]
    assert verdicts[-1] == "failed"

    logs = {path.name: path.read_text() for path in (real.project / "out/logs").iterdir()}
    lines = [text.partition("| ")[2] for text in logs["check.log"].splitlines()]
    assert lines == ["first", "last | words"]
    snapshot = json.loads(read(real, "snapshot.json"))
    assert "last | words" in {entry["text"] for entry in snapshot["log"]}
    assert snapshot["logComplete"]
    assert len(snapshot["snapshot"]["resources"]) == 4

    written = [path for path in (real.project / "out").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert not any("hunter2" in path.read_text(encoding="utf-8") for path in written)
    assert daemons(real) == []


def test_a_healthy_run_is_green_everywhere(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo hello; sleep 0.1')")
    done = real.run("ci", *EVERYTHING)
    assert done.returncode == 0
    told = report(real)
    assert (told["outcome"], told["exitCode"], told["problems"]) == ("healthy", 0, [])
    assert told["resources"][0]["times"]["command"] >= 0.1
    root = junit_schema.check(read(real, "junit.xml"))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert events(real)[-1]["exitCode"] == 0
    table = done.stdout.splitlines()[-3:-1]
    assert table[0].split() == ["command", "until", "ready", "ready", "at"]
    assert table[1].startswith("a ")


def test_what_programs_print_never_breaks_a_report(real: Place) -> None:
    tiltfile(
        real, r"""local_resource('a', r'printf "\033[31mred\033[0m \a \000 ]]> \377\n"; exit 1')"""
    )
    assert real.run("ci", *EVERYTHING).returncode == 1
    printed = junit_schema.cases(junit_schema.check(read(real, "junit.xml")))["a"]
    assert (printed.findtext("system-out") or "").startswith("red ")
    assert "\x1b" not in read(real, "logs/a.log")
    report(real)


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--report=junit=Tiltfile/x", "exists"),
        ("--report=json=.", "Is a directory"),
        ("--events=/proc/none/x", "No such file"),
        ("--log-dir=Tiltfile", "File exists"),
        ("--report=xml=x", "'xml=x' is no report: write junit=FILE or json=FILE"),
        ("--report=junit", "is no report"),
    ],
)
def test_what_can_not_be_written_is_told_before_any_work(real: Place, flag: str, says: str) -> None:
    tiltfile(real, "local_resource('a', 'touch worked')")
    done = real.run("ci", flag)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (real.project / "worked").exists()


def test_one_file_is_not_written_twice(real: Place) -> None:
    done = real.run("ci", "--report", "junit=x", "--report", "json=./x")
    assert done.returncode == 2
    assert "would be written twice" in done.stderr


def test_a_report_that_can_not_be_finished_makes_no_green_job(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'rm -rf out; touch out')")
    done = real.run("ci", "--report", "json=out/report.json")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"tilt-client: {real.project}/out/report.json can't be written: Not a directory"
    ]
    assert "✔ 1 resource healthy" in done.stdout


def test_an_error_in_the_tiltfile_is_reported(real: Place) -> None:
    tiltfile(real, "\nlocal_resorce('a')")
    assert real.run("ci", *EVERYTHING).returncode == 2
    told = report(real)
    assert told["outcome"] == "tiltfile-error"
    assert (told["problems"][0]["file"], told["problems"][0]["line"]) == ("Tiltfile", 2)
    root = junit_schema.check(read(real, "junit.xml"))
    assert root.get("errors") == "1"


def test_an_interrupted_run_is_reported(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo busy; sleep 1000')")
    with real.popen("ci", *EVERYTHING) as process:
        read_until(process, "busy")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130
    assert report(real)["outcome"] == "cancelled"
    assert junit_schema.check(read(real, "junit.xml")).get("errors") == "1"
    assert events(real)[-1]["exitCode"] == 130


def test_a_daemon_that_dies_leaves_a_report(place: Place) -> None:
    place.script("dies")
    done = place.run("ci", *EVERYTHING)
    assert done.returncode == 1
    told = report(place)
    assert (told["outcome"], told["exitCode"]) == ("error", 1)
    assert told["problems"][-1]["message"] == "tiltd has ended unexpectedly"
    assert junit_schema.check(read(place, "junit.xml")).get("errors") == "1"
    assert [event["type"] for event in events(place)][-2:] == ["error", "exit"]
    assert json.loads(read(place, "events.jsonl").splitlines()[-1])["exitCode"] == 1


def test_a_daemon_that_does_not_start_leaves_a_report(place: Place) -> None:
    done = place.run("ci", *EVERYTHING)
    assert done.returncode == 1
    assert report(place)["problems"][0]["message"] == "tiltd can't start: no room"
    assert junit_schema.check(read(place, "junit.xml")).get("errors") == "1"


def test_quiet_prints_failures_and_the_summary(real: Place) -> None:
    tiltfile(real, BROKEN)
    done = real.run("ci", "--quiet")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✘ check: ")
    assert lines[-1].startswith("✘ 1 of 3 resources failed in ")
    assert "    last | words" in lines
    tiltfile(real, "local_resource('a', 'echo hello')")
    done = real.run("ci", "-q")
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("✔ 1 resource healthy in ")


def test_events_come_as_they_happen(real: Place) -> None:
    slow = "local_resource('slow', 'sleep 1000', resource_deps=['a'])"
    tiltfile(real, f"local_resource('a', 'true')\n{slow}")
    pipe = real.project / "pipe"
    os.mkfifo(pipe)
    with real.popen("ci", "--events", "pipe") as process, pipe.open() as lines:
        for text in lines:
            event = json.loads(text)
            if event["type"] == "resource" and event["result"] == "healthy":
                break
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert [json.loads(text) for text in lines][-1]["exitCode"] == 130
        process.communicate(timeout=10)


def test_github_folds_the_log_and_marks_the_failures(real: Place) -> None:
    tiltfile(real, BROKEN + "local_resource('evil', 'echo ::error::evil')")
    page = real.project / "summary.md"
    page.write_text("# of another step\n")
    real.env |= {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(real.project.parent),
        "GITHUB_STEP_SUMMARY": str(page),
    }
    done = real.run("ci", "--report", "json=out/report.json")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    begin = lines.index("::group::tilt-client ci")
    token = lines[begin + 1].removeprefix("::stop-commands::")
    end = lines.index("::endgroup::")
    assert lines[end - 1] == f"::{token}::"
    assert any("last | words" in text for text in lines[begin:end])
    assert lines[end + 1] == f"::stop-commands::{token}"
    assert lines[-2] == f"::{token}::"
    assert lines[-1].startswith("::error title=check%3A ")
    assert "last | words" in lines[-1]
    assert page.read_text().startswith("# of another step\n### ❌ project: 1 of ")
    umask = os.umask(0)
    os.umask(umask)
    mode = stat.S_IMODE((real.project / "out/report.json").stat().st_mode)
    assert mode == 0o666 & ~umask


def test_a_summary_that_github_does_not_take_is_told(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'true')")
    real.env |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/proc/none/x"}
    done = real.run("ci")
    assert done.returncode == 0
    assert (
        done.stderr
        == "tilt-client: the job's summary can't be written: No such file or directory\n"
    )


def test_gitlab_folds_the_log(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo hello')")
    real.env["GITLAB_CI"] = "true"
    out = real.run("ci").stdout
    assert out.index("section_start:") < out.index("a │ hello") < out.index("section_end:")
    assert out.index("section_end:") < out.index("✔ 1 resource healthy")


def test_up_leaves_a_report_of_its_end(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo hello')")
    with real.popen("up", *EVERYTHING) as process:
        read_until(process, "✔ healthy")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0
    told = report(real)
    assert (told["outcome"], told["exitCode"]) == ("cancelled", 0)
    assert told["resources"][0]["result"] == "healthy"
    root = junit_schema.check(read(real, "junit.xml"))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert Path(real.project, "out/snapshot.json").exists()
