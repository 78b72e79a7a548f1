"""States as events make them, up to the point where a test begins."""

from tests.builders.k8s import T0, Json
from tiltd.core import follow
from tiltd.core import graph as graphs
from tiltd.core.reduce import reduce
from tiltd.model.desired import JSON, Manifest, Project
from tiltd.model.events import (
    ClusterChanged,
    Connected,
    Event,
    Looked,
    ObjectApplied,
    SessionStarted,
    TiltfileLoaded,
)
from tiltd.model.names import SessionId
from tiltd.model.observed import ClusterInfo, KubeContext
from tiltd.model.state import LimitOverrides, Mode, SessionSpec, State

CONTEXT = KubeContext("kind-x", "kind-x", "default", "https://x", is_local=True)


def after(s: State, *events: Event) -> State:
    """`s` after these."""
    for event in events:
        s = reduce(s, event)
    return s


def started(mode: Mode = Mode.CI, limits: LimitOverrides | None = None) -> State:
    """A session has begun, at `T0`."""
    spec = SessionSpec(
        SessionId("s"), mode, "/src/shop/Tiltfile", limits=limits or LimitOverrides()
    )
    return after(State(), SessionStarted(spec, T0))


def loaded(project: Project, mode: Mode = Mode.CI, limits: LimitOverrides | None = None) -> State:
    """Its Tiltfile has been read."""
    s = started(mode, limits)
    graph = graphs.build(project, "default")
    return after(s, TiltfileLoaded(project, graph, CONTEXT, s.tiltfile_generation, T0))


def connected(project: Project, mode: Mode = Mode.CI, *, skew: float = 0.0) -> State:
    """Its cluster answers, and there was nothing in it."""
    s = after(loaded(project, mode), Connected(ClusterInfo(CONTEXT, "v1", skew=skew)))
    return after(s, Looked(follow.look_scopes(s), {}))


def applied(s: State, manifest: Manifest, *, uid: str, at: float = 0) -> State:
    """An object has been applied, `at` seconds after `T0`."""
    body: JSON = {**manifest.body, "metadata": {"uid": uid, "name": manifest.id.name}}
    return after(s, ObjectApplied(manifest.id, "key", body, T0 + at, changed=True))


def seen(s: State, *objects: Json, at: float = 0) -> State:
    """The cluster has shown these."""
    return after(s, ClusterChanged(T0 + at, objects))
