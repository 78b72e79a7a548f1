"""Which pod a port of this machine leads to, and which of its ports."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import k8s, state
from tests.builders import project as build
from tests.builders.k8s import Json
from tiltd.core import forwards
from tiltd.model.desired import KubernetesTarget, Link, PortForward, Resource
from tiltd.model.events import ForwardChanged, HealthJudged, SessionEnded
from tiltd.model.health import Assessment
from tiltd.model.names import ResourceName
from tiltd.model.observed import Forward, ForwardStatus, PodPort
from tiltd.model.state import Mode, Outcome, State

WEB = ResourceName("web")
EIGHTY = PortForward(8080, 80)
NO_PORTS: list[int] = []


def resource(*given: PortForward) -> Resource:
    made = build.kubernetes("web", build.deployment("web"))
    assert isinstance(made.target, KubernetesTarget)
    return replace(made, target=replace(made.target, port_forwards=given))


def pod(
    name: str, *, made: int = 0, phase: str = "Running", ready: bool = True, going: bool = False
) -> Json:
    """A pod of web; `made` orders them."""
    body = k8s.obj("v1", "Pod", name)
    body["metadata"] |= {
        "uid": f"uid-{name}",
        "namespace": "default",
        "creationTimestamp": k8s.stamp(made),
        "ownerReferences": [{"uid": "web"}],
    }
    if going:
        body["metadata"]["deletionTimestamp"] = k8s.stamp(made + 1)
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {**body, "status": {"phase": phase, "conditions": conditions}}


def exposing(body: Json, *containers: list[int]) -> Json:
    rows = [
        {"name": f"c{at}", "ports": [{"containerPort": p} for p in ports]}
        for at, ports in enumerate(containers)
    ]
    return {**body, "spec": {"containers": rows}}


def with_pods(*pods: Json, given: PortForward = EIGHTY, mode: Mode = Mode.UP) -> State:
    s = state.connected(build.project(resource(given)), mode)
    s = state.applied(s, build.deployment("web"), uid="web")
    return state.seen(s, *pods)


def leads_to(s: State) -> str | None:
    """The name of the pod, empty if it is kept without one; `None` if it is not wanted."""
    wanted = list(forwards.wanted(s).values())
    if not wanted:
        return None
    return wanted[0].pod if wanted[0] is not None else ""


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], None, id="no pod"),
        pytest.param([pod("a", phase="Pending")], None, id="pending"),
        pytest.param([pod("a", phase="Succeeded")], None, id="done"),
        pytest.param([pod("a")], "a", id="running"),
        pytest.param([pod("a", ready=False)], "a", id="running, not ready"),
        pytest.param([pod("a", going=True)], "a", id="going"),
        pytest.param([pod("a"), pod("b", made=5)], "b", id="the newest"),
        pytest.param([pod("b"), pod("a", made=5)], "a", id="the newest, whatever its name"),
        pytest.param([pod("a"), pod("b", made=5, ready=False)], "a", id="the newest that is ready"),
        pytest.param(
            [pod("a", going=True), pod("b", made=5, ready=False)], "b", id="rather one that stays"
        ),
        pytest.param(
            [pod("a"), pod("b", made=5, phase="Pending")], "a", id="not one that does not run yet"
        ),
    ],
)
def test_the_pod_that_a_forward_leads_to(pods: list[Json], expected: str | None) -> None:
    assert leads_to(with_pods(*pods)) == expected


@pytest.mark.parametrize(
    ("given", "containers", "expected"),
    [
        pytest.param(PortForward(8080, 80), [[8000]], 80, id="given"),
        pytest.param(PortForward(8080), [[8000, 8080]], 8080, id="the local one, declared"),
        pytest.param(PortForward(8080), [[8000], [8080]], 8080, id="declared by another container"),
        pytest.param(PortForward(8080), [[8000, 9000]], 8000, id="the first declared"),
        pytest.param(PortForward(8080), [NO_PORTS, [9000]], 9000, id="the first of the second"),
        pytest.param(PortForward(8080), [NO_PORTS], 8080, id="none declared"),
        pytest.param(PortForward(0), [[8000]], 8000, id="any local one"),
    ],
)
def test_the_port_that_a_forward_leads_to(
    given: PortForward, containers: list[list[int]], expected: int
) -> None:
    s = with_pods(exposing(pod("a"), *containers), given=given)
    (to,) = forwards.wanted(s).values()
    assert to == PodPort("default", "a", expected)


def test_a_port_that_is_open_is_kept_while_there_is_no_pod() -> None:
    s = with_pods(pod("a"))
    (forward,) = forwards.wanted(s)
    s = state.after(s, ForwardChanged(forward, ForwardStatus(8080)))
    s = state.seen(s, pod("a", phase="Failed"))
    assert leads_to(s) == ""
    assert leads_to(state.after(s, ForwardChanged(forward, None))) is None


@pytest.mark.parametrize(("mode", "there"), [(Mode.UP, 1), (Mode.CI, 1), (Mode.DOWN, 0)])
def test_ports_are_forwarded_in_up_and_ci(mode: Mode, there: int) -> None:
    assert len(forwards.wanted(with_pods(pod("a"), mode=mode))) == there


def test_a_session_that_is_over_forwards_nothing() -> None:
    s = with_pods(pod("a"))
    assert not forwards.wanted(state.after(s, SessionEnded(Outcome.CANCELLED, 0.0)))


def test_a_resource_is_ready_for_others_once_its_port_is_dealt_with() -> None:
    s = with_pods(pod("a"))
    healthy = HealthJudged(WEB, Assessment(()), 7.0)
    assert not state.after(s, healthy).resources[WEB].ready_once
    (forward,) = forwards.wanted(s)
    told = state.after(s, healthy, ForwardChanged(forward, ForwardStatus(0, "in use")))
    assert not told.resources[WEB].judged
    assert state.after(told, healthy).resources[WEB].ready_once


@pytest.mark.parametrize(
    ("given", "status", "expected"),
    [
        (PortForward(8080), None, Link("http://localhost:8080/")),
        (PortForward(8080, 80, "0.0.0.0", "app"), None, Link("http://0.0.0.0:8080/", "app")),  # noqa: S104
        (PortForward(8080, link_path="/v1?x=1"), None, Link("http://localhost:8080/v1?x=1")),
        (PortForward(8080, link_path="v1"), None, Link("http://localhost:8080/v1")),
        (PortForward(0, 80), None, None),
        (PortForward(0, 80), ForwardStatus(0, "no"), None),
        (PortForward(0, 80), ForwardStatus(40123), Link("http://localhost:40123/")),
    ],
)
def test_the_page_that_a_forward_leads_to(given: PortForward, status: Any, expected: Any) -> None:
    assert forwards.link(given, status) == expected


def test_forwards_of_one_resource_are_told_apart() -> None:
    made = resource(PortForward(8080, 80), PortForward(8080, 81), PortForward(0, 80, "a.b"))
    assert [forward for _, forward in forwards.of(made)] == [
        Forward(WEB, "localhost", 8080, 80),
        Forward(WEB, "localhost", 8080, 81),
        Forward(WEB, "a.b", 0, 80),
    ]
    assert not list(forwards.of(build.local("x", "true")))
