"""An image: read its inputs, then have it."""

from tiltd.core import graph as graphs
from tiltd.core import holds, live_targets, manual, naming, reuse
from tiltd.model.actions import EnsureImage, ImageRefs, ReadInputs
from tiltd.model.decisions import Decision, Done, Hold, Record
from tiltd.model.desired import Image
from tiltd.model.events import ImageBuilt
from tiltd.model.names import CLUSTER, image_node
from tiltd.model.state import ImageReady, State


def reconcile(image: Image, s: State, now: float) -> Decision:
    """Inputs first: they can be read while the cluster is being found and bases are built."""
    node = image_node(image.name)
    if hold := holds.not_wanted(node, s):
        return hold
    known = s.images[image.name]
    if known.due and known.ready is not None:
        users = graphs.works_for(s.graph, node)
        if hold := manual.hold(users, s):
            return hold
    if known.inputs_generation < known.generation:
        # Nobody waits for a registry where nothing is built.
        kept = known.grounds if live_targets.handles(image.name, s) else None
        listed = live_targets.listed(image.name, s)
        read = ReadInputs(image, known.generation, listed, kept)
        return holds.unless_failed(node, read, s, now)
    if image.of_deploy:
        return _of_deploy(image, s)
    if not naming.registry_known(s):
        reason = "waiting for the cluster, which may have a registry of its own"
        return Hold("waiting-for-cluster", reason, on=(CLUSTER,))
    if live_targets.handles(image.name, s) and not naming.ready(image.name, s):
        return Hold("live-update", "what has changed goes into its running containers")
    waiting = tuple(b for b in image.bases if not naming.ready(b, s))
    if waiting:
        on = tuple(image_node(b) for b in waiting)
        reason = f"waiting for its base {', '.join(waiting)}"
        return Hold("waiting-for-image", reason, on=on)
    key = naming.key(image.name, s)
    if known.ready is not None and known.ready.key == key:
        return Done()
    found = ((b, s.images[b].ready) for b in image.bases)
    bases = {b: ready.refs.local for b, ready in found if ready is not None}
    again = reuse.due(image.name, s)
    ensure = EnsureImage(
        image, key, naming.refs(image, key, s), bases, known.inputs, again, known.stopped
    )
    return holds.unless_failed(node, ensure, s, now)


def _of_deploy(image: Image, s: State) -> Decision:
    """What a deploy is to be made of; when that is no longer so, the deploy is made anew."""
    known, key = s.images[image.name], naming.key(image.name, s)
    if known.ready is not None and known.ready.key == key:
        return Done()
    if live_targets.handles(image.name, s):
        return Hold("live-update", "what has changed goes into its running containers")
    refs = ImageRefs("", "", push=False)
    return Record(ImageBuilt(image.name, ImageReady(key, refs), known.inputs))
