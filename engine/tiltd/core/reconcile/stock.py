"""The account of what was applied: read it early, and delete what is gone when all else is there.

Late, because what takes the place of something should be there before that goes; but not only once
it is healthy, since the old may be what is in the way of the new.
"""

from tiltd.core import holds, stock
from tiltd.model import graph
from tiltd.model.actions import TakeStock
from tiltd.model.decisions import Decision, Done, Hold
from tiltd.model.names import CLUSTER, STOCK, NodeName
from tiltd.model.state import State


def reconcile(s: State, now: float) -> Decision:
    """See the module."""
    if stock.finished(s):
        return Done()
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    if s.stock.taken != s.stock.wanted:
        read = TakeStock(s.stock.wanted, stock.entries(s.graph))
        return holds.unless_failed(STOCK, read, s, now)
    if missing := [n for n in s.wanted if not _there(s, n)]:
        shown = ", ".join(sorted(missing)[:3])
        return Hold("waiting-for-object", f"waiting for {shown}, before anything is deleted")
    prune = TakeStock(s.stock.wanted, stock.entries(s.graph), prune=True)
    return holds.unless_failed(STOCK, prune, s, now)


def _there(s: State, name: NodeName) -> bool:
    node = s.graph.nodes.get(name)
    return not isinstance(node, graph.ObjectNode) or node.manifest.id in s.applied
