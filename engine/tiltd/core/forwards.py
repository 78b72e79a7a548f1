"""Which ports of this machine lead to which pods: it follows from the state.

A forward leads to one pod of its resource: of those that run, the newest that is ready and stays;
else the newest that stays; else the newest that is going.  Tilt opens it as soon as a pod runs,
ready or not, so that a debugger can be reached; this does so too, but leaves a connection with the
old pod until the new one is ready.  Once open it stays open while there is no pod, since its port
could be lost to others in between.

Where the Tiltfile gives no container port, it is the local one if the pod declares that, else the
first that the pod declares, else the local one (Tiltfile API, `port_forward`).
"""

from collections.abc import Iterator, Mapping

from tiltd.core import podspec
from tiltd.model.desired import JSON, KubernetesTarget, Link, PortForward, Resource
from tiltd.model.names import ResourceName
from tiltd.model.observed import Forward, ForwardStatus, PodPort
from tiltd.model.state import Mode, State


def wanted(s: State) -> Mapping[Forward, PodPort | None]:
    """The forwards that have to be there now, each with where it leads to, if there is a pod."""
    return {
        forward: to
        for name, resource in s.graph.resources.items()
        if _has_any(resource) and name in s.active
        for forward, to in leads(resource, s).items()
        if to is not None or forward in s.forwards
    }


def pending(name: ResourceName, s: State) -> bool:
    """Whether a port of a resource has to be opened, and nothing has come of that yet."""
    if name not in s.active:
        return False
    there = leads(s.graph.resources[name], s).items()
    return any(to is not None and forward not in s.forwards for forward, to in there)


def of(resource: Resource) -> Iterator[tuple[PortForward, Forward]]:
    """A resource's forwards, as the Tiltfile gives them and as they are known here."""
    if not isinstance(resource.target, KubernetesTarget):
        return
    for given in resource.target.port_forwards:
        yield given, Forward(resource.name, given.host, given.local_port, given.container_port)


def leads(resource: Resource, s: State) -> Mapping[Forward, PodPort | None]:
    """Where each of a resource's forwards leads to, if there is a pod, and the session goes on."""
    going = s.session is not None and s.session.ended is None
    down = s.session is not None and s.session.spec.mode is Mode.DOWN
    pod = _best(resource.name, s) if going and not down and _has_any(resource) else None
    return {f: _port(f, pod) if pod is not None else None for _, f in of(resource)}


def link(given: PortForward, status: ForwardStatus | None) -> Link | None:
    """The page that a forward leads to; none while its port is not known."""
    port = given.local_port or (status.local_port if status else 0)
    if not port:
        return None
    return Link(f"http://{given.host}:{port}/{given.link_path.removeprefix('/')}", given.name)


def _has_any(resource: Resource) -> bool:
    return isinstance(resource.target, KubernetesTarget) and bool(resource.target.port_forwards)


def _best(name: ResourceName, s: State) -> JSON | None:
    pods = (s.live.objects[uid] for uid in s.live.by_resource.get(name, frozenset()))
    running = [
        body
        for body in pods
        if body.get("kind") == "Pod" and podspec.section(body, "status").get("phase") == "Running"
    ]
    return max(running, key=_rank, default=None)


def _rank(pod: JSON) -> tuple[bool, bool, str, str]:
    metadata = podspec.section(pod, "metadata")
    conditions = podspec.rows(podspec.section(pod, "status").get("conditions"))
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    made = str(metadata.get("creationTimestamp"))  # all of one form, which sorts as time does
    return not metadata.get("deletionTimestamp"), ready, made, str(metadata.get("name"))


def _port(forward: Forward, pod: JSON) -> PodPort:
    metadata = podspec.section(pod, "metadata")
    port = forward.container_port or _declared(forward.local_port, pod)
    return PodPort(str(metadata.get("namespace")), str(metadata.get("name")), port)


def _declared(local: int, pod: JSON) -> int:
    containers = podspec.rows(podspec.section(pod, "spec").get("containers"))
    ports = [
        int(p.get("containerPort") or 0) for c in containers for p in podspec.rows(c.get("ports"))
    ]
    return local if local in ports or not ports else ports[0]
