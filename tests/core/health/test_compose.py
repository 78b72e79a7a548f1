"""The verdict on a Docker Compose service, for everything that its container can be."""

from dataclasses import replace

import pytest

from tiltd.core.health import compose
from tiltd.core.health.compose import Service
from tiltd.model.health import Finding, Limits, Verdict
from tiltd.model.observed import ServiceContainer
from tiltd.model.state import ServiceUp

NOW = 1_000_000.0
LIMITS = Limits(stable_for=5, crash_budget=2, grace=30, readiness=300)
RUNS = ServiceContainer("c1", "shop-db-1", "running", started_at=NOW - 60)
ENDED = replace(RUNS, status="exited", finished_at=NOW - 1)
SERVICE = Service("db")


def up(*containers: ServiceContainer, at: float = NOW - 60) -> ServiceUp:
    return ServiceUp("key", 1, at, len(containers), seen=True, containers=containers)


def judge(
    container: ServiceContainer, service: Service = SERVICE, limits: Limits = LIMITS
) -> Finding:
    (found,) = compose.assess(service, up(container), limits, NOW)
    return found


@pytest.mark.parametrize(
    ("container", "verdict", "rule"),
    [
        pytest.param(RUNS, Verdict.HEALTHY, "compose.running", id="runs"),
        pytest.param(
            replace(RUNS, started_at=NOW - 4),
            Verdict.PROGRESSING,
            "compose.stabilising",
            id="for a short time",
        ),
        pytest.param(
            replace(RUNS, health="healthy"), Verdict.HEALTHY, "compose.ready", id="healthy"
        ),
        pytest.param(
            replace(RUNS, health="starting"), Verdict.PROGRESSING, "compose.probe", id="starting"
        ),
        pytest.param(
            replace(RUNS, health="unhealthy"), Verdict.FAILING, "compose.unhealthy", id="unhealthy"
        ),
        pytest.param(ENDED, Verdict.HEALTHY, "compose.done", id="a job that is done"),
        pytest.param(
            replace(ENDED, exit_code=1), Verdict.FAILED, "compose.exited", id="a job that failed"
        ),
        pytest.param(
            replace(ENDED, health="healthy"),
            Verdict.FAILED,
            "compose.exited",
            id="a server has a healthcheck",
        ),
        pytest.param(
            replace(RUNS, status="restarting", restarts=1, exit_code=1),
            Verdict.FAILING,
            "compose.crash-loop",
            id="is started again",
        ),
        pytest.param(
            replace(RUNS, status="restarting", restarts=3, exit_code=1),
            Verdict.FAILED,
            "compose.crash-loop",
            id="too often",
        ),
        pytest.param(
            replace(RUNS, restarts=3), Verdict.FAILED, "compose.crash-loop", id="too often, and up"
        ),
        pytest.param(replace(RUNS, restarts=2), Verdict.HEALTHY, "compose.running", id="recovered"),
        pytest.param(
            replace(RUNS, status="created"), Verdict.PROGRESSING, "compose.starting", id="created"
        ),
        pytest.param(
            replace(RUNS, status="created", error="no such program"),
            Verdict.FAILED,
            "compose.start-failed",
            id="not startable",
        ),
        pytest.param(
            replace(RUNS, status="paused"), Verdict.FAILING, "compose.paused", id="paused"
        ),
    ],
)
def test_each_state_of_a_container_has_its_verdict(
    container: ServiceContainer, verdict: Verdict, rule: str
) -> None:
    found = judge(container)
    assert (found.verdict, found.rule) == (verdict, rule)
    assert "db" in found.message
    assert found.object.name == "shop-db-1"


@pytest.mark.parametrize(
    ("service", "verdict", "rule"),
    [
        pytest.param(SERVICE, Verdict.HEALTHY, "compose.done", id="a job"),
        pytest.param(
            replace(SERVICE, server=True), Verdict.FAILED, "compose.exited", id="it has ports"
        ),
        pytest.param(replace(SERVICE, wait=True), Verdict.FAILED, "compose.exited", id="wait"),
        pytest.param(
            replace(SERVICE, server=True, ends=True),
            Verdict.HEALTHY,
            "compose.done",
            id="others wait for its end",
        ),
    ],
)
def test_what_ends_well_is_done_unless_it_is_a_server(
    service: Service, verdict: Verdict, rule: str
) -> None:
    found = judge(ENDED, service)
    assert (found.verdict, found.rule) == (verdict, rule)


