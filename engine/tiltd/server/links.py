"""A resource's pages, and the ports of this machine that lead to its pods.

Its own links first, then one for each forward, as Tilt orders them: from the Tiltfile, whether the
port is open yet or not.  A port that this machine chooses is known once it is open.
"""

from collections.abc import Callable, Iterator

from tilt_api.v1 import tilt_pb2 as pb
from tiltd.core import forwards
from tiltd.model import desired
from tiltd.model.observed import ForwardStatus
from tiltd.model.state import State


def of(s: State, resource: desired.Resource) -> Iterator[desired.Link]:
    """The pages; of a Docker Compose service each port that it publishes (`infer_links`)."""
    target = resource.target
    yield from resource.links
    if isinstance(target, desired.ComposeTarget) and target.infer_links:
        yield from (desired.Link(f"http://localhost:{port}/") for port in target.ports)
    for given, forward in forwards.of(resource):
        if link := forwards.link(given, s.forwards.get(forward)):
            yield link


def forwards_of(
    s: State, resource: desired.Resource, scrub: Callable[[str], str]
) -> Iterator[pb.PortForward]:
    """The forwards, in the Tiltfile's order."""
    leads = forwards.leads(resource, s)
    for given, forward in forwards.of(resource):
        status = s.forwards.get(forward, ForwardStatus())
        link, to = forwards.link(given, status), leads[forward]
        yield pb.PortForward(
            name=given.name,
            host=given.host,
            local_port=status.local_port or given.local_port,
            url=link.url if link else "",
            open=bool(status.local_port),
            namespace=to.namespace if to else "",
            pod=to.pod if to else "",
            container_port=to.port if to else given.container_port,
            problem=scrub(status.problem),
        )
