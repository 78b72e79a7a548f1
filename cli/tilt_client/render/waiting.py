"""What is not there yet, and what it waits for: one line."""

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import style
from tilt_client.render.known import Known

_MOST = 8


def line(known: Known, now: float) -> str:
    """`waiting: web: 1/2 pods ready · api: waiting for image shop-api`; empty: for nothing."""
    items = list(_items(known, now))
    return f"waiting: {style.some(items, _MOST, ' · ')}" if items else ""


def still(known: Known) -> list[str]:
    """`api: waiting for image shop-api`, for what had neither failed nor become healthy."""
    failed = known.failed
    return [
        f"{resource.name}: {why(resource)}"
        for resource in known.counted
        if resource.verdict != pb.VERDICT_HEALTHY and resource.name not in failed
    ]


def why(resource: pb.Resource) -> str:
    """What a resource does or waits for, in as many words as the daemon has for it."""
    return resource.status or resource.hold.message or _busy(resource) or "not started yet"


def _items(known: Known, now: float) -> list[str]:
    session = known.session
    first = [
        f"{name} ({style.duration(now - target.attempt.started_at)})"
        for name, target in (("the Tiltfile", session.tiltfile), ("the cluster", session.cluster))
        if target.phase == pb.TARGET_PHASE_RUNNING
    ]
    return first + still(known)


def _busy(resource: pb.Resource) -> str:
    running = [t.name for t in resource.targets if t.phase == pb.TARGET_PHASE_RUNNING]
    return f"working on {style.some(running, 3)}" if running else ""
