"""What was seen of containers, so that nothing that happened between or before is lost or invented.

A pod's status is a snapshot.  Four questions need more than that:

- How many restarts belong to this run?  The kubelet counts since the pod was made, so a pod older
  than the run starts at a baseline; `restartCount` only grows, hence a crash between two looks
  still counts.
- What of a pod that was replaced?  Its count goes over to one new pod of the same revision (the
  pod's heir), else a crash loop with evictions in it would start anew each time.  It counts once
  the heir has crashed too: replacing a pod may have been the cure.
- Since when has a container been waiting for the same reason, or been running?  The API doesn't
  say the first, and says the second cut to the second.
- Has its log ended?  Then it is over, and its status will say so (`stability`).

`Memory` is a value; `observe` folds the pods of one look into a new one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tiltd.core.health import containers, fields
from tiltd.core.health.clock import RESOLUTION, Clock
from tiltd.core.health.containers import Container
from tiltd.core.health.fields import Obj
from tiltd.model.health import Memory, Track
from tiltd.model.observed import ContainerRun

# How long the kubelet waits before a restart, and how many crashes in a row have led to that
# (MaxContainerBackOff; KEP-4603 has the second row).
_BACK_OFF = re.compile(r"back-off (?:(\d+)m)?(?:(\d+)s)? restarting")
_CRASHES_BY_SECONDS: Mapping[int, int] = {
    **dict(zip((10, 20, 40, 80, 160, 300), range(1, 7), strict=True)),
    **dict(zip((1, 2, 4, 8, 16, 32, 60), range(1, 8), strict=True)),
}
# The same from the other side: a restart after at least so many seconds was the n-th in a row.
_RESTARTS_BY_PAUSE = ((155.0, 6), (78.0, 5), (38.0, 4), (19.0, 3), (9.0, 2), (0.0, 1))


def observe(
    memory: Memory,
    pods: Iterable[Obj],
    clock: Clock,
    *,
    began_at: float | None,
    fresh: Mapping[str, float] | None = None,
) -> Memory:
    """Fold one look into the memory.

    Args:
        memory: before it.
        pods: all pods that this memory is for, as they are now: those of one resource, or
            all. A pod that is missing here is taken for gone, as is one that leaves or is over.
        clock: the moment of the look.
        began_at: when the run began, host time; pods made before it start at a baseline.
        fresh: uids of the pods that may have changed since the look before, and when each was seen
            (host time, not after the look); by default all, and at the look.
    """
    present = {fields.uid(pod): pod for pod in pods}
    same = frozenset[str]() if fresh is None else present.keys() - fresh.keys()
    tracks = {key: track for key, track in memory.tracks.items() if key[0] in same}
    standing = {name for name, _ in tracks}
    changed = [p for name, p in present.items() if name not in standing and not _gone(p)]
    seen = {_key(c): c for pod in changed for c in containers.of_pod(pod)}
    lost = (t for key, t in memory.tracks.items() if key not in seen and key not in tracks)
    estate = sorted(
        (t for t in (*memory.gone, *lost) if t.legacy), key=lambda t: t.legacy, reverse=True
    )
    for key, container in seen.items():
        known = memory.tracks.get(key)
        if known is None:
            known = _first(container, clock, began_at)
            heirloom = next((t for t in estate if t.lineage == known.lineage), None)
            if heirloom is not None:
                estate.remove(heirloom)
                known = replace(known, inherited=heirloom.legacy)
        when = clock if fresh is None else Clock(fresh.get(key[0], clock.now), clock.skew)
        tracks[key] = _next(known, container, when)
    return Memory(tracks, tuple(estate))


def track(memory: Memory, container: Container, clock: Clock, *, began_at: float | None) -> Track:
    """The track of `container`, brought up to what `container` says now."""
    known = memory.tracks.get(_key(container)) or _first(container, clock, began_at)
    return _next(known, container, clock)


def heard(memory: Memory, run: ContainerRun, at: float | None) -> Memory:
    """Remember that the log of one life ended at that time (host time), or goes on (`None`)."""
    place = run.uid, run.container
    known = memory.tracks.get(place)
    if known is None or not known.running or known.restarts != run.restart:
        return memory  # its end is known already
    return replace(memory, tracks={**memory.tracks, place: replace(known, silent_since=at)})


def _gone(pod: Obj) -> bool:
    over = fields.text(pod, "status", "phase") in {"Failed", "Succeeded"}
    return over or fields.has(pod, "metadata", "deletionTimestamp")


def _key(container: Container) -> tuple[str, str]:
    return fields.uid(container.pod), container.name


def _first(container: Container, clock: Clock, began_at: float | None) -> Track:
    return Track(
        lineage=_lineage(container),
        restarts=container.restarts,
        baseline=_baseline(container, clock, began_at),
    )


def _next(track: Track, container: Container, clock: Clock) -> Track:
    waiting = fields.text(container.waiting, "reason")
    running = fields.text(container.status, "containerID") if container.running else ""
    same_wait = waiting == track.waiting and track.waiting_since is not None
    same_run = running == track.running and track.running_since is not None
    waiting_since = (track.waiting_since if same_wait else clock.now) if waiting else None
    running_since = (track.running_since if same_run else clock.now) if running else None
    restarts, down = container.restarts, container.down
    # Mostly nothing is new, which is told at a fifth of the price of a new value.
    if (
        restarts == track.restarts
        and down == track.down
        and waiting == track.waiting
        and waiting_since == track.waiting_since
        and running == track.running
        and running_since == track.running_since
    ):
        return track
    return replace(
        track,
        restarts=restarts,
        down=down,
        waiting=waiting,
        waiting_since=waiting_since,
        running=running,
        running_since=running_since,
        silent_since=track.silent_since if same_run else None,
    )


def _lineage(container: Container) -> str:
    """Owner, revision, container; the pod's name too where names last (StatefulSet, bare pods)."""
    pod = container.pod
    owners = fields.rows(pod, "metadata", "ownerReferences")
    owner = fields.text(owners[0], "uid") if owners else ""
    labels = fields.section(pod, "metadata", "labels")
    revision = fields.text(labels, "controller-revision-hash")
    lasting = not owners or fields.text(owners[0], "kind") == "StatefulSet"
    name = fields.named(pod) if lasting else ""
    return "/".join(
        (fields.text(pod, "metadata", "namespace"), owner, revision, name, container.name)
    )


def _baseline(container: Container, clock: Clock, began_at: float | None) -> int:
    """How many restarts at first sight are none of this run's business."""
    made = clock.host(fields.text(container.pod, "metadata", "creationTimestamp"))
    if began_at is None or made is None or made + RESOLUTION >= began_at:
        return 0
    return container.restarts - min(container.restarts, _recent(container, clock, began_at))


def _recent(container: Container, clock: Clock, began_at: float) -> int:
    """The restarts of an older pod that count at first sight.

    If it is down, all of the present row of crashes, which the kubelet's back-off tells; if it
    runs, the last one, provided that it came after the run began.
    """
    finished = clock.host(fields.text(container.status, "lastState", "terminated", "finishedAt"))
    if container.running:
        return 1 if finished is not None and finished >= began_at else 0
    if found := _BACK_OFF.search(fields.text(container.waiting, "message")):
        seconds = 60 * int(found[1] or 0) + int(found[2] or 0)
        return _CRASHES_BY_SECONDS.get(seconds, 1) - 1
    started = clock.host(fields.text(container.ended, "startedAt"))
    if finished is None or started is None:
        return 0
    return next((n for pause, n in _RESTARTS_BY_PAUSE if started - finished >= pause), 0)