def test_who_ends_well_and_must_not_is_told_what_to_do() -> None:
    assert "in the foreground" in judge(ENDED, replace(SERVICE, server=True)).hint
    assert "wait=True" in judge(ENDED, replace(SERVICE, wait=True)).hint


def test_what_others_wait_to_end_is_not_ready_while_it_runs() -> None:
    found = judge(RUNS, replace(SERVICE, ends=True))
    assert (found.verdict, found.rule) == (Verdict.PROGRESSING, "compose.ending")


def test_an_exit_is_told_with_code_signal_and_advice() -> None:
    found = judge(replace(ENDED, exit_code=139))
    assert found.message == "db has ended, exit code 139 (SIGSEGV)"
    assert (found.exit_code, found.signal) == (139, 11)
    assert "memory that it may not" in found.hint


def test_memory_that_ran_out_is_named() -> None:
    found = judge(replace(ENDED, exit_code=137, oom_killed=True))
    assert "more memory than it may" in found.message
    assert found.reason == "OOMKilled"
    assert "mem_limit" in found.hint


def test_an_unhealthy_server_has_the_grace() -> None:
    sick = replace(RUNS, health="unhealthy", health_said="connection refused")
    at = replace(up(sick), unhealthy_since={"c1": NOW - 29})
    (found,) = compose.assess(SERVICE, at, LIMITS, NOW)
    assert (found.verdict, found.until) == (Verdict.FAILING, NOW + 1)
    assert "connection refused" in found.message
    assert "nothing listens there" in found.hint
    (found,) = compose.assess(SERVICE, at, LIMITS, NOW + 1)
    assert (found.verdict, found.observed) == (Verdict.FAILED, "unhealthy 30s of 30s")


def test_an_unhealthy_server_has_no_grace_where_it_is_waited_for() -> None:
    found = judge(replace(RUNS, health="unhealthy"), replace(SERVICE, wait=True))
    assert found.verdict is Verdict.FAILED


def test_restarts_of_earlier_sessions_do_not_count() -> None:
    old = replace(up(replace(RUNS, restarts=7)), baselines={"c1": 6})
    (found,) = compose.assess(SERVICE, old, LIMITS, NOW)
    assert found.verdict is Verdict.HEALTHY
    assert found.warnings == ("the container shop-db-1 was restarted once before it stayed up",)


def test_what_never_becomes_healthy_has_a_deadline() -> None:
    slow = replace(RUNS, health="starting", health_said="not yet")
    (found,) = compose.assess(SERVICE, up(slow, at=NOW - 299), LIMITS, NOW)
    assert (found.verdict, found.until) == (Verdict.PROGRESSING, NOW + 1)
    (found,) = compose.assess(SERVICE, up(slow, at=NOW - 300), LIMITS, NOW)
    assert (found.verdict, found.rule) == (Verdict.FAILED, "readiness.deadline")
    assert "not yet" in found.message


def test_without_a_readiness_limit_nothing_is_late() -> None:
    slow = replace(RUNS, health="starting")
    patient = replace(LIMITS, readiness=None)
    (found,) = compose.assess(SERVICE, up(slow, at=0), patient, NOW)
    assert (found.verdict, found.until) == (Verdict.PROGRESSING, None)


def test_each_container_of_a_scaled_service_is_judged_and_named() -> None:
    other = replace(ENDED, id="c2", name="shop-db-2", exit_code=3)
    first, second = compose.assess(replace(SERVICE, replicas=2), up(RUNS, other), LIMITS, NOW)
    assert (first.verdict, second.verdict) == (Verdict.HEALTHY, Verdict.FAILED)
    assert second.message == "db (container shop-db-2) has ended, exit code 3"


def test_a_service_without_containers_waits_unless_it_is_to_have_none() -> None:
    (found,) = compose.assess(SERVICE, up(), LIMITS, NOW)
    assert (found.verdict, found.rule) == (Verdict.PROGRESSING, "compose.gone")
    (found,) = compose.assess(replace(SERVICE, replicas=0), up(), LIMITS, NOW)
    assert (found.verdict, found.rule) == (Verdict.HEALTHY, "compose.none")


def test_a_service_that_nobody_has_seen_yet_has_no_verdict() -> None:
    (found,) = compose.assess(SERVICE, ServiceUp("key", 1, NOW, 1), LIMITS, NOW)
    assert (found.verdict, found.rule) == (Verdict.PROGRESSING, "compose.starting")


def test_a_service_that_was_not_brought_up_is_pending() -> None:
    (found,) = compose.assess(SERVICE, None, LIMITS, NOW)
    assert (found.verdict, found.rule) == (Verdict.PROGRESSING, "compose.pending")
