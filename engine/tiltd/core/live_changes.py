"""What events mean for images that are updated in their containers: the folds of `core.reduce`."""

from dataclasses import replace

from tiltd.core import live_targets, live_update
from tiltd.model import events
from tiltd.model.live_update import Files
from tiltd.model.names import ImageName, image_node, live_node
from tiltd.model.state import Built, ImageState, State


def of(built: Built | None, files: Files) -> Files:
    """Where files differ from those that an image was built of; nothing where either is unknown."""
    if built is None or not built.files or not files:
        return {}
    return live_update.difference(built.files, files)


def built(known: ImageState, event: events.ImageBuilt) -> Built:
    """What an image was built of.

    Its files are those that were read last, unless they were read again during the build.
    """
    files: Files = known.files if known.inputs == event.inputs else {}
    return Built(event.inputs, known.grounds, files, known.stopped)


def still_stopped(known: ImageState, event: events.InputsRead) -> str:
    """An image whose files are again those that it was built of needs no build."""
    again = known.built is not None and known.built.inputs == event.digest
    return "" if again else known.stopped


def forgiven(s: State, name: ImageName) -> State:
    """With a new image come new containers: what failed in the old ones is no news any more.

    The next verdict is one on what is built.
    """
    nodes = [n for n in s.graph.dependents.get(image_node(name), ()) if n.startswith("live/")]
    tried = {node: s.progress[node] for node in nodes if node in s.progress}
    stands = {node: p for node, p in tried.items() if p.failure is not None}
    if not stands:
        return s
    forgotten = {node: replace(p, failure=None) for node, p in stands.items()}
    resources = {
        n: replace(r, judged=False) if live_node(n) in stands else r for n, r in s.resources.items()
    }
    return replace(s, progress={**s.progress, **forgotten}, resources=resources)


def updated(s: State, event: events.ContainerUpdated) -> State:
    """A container holds something else now; those that are there no more are forgotten."""
    there = live_targets.lives_of(s)
    kept = {name: known for name, known in s.synced.items() if name in there}
    return replace(s, synced={**kept, event.container: event.held})
