"""Local commands and served processes."""

import pytest

from tiltd.core.health.local import Probe, command, serve
from tiltd.model.health import Finding, Verdict


@pytest.mark.parametrize(
    ("found", "verdict", "rule"),
    [
        pytest.param(command("lint", None), Verdict.PROGRESSING, "command.running", id="running"),
        pytest.param(command("lint", 0), Verdict.HEALTHY, "command.done", id="succeeded"),
        pytest.param(command("lint", 2), Verdict.FAILED, "command.failed", id="failed"),
        pytest.param(serve("api", None, Probe.NONE), Verdict.HEALTHY, "serve.running", id="serves"),
        pytest.param(
            serve("api", None, Probe.WAITING),
            Verdict.PROGRESSING,
            "serve.probe",
            id="not ready yet",
        ),
        pytest.param(serve("api", None, Probe.PASSING), Verdict.HEALTHY, "serve.ready", id="ready"),
        pytest.param(
            serve("api", None, Probe.FAILING), Verdict.FAILING, "serve.probe", id="probe fails"
        ),
        pytest.param(serve("api", 0, Probe.PASSING), Verdict.FAILED, "serve.exited", id="exit 0"),
    ],
)
def test_local_target(found: Finding, verdict: Verdict, rule: str) -> None:
    assert (found.verdict, found.rule) == (verdict, rule)


def test_a_command_ended_by_a_signal_is_told_by_its_name() -> None:
    found = command("lint", -9)
    assert (found.exit_code, found.signal) == (-9, 9)
    assert found.message == "lint has failed: exit code 137 (SIGKILL)"


def test_a_refused_probe_comes_with_advice() -> None:
    found = serve("api", None, Probe.FAILING, said="dial tcp 127.0.0.1:80: connection refused")
    assert "nothing listens there" in found.hint
