"""The containers of a resource: bring them what has changed since their image was built.

What can't be brought to them, or not now, is recorded as the end of live updates until the next
build of the image, with the reason; the image then builds, and new containers come.  An update that
has begun goes on to its end, whatever changes meanwhile: its commands must not meet themselves.
"""

import posixpath

from tiltd.core import composing, custom, holds, live_targets, live_update, manual, podspec, work
from tiltd.model.actions import LiveUpdate
from tiltd.model.decisions import Act, Decision, Done, Hold, Record
from tiltd.model.desired import JSON, ComposeTarget, Image, KubernetesTarget, Resource
from tiltd.model.events import LiveUpdateStopped
from tiltd.model.live_update import Update
from tiltd.model.names import CLUSTER, deploy_node, image_node, live_node, object_node, service_node
from tiltd.model.state import State

_COMING = 10.0
"""Seconds after its objects were applied in which a resource's first container may come."""


def reconcile(resource: Resource, s: State, now: float) -> Decision:
    """See the module."""
    node = live_node(resource.name)
    if hold := holds.not_wanted(node, s):
        return hold
    progress = s.progress.get(node)
    if progress is not None and progress.running is not None:
        return Act(LiveUpdate(resource.name))
    if hold := manual.hold((resource.name,), s):
        return hold
    images = live_targets.updated(s.graph, resource)
    for image in images:
        if not live_targets.handles(image.name, s):
            on = (image_node(image.name),)
            return Hold("waiting-for-image", f"waiting for {image.name}", on=on)
    found = [(image, _image(image, resource, s, now)) for image in images]
    stopped = {i.name: _told(f, s) for i, f in found if isinstance(f, live_update.Refusal)}
    if stopped:
        return Record(LiveUpdateStopped(stopped))
    due = tuple(u for _, f in found if isinstance(f, tuple) for u in f)
    if due:
        return _act(LiveUpdate(resource.name, due), s, now)
    return next((f for _, f in found if isinstance(f, Hold)), Done())


def _told(refusal: live_update.Refusal, s: State) -> str:
    """With paths as the Tiltfile has them."""
    folder = posixpath.dirname(s.project.tiltfile) if s.project is not None else ""
    return refusal.reason.replace(f"{folder}/", "") if folder else refusal.reason


def _act(action: LiveUpdate, s: State, now: float) -> Decision:
    """What failed for good is not tried again: it is no longer due, or something has changed."""
    node = live_node(action.resource)
    progress = s.progress.get(node)
    failure = progress.failure if progress else None
    if failure is None or failure.retry_at is None or failure.wanted != work.wanted(action):
        return Act(action)
    return holds.unless_failed(node, action, s, now)


def _image(
    image: Image, resource: Resource, s: State, now: float
) -> tuple[Update, ...] | Hold | live_update.Refusal:
    if not live_targets.is_read(image, s):
        on = (image_node(image.name),)
        return Hold("reading", f"the files of {image.name} are being read", on=on)
    known = live_targets.sources(image, s)
    needed = live_targets.fresh(image, known)
    if isinstance(needed, live_update.Refusal):
        return needed
    if hold := _undeployed(resource, s):
        return hold
    found = live_targets.containers(resource, image, s)
    for down in found.down:
        if live_targets.updates(image, (down.target,), known, s):
            return live_update.Refusal(f"the container {down.target} {down.reason}")
    due = live_targets.updates(image, found.running, known, s)
    if due or needed is None:
        return due
    if found.starting:
        reason = f"a container of {resource.name} is starting"
        return Hold("waiting-for-container", reason)
    if found.running or found.down:
        return ()
    return _coming(image, resource, s, now)


def _coming(image: Image, resource: Resource, s: State, now: float) -> Hold | live_update.Refusal:
    """Nothing runs the image: perhaps not yet."""
    if isinstance(resource.target, ComposeTarget):
        if composing.current(resource.name, resource.target, s) is None:
            node = service_node(resource.name)
            return Hold("waiting-for-container", f"waiting for {resource.name}", on=(node,))
        return live_update.Refusal("no container runs it")
    if hold := _unapplied(image, resource, s):
        return hold
    until = _deployed_at(image, resource, s) + _COMING
    if now < until:
        reason = f"waiting for a container of {resource.name}"
        return Hold("waiting-for-container", reason, until=until)
    return live_update.Refusal("no container runs it")


def _unapplied(image: Image, resource: Resource, s: State) -> Hold | None:
    """The objects that are not there yet with this image."""
    target = resource.target
    ready = s.images[image.name].ready
    if not isinstance(target, KubernetesTarget) or ready is None:
        return None
    if s.cluster is None:
        return Hold("waiting-for-cluster", "waiting for the cluster", on=(CLUSTER,))
    for manifest in target.manifests:
        if image.name in manifest.images:
            applied = s.applied.get(manifest.id)
            named = [] if applied is None else list(_references(applied.body))
            if applied is None or (named and ready.refs.in_cluster not in named):
                on = (object_node(manifest.id),)
                return Hold("waiting-for-object", f"waiting for {manifest.id}", on=on)
    return None


def _references(body: JSON) -> list[object]:
    return [
        container.get("image")
        for template in podspec.templates(body)
        for container in podspec.containers(podspec.section(template, "spec"))
    ]


def _undeployed(resource: Resource, s: State) -> Hold | None:
    """A command that is going to deploy the resource anew brings other containers."""
    target = resource.target
    if not isinstance(target, KubernetesTarget) or target.custom is None:
        return None
    deployed = s.deployed.get(resource.name)
    if deployed is not None and deployed.key == custom.key(resource, s):
        return None
    on = (deploy_node(resource.name),)
    return Hold("waiting-for-deploy", f"waiting for the deploy of {resource.name}", on=on)


def _deployed_at(image: Image, resource: Resource, s: State) -> float:
    target = resource.target
    manifests = target.manifests if isinstance(target, KubernetesTarget) else ()
    using = [s.applied[m.id].at for m in manifests if image.name in m.images and m.id in s.applied]
    deployed = s.deployed.get(resource.name)
    return max([*using, deployed.at if deployed is not None else 0.0])
