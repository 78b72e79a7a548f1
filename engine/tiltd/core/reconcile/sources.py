"""Where everything comes from: the Tiltfile and the cluster."""

from tiltd.core import follow, holds
from tiltd.model.actions import Connect, LoadTiltfile, Look
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.desired import KubernetesTarget
from tiltd.model.names import CLUSTER, TILTFILE
from tiltd.model.state import State


def tiltfile(s: State, now: float) -> Decision:
    """Read the Tiltfile, once for each time that one of its files changed."""
    if s.project is not None and s.loaded_generation == s.tiltfile_generation:
        return Done()
    return holds.unless_failed(TILTFILE, LoadTiltfile(s.tiltfile_generation), s, now)


def cluster(s: State, now: float) -> Decision:
    """Find the cluster once something needs it, then look what is there already."""
    if s.project is None:
        return Hold("waiting-for-tiltfile", "waiting for the Tiltfile", on=(TILTFILE,))
    if not needed(s):
        return Done()
    if s.cluster is None:
        return holds.unless_failed(CLUSTER, Connect(s.kube_context.name), s, now)
    scopes = follow.look_scopes(s) - s.looked
    if not scopes:
        return Done()
    return holds.unless_failed(CLUSTER, Look(scopes), s, now)


def needed(s: State) -> bool:
    """Whether anything that takes part is in a cluster."""
    return any(isinstance(s.graph.resources[n].target, KubernetesTarget) for n in s.active)
