"""A resource's pages and port forwards, as clients are told them."""

from dataclasses import replace

from tests.builders import project as build
from tests.builders import state
from tests.core.test_forwards import EIGHTY, pod, with_pods
from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import forwards
from tiltd.core.scrub import Scrubber
from tiltd.model.desired import ComposeTarget, Link, PortForward
from tiltd.model.events import ForwardChanged, SessionEnded
from tiltd.model.names import ResourceName
from tiltd.model.observed import ForwardStatus
from tiltd.model.state import Outcome, State
from tiltd.server import links
from tiltd.server.convert import Converter

WEB = ResourceName("web")


def told(s: State, *secrets: str) -> pb.Resource:
    return Converter(s, 0.0, Scrubber.of(secrets)).resource(WEB)


def test_a_forward_is_told_before_it_is_open_while_it_is_and_after() -> None:
    s = with_pods(given=replace(EIGHTY, name="app", link_path="/v1"))
    page = pb.Link(url="http://localhost:8080/v1", name="app")
    base = pb.PortForward(
        name="app", host="localhost", local_port=8080, url=page.url, container_port=80
    )
    assert list(told(s).port_forwards) == [base]
    assert list(told(s).links) == [page]

    s = state.seen(s, pod("a"))
    (forward,) = forwards.wanted(s)
    to = pb.PortForward(namespace="default", pod="a")
    s = state.after(s, ForwardChanged(forward, ForwardStatus(0, "in use by hunter2")))
    (now,) = told(s, "hunter2").port_forwards
    to.MergeFrom(base)
    assert "hunter2" not in now.problem
    assert "in use by" in now.problem
    now.problem = ""
    assert now == to

    s = state.after(s, ForwardChanged(forward, ForwardStatus(8080)))
    to.open = True
    assert list(told(s).port_forwards) == [to]

    s = state.after(s, SessionEnded(Outcome.CANCELLED, 0.0), ForwardChanged(forward, None))
    assert list(told(s).port_forwards) == [base]


def test_a_port_that_this_machine_chooses_has_a_page_once_it_is_open() -> None:
    s = with_pods(pod("a"), given=PortForward(0, 80))
    assert not told(s).links
    (forward,) = forwards.wanted(s)
    s = state.after(s, ForwardChanged(forward, ForwardStatus(40123)))
    assert list(told(s).links) == [pb.Link(url="http://localhost:40123/")]
    assert told(s).port_forwards[0].local_port == 40123


def test_its_own_links_come_before_those_of_ports() -> None:
    s = with_pods(pod("a"))
    resource = replace(s.graph.resources[WEB], links=(Link("https://shop.test", "shop"),))
    assert [link.url for link in links.of(s, resource)] == [
        "https://shop.test",
        "http://localhost:8080/",
    ]


def test_of_a_compose_service_the_published_ports_are_links() -> None:
    service = build.compose("db")
    assert isinstance(service.target, ComposeTarget)
    for infer, expected in ((True, ["http://localhost:5432/"]), (False, [])):
        target = replace(service.target, ports=(5432,), infer_links=infer)
        found = links.of(State(), replace(service, target=target))
        assert [link.url for link in found] == expected
