"""What to do next with a pod's containers: a pure function of their slots.

Init containers run one after the other, each until it succeeds; a sidecar only has to have started
before the next may begin.  Then the main containers start together.  What has exited starts again
as `restartPolicy` says, after its back-off.  When no main container will run again, the sidecars
are stopped in reverse order, and the pod has ended.  Ephemeral containers run beside all that, and
once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tilt_cluster.node.containers import Slot

Policy = Literal["Always", "OnFailure", "Never"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Args:
        start: these, in this order.
        stop: these, because the pod has ended or can't begin.
        phase: of the pod.
        wait_until: when to look again although nothing happened (Unix seconds).
        initialized: every init container has done its work.
    """

    start: Sequence[Slot]
    stop: Sequence[Slot]
    phase: Literal["Pending", "Running", "Succeeded", "Failed"]
    wait_until: float | None
    initialized: bool


def restarts(slot: Slot, policy: Policy) -> bool:
    """Whether an exited container runs again."""
    run = slot.exited
    if run is None:
        return True
    if slot.kind in {"sidecar", "ephemeral"}:
        return slot.kind == "sidecar"
    failed = run.exit_code != 0 or run.reason == "StartError"
    if slot.kind == "init":
        return failed and policy != "Never"
    return policy == "Always" or (policy == "OnFailure" and failed)


def _due(slot: Slot) -> float:
    """When a container may start next."""
    run = slot.exited
    after_crash = slot.back_off.until(run.finished) if run else 0.0
    return max(after_crash, slot.retry_at)


class _Builder:
    """Collects what is due now, and the earliest time of what is not."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.start: list[Slot] = []
        self.wait_until: float | None = None

    def want(self, slot: Slot) -> None:
        due = _due(slot)
        if due <= self.now:
            self.start.append(slot)
        elif self.wait_until is None or due < self.wait_until:
            self.wait_until = due


def plan(slots: Sequence[Slot], policy: Policy, now: float) -> Plan:
    """What to do next.

    Args:
        slots: of the pod, in the order of its spec.
        policy: its `restartPolicy`.
        now: Unix seconds.
    """
    main = [slot for slot in slots if slot.kind == "main"]
    first = [slot for slot in slots if slot.kind in {"init", "sidecar"}]
    beside = [slot for slot in slots if slot.kind == "ephemeral"]
    begun = any(slot.current is not None for slot in main)
    builder = _Builder(now)
    ended = begun and all(slot.exited and not restarts(slot, policy) for slot in main)
    if ended:
        failed = any(slot.exited and slot.exited.exit_code for slot in main)
        return _ended([*first, *beside], "Failed" if failed else "Succeeded")
    for slot in beside:
        if slot.current is None:
            builder.want(slot)
    done = _initialize(first, policy, builder, begun=begun)
    if done is None:
        return _ended(slots, "Failed")
    if done:
        for slot in main:
            if slot.current is None or (slot.exited and restarts(slot, policy)):
                builder.want(slot)
    return Plan(
        start=builder.start,
        stop=(),
        phase="Running" if begun else "Pending",
        wait_until=builder.wait_until,
        initialized=done,
    )


def _initialize(
    first: Sequence[Slot], policy: Policy, builder: _Builder, *, begun: bool
) -> bool | None:
    """Whether the main containers may run; None if they never will."""
    for slot in first:
        if slot.kind == "sidecar":
            if not slot.running:
                builder.want(slot)
            if not begun and not (slot.running and slot.started):
                return False
            continue
        if begun:
            continue
        if slot.current is None:
            builder.want(slot)
            return False
        run = slot.exited
        if run is None:
            return False
        if run.exit_code or run.reason == "StartError":
            if not restarts(slot, policy):
                return None
            builder.want(slot)
            return False
    return True


def _ended(others: Sequence[Slot], phase: Literal["Succeeded", "Failed"]) -> Plan:
    running = [slot for slot in reversed(others) if slot.running]
    return Plan(
        start=(),
        stop=running,
        phase="Running" if running and phase == "Succeeded" else phase,
        wait_until=None,
        initialized=True,
    )
