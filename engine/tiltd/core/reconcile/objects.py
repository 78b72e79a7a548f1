"""One Kubernetes object: apply it when all before it is there, unless it is so already."""

from tiltd.core import drift, follow, holds, inject, manual, podspec
from tiltd.model import graph
from tiltd.model.actions import Apply
from tiltd.model.decisions import Decision, Done, Hold, Record
from tiltd.model.desired import JSON, Manifest
from tiltd.model.events import ObjectApplied
from tiltd.model.names import CLUSTER, NodeName, ObjectId, object_node
from tiltd.model.state import Applied, Mode, State

_MOST_HEALED = 3
_TRUCE = 300.0
"""After so many corrections, so many seconds without: two programs must not fight for ever."""


def reconcile(manifest: Manifest, s: State, now: float) -> Decision:
    """See the module."""
    node = object_node(manifest.id)
    if hold := holds.not_wanted(node, s) or _waiting(manifest, node, s):
        return hold
    rendered = render(manifest, s)
    applied = s.applied.get(manifest.id)
    if applied is not None and applied.key == rendered.key:
        return _kept(manifest, applied, rendered, s, now)
    found = s.found.get(manifest.id)
    if applied is None and found is not None and same(rendered, found):
        return Record(ObjectApplied(manifest.id, rendered.key, found, now, changed=False))
    drifted = applied is None and found is not None and _was_applied(rendered, found)
    return _apply(manifest, rendered, s, now, drifted=drifted)


def _apply(
    manifest: Manifest, rendered: inject.Rendered, s: State, now: float, *, drifted: bool
) -> Decision:
    timeout = s.project.settings.apply_timeout if s.project else 30.0
    apply = Apply(manifest, rendered.body, rendered.key, timeout, drifted)
    return holds.unless_failed(object_node(manifest.id), apply, s, now)


def _kept(
    manifest: Manifest, applied: Applied, rendered: inject.Rendered, s: State, now: float
) -> Decision:
    """`up`: what somebody else changes is put right; not for ever, if he does not give in."""
    if s.session is None or s.session.spec.mode is not Mode.UP:
        return Done()
    live = s.live.objects.get(applied.uid, applied.body)
    progress = s.progress.get(object_node(manifest.id))
    if progress is not None and progress.running is not None:
        # The watch may show the correction before it has answered: it is to end all the same.
        return _apply(manifest, rendered, s, now, drifted=True)
    if not drift.moved(rendered.body, applied.body, live):
        return Done()
    again = applied.at + _TRUCE
    if applied.healed >= _MOST_HEALED and now < again:
        reason = "somebody else keeps changing it: take the field from one of the two"
        return Hold("drifting", reason, until=again)
    return _apply(manifest, rendered, s, now, drifted=True)


def render(manifest: Manifest, s: State) -> inject.Rendered:
    """The object to send, once all its images are ready."""
    ready = ((s.graph.images[n], s.images[n].ready) for n in manifest.images)
    placements = tuple((image, r.refs.in_cluster) for image, r in ready if r is not None)
    return inject.render(manifest, placements, s.label)


def same(rendered: inject.Rendered, found: JSON) -> bool:
    """Whether a live object is what would be sent: by its key, and nobody has touched it since."""
    return _was_applied(rendered, found) and _untouched(rendered, found)


def _untouched(rendered: inject.Rendered, found: JSON) -> bool:
    """Remembered for the newest version: a daemon that stays sees most of them again."""
    metadata = podspec.section(found, "metadata")
    version = str(metadata.get("uid") or ""), str(metadata.get("resourceVersion") or "")
    known = rendered.untouched.get(version)
    if known is None:
        known = drift.untouched(rendered.body, found)
        if all(version):
            rendered.untouched.clear()
            rendered.untouched[version] = known
    return known


def _was_applied(rendered: inject.Rendered, found: JSON) -> bool:
    metadata = podspec.section(found, "metadata")
    annotations = podspec.section(metadata, "annotations")
    same = annotations.get(inject.KEY_ANNOTATION) == rendered.key
    return same and not metadata.get("deletionTimestamp")


def _waiting(manifest: Manifest, node: NodeName, s: State) -> Hold | None:
    resource = s.graph.resources[s.graph.resource_of[manifest.id]]
    # What is not there yet is no update; a change must not stop the first rollout half-way.
    if manifest.id in s.applied and (hold := manual.hold((resource.name,), s)):
        return hold
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    if follow.scope(manifest, s, ours=True) not in s.looked:
        return Hold("looking", "looking at what is in the cluster already", on=(CLUSTER,))
    if hold := holds.dependencies(resource.resource_deps, s):
        return hold
    if hold := holds.images(manifest.images, s):
        return hold
    before = tuple(o for o in _before(node, s) if not _there(o, s))
    if before:
        on = tuple(object_node(o) for o in before)
        named = ", ".join(str(o) for o in before[:3]) + (" …" if before[3:] else "")
        return Hold("waiting-for-object", f"waiting for {named}", on=on)
    return None


def _before(node: NodeName, s: State) -> list[ObjectId]:
    parts = [s.graph.nodes[n] for n in s.graph.dependencies.get(node, ()) if n in s.wanted]
    return [p.manifest.id for p in parts if isinstance(p, graph.ObjectNode)]


def _there(name: ObjectId, s: State) -> bool:
    """Applied; and for what others live in, ready for them."""
    applied = s.applied.get(name)
    if applied is None:
        return False
    body = s.live.objects.get(applied.uid, applied.body)
    if name.kind == "CustomResourceDefinition":
        conditions = podspec.rows(podspec.section(body, "status").get("conditions"))
        return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
    return True
