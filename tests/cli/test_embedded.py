"""A cluster of the run's own: when there is one, and what is said of it.

The cluster's program is played by scripts here; `tests/e2e/test_embedded.py` has the real one.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Place
from tilt_client import arguments, embedded
from tilt_client.complaint import Complaint

READY = "print('cluster answers'); print('export KUBECONFIG=/its/kube config', flush=True); "
UNTIL = "sys.stdin.read(); "


def script(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What the cluster's program does."""
    monkeypatch.setattr(embedded, "COMMAND", (sys.executable, "-c", f"import sys; {text}"))


@pytest.mark.parametrize(
    ("env", "kept", "expected"),
    [
        pytest.param({}, False, True, id="nobody has said anything"),
        pytest.param({"KUBECONFIG": ""}, False, True, id="an empty KUBECONFIG is none"),
        pytest.param({}, True, False, id="there is the usual file"),
        pytest.param({"KUBECONFIG": "/none/such"}, False, False, id="a wrong name is a mistake"),
        pytest.param({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, False, id="in a pod"),
    ],
)
def test_a_cluster_comes_unasked_only_where_there_is_no_kubeconfig(
    tmp_path: Path, env: dict[str, str], *, kept: bool, expected: bool
) -> None:
    if kept:
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube" / "config").touch()
    assert embedded.is_missing_kubeconfig({**env, "HOME": str(tmp_path)}) is expected


@pytest.mark.parametrize("before", [None, "/mine"])
def test_kubeconfig_names_the_cluster_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    if before is not None:
        monkeypatch.setenv("KUBECONFIG", before)
    script(monkeypatch, READY + UNTIL)
    said: list[str] = []
    with embedded.passing(said.append, "there is none"):
        assert os.environ["KUBECONFIG"] == "/its/kube config"
    assert os.environ.get("KUBECONFIG") == before
    assert len(said) == 1
    assert said[0].startswith("Embedded cluster ci-")
    assert said[0].endswith("(there is none)")


def test_what_a_cluster_lacks_here_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, f"print('missing: this'); print('missing: that'); {READY}{UNTIL}")
    said: list[str] = []
    with embedded.passing(said.append):
        pass
    assert said[1:] == ["missing: this", "missing: that"]


def test_what_a_cluster_leaves_is_said_and_how_to_remove_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(monkeypatch, f"{READY}{UNTIL}sys.exit(1)")
    said: list[str] = []
    with embedded.passing(said.append):
        name = said[0].split()[2]
    assert said[1] == (
        f"something of the embedded cluster stays: tilt-client cluster down --name {name}"
    )


def test_a_cluster_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, "sys.exit('no room for it')")
    with pytest.raises(Complaint) as raised, embedded.passing(lambda _: None):
        pytest.fail("there is no cluster")
    assert "the embedded cluster has ended when it was started" in str(raised.value)
    assert "no room for it" in str(raised.value)


def test_a_cluster_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, UNTIL)
    monkeypatch.setattr(embedded, "_STARTING", 0.2)
    with pytest.raises(Complaint, match="was not ready in time"), embedded.passing(lambda _: None):
        pytest.fail("there is no cluster")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--cluster", "kind", "--context", "x"], "has a context of its own, not 'x'"),
        (["--cluster", "k3d"], "'k3d' is neither embedded, kind nor current"),
        (["--cluster", "embedded", "--context", "x"], "has a context of its own, not 'x'"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(place: Place, argv: list[str], why: str) -> None:
    done = place.run("ci", *argv)
    assert done.returncode == 2
    assert why in done.stderr
    assert place.starts() == []


def test_the_flag_may_stand_in_front_of_the_verb() -> None:
    found = arguments.verb_first(["--cluster", "current", "ci", "web"])
    assert found == ("ci", ["--cluster", "current", "web"])


def test_the_verb_passes_on_what_the_cluster_says(place: Place) -> None:
    place.env["XDG_STATE_HOME"] = str(place.project)
    place.env["DOCKER_HOST"] = f"unix://{place.project}/none"
    done = place.run("cluster", "status", "--name", "one")
    assert (done.returncode, done.stdout) == (1, 'cluster "one" does not run\n')
    done = place.run("cluster", "up", "--name", "One")
    assert done.returncode == 1
    assert "a cluster can't be called 'One'" in done.stderr
    done = place.run("cluster", "sideways")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_reports_tell_of_a_cluster_that_cannot_start(place: Place) -> None:
    (place.project / "file").touch()
    place.env["XDG_STATE_HOME"] = str(place.project / "file")
    done = place.run("ci", "--cluster", "embedded", "--report", "json=report.json")
    assert done.returncode == 1
    assert "the embedded cluster has ended when it was started" in done.stderr
    assert "the embedded cluster has ended" in (place.project / "report.json").read_text()
    assert place.starts() == []
