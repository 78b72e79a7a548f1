"""What the verbs that ask a daemon say of a real one, without a cluster."""

import json
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cli import schema
from tests.cli.conftest import Place, tiltfile
from tests.cli.test_process import read_until

if TYPE_CHECKING:
    import subprocess

APP = (
    "local_resource('build', 'echo building; touch worked', labels=['x'])\n"
    "local_resource('web', serve_cmd='echo serving; exec sleep 1000', resource_deps=['build'])\n"
    "local_resource('seed', 'echo sown', auto_init=False)\n"
    "local_resource('wrong', 'echo oh no; exit 3', auto_init=False)\n"
)


@pytest.fixture
def up(real: Place) -> Iterator["subprocess.Popen[str]"]:
    """A session that goes on, with everything that starts by itself healthy."""
    tiltfile(real, APP)
    with real.popen("up", "--stable-for", "0") as process:
        try:
            read_until(process, "web   │ ✔ healthy")
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=10)
        finally:
            process.kill()


def test_without_a_daemon_each_says_so(real: Place) -> None:
    for verb in ("get", "status", "describe", "logs"):
        done = real.run(verb)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no tiltd runs for this project" in done.stderr
    assert real.run("wait", "--all").returncode == 1
    assert real.run("trigger", "web").returncode == 1
    assert real.run("daemon", "status").returncode == 1


@pytest.mark.usefixtures("up")
def test_get_and_status_list_the_resources(real: Place) -> None:
    listed = [text.split()[:2] for text in real.run("get").stdout.splitlines()]
    rows = [["build", "Healthy"], ["web", "Healthy"], ["seed", "Waiting"], ["wrong", "Waiting"]]
    assert listed == [["NAME", "VERDICT"], *rows]
    assert real.run("get", "-o", "name", "web").stdout == "uiresource.tilt.dev/web\n"
    one = json.loads(real.run("get", "uiresource/web", "-o", "json").stdout)
    assert (one["kind"], one["status"]["runtimeStatus"]) == ("UIResource", "ok")
    every = yaml.safe_load(real.run("get", "uiresources", "-o", "yaml").stdout)
    assert [item["metadata"]["name"] for item in every["items"]] == [row[0] for row in rows]

    told = real.run("status").stdout.splitlines()
    assert told[0] == f"up of {real.project}/Tiltfile"
    assert told[1].startswith("running for ")
    assert told[1].endswith("2 of 2 resources healthy")
    report = json.loads(real.run("status", "-o", "json").stdout)
    schema.check(report, "report-v1")
    assert (report["outcome"], report["exitCode"]) == ("running", None)
    assert yaml.safe_load(real.run("status", "-o", "yaml").stdout)["schema"] == "tiltd.report/v1"

    unknown = real.run("get", "wbe")
    assert unknown.returncode == 1
    assert "there are: build, web, seed, wrong" in unknown.stderr


@pytest.mark.usefixtures("up")
def test_wait_and_trigger_do_what_scripts_need(real: Place) -> None:
    done = real.run("wait", "--for=condition=Ready", "uiresource/web", "build")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "uiresource.tilt.dev/web condition met",
        "uiresource.tilt.dev/build condition met",
    ]
    assert real.run("wait", "--all").stdout.count("condition met") == 2
    late = real.run("wait", "seed", "--timeout", "300ms")
    assert late.returncode == 3
    assert "timed out waiting for the condition Ready on seed" in late.stderr
    assert real.run("wait", "seed", "--timeout=0").returncode == 3
    assert real.run("trigger", "seed", "wrong").stdout == "seed triggered\nwrong triggered\n"
    assert real.run("wait", "seed", "--timeout", "20s").returncode == 0
    assert real.run("wait", "web", "--for", "condition=Ready=False", "--timeout=0").returncode == 3
    assert real.run("wait", "web", "--for", "delete").returncode == 2
    assert real.run("wait").returncode == 2
    assert real.run("wait", "wbe").returncode == 1
    assert real.run("trigger", "wbe").returncode == 1


def test_logs_and_descriptions_tell_what_was_printed(
    real: Place, up: "subprocess.Popen[str]"
) -> None:
    assert real.run("logs", "build").stdout == "build │ building\n"
    assert "web   │ serving" in real.run("logs", "--source=runtime").stdout
    assert "building" not in real.run("logs", "--source=runtime").stdout
    assert real.run("logs", "--tail", "0").stdout == ""
    assert real.run("logs", "--since", "0").stdout == ""
    entry = json.loads(real.run("logs", "build", "--json").stdout)
    assert (entry["resource"], entry["text"], entry["level"]) == ("build", "building", "info")
    with real.popen("logs", "-f", "wrong") as following:
        real.run("trigger", "wrong")
        read_until(following, "oh no")
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=10)
    assert following.returncode == 130
    read_until(up, "✘ wrong")

    told = real.run("describe", "wrong").stdout.splitlines()
    assert told[0] == "Name:         wrong"
    assert "Verdict:      Failed" in told
    assert "      oh no" in told[told.index("Why:") :]
    assert real.run("describe").stdout.count("Name: ") == 4


def test_what_can_not_become_so_any_more_is_told_at_once(
    real: Place, up: "subprocess.Popen[str]"
) -> None:
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=10)
    done = real.run("wait", "seed", "--timeout", "1h")
    assert done.returncode == 1
    assert "the session is over, and seed did not become Ready" in done.stderr
    assert real.run("status").stdout.splitlines()[1].endswith(" ago")
    refused = real.run("trigger", "seed")
    assert refused.returncode == 1
    assert "the session is over" in refused.stderr
