"""Stopping: the preStop hook, the signal, the grace, the kill; and removing what has ended."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from tilt_cluster import engine, fields
from tilt_cluster.node import containers, lifecycle
from tilt_cluster.node.containers import Run, Slot
from tilt_cluster.node.world import World
from tilt_cluster.objects import Object

if TYPE_CHECKING:
    from tilt_cluster.node.pod import Pod

_GONE, _BUSY = 404, 409
_LEAST = 2.0


async def stop(pod: "Pod", stored: Object, slot: Slot, run: Run, grace: float) -> None:
    """Stop a running container; its preStop hook counts against the grace (at least 2 s)."""
    began = time.monotonic()
    hook = fields.get(containers.spec_of(stored, slot), "lifecycle", "preStop")
    if hook is not None and grace > 0:
        message = await lifecycle.hook(pod, slot, run, hook, grace)
        if message:
            pod.world.tell(stored, "Warning", "FailedPreStopHook", "PreStopHook failed", slot.field)
        grace = max(_LEAST, grace - (time.monotonic() - began))
    signal = fields.get(containers.spec_of(stored, slot), "lifecycle", "stopSignal")
    query = {"t": str(int(grace)), **({"signal": str(signal)} if signal else {})}
    with contextlib.suppress(engine.EngineError):
        await pod.world.engine.call(
            "POST", f"/containers/{run.id}/stop", query=query, timeout=grace + 30
        )


async def kill(world: World, container_id: str) -> None:
    """Kill a container now; one that doesn't run is no error."""
    try:
        await world.engine.call("POST", f"/containers/{container_id}/kill")
    except engine.EngineError as error:
        if error.status not in {_GONE, _BUSY}:
            raise


async def kill_all(pod: "Pod") -> None:
    """Kill every running container of a pod."""
    running = [slot.current.id for slot in pod.slots if slot.running and slot.current]
    await asyncio.gather(*(kill(pod.world, one) for one in running))
    pod.changed |= set(running)
    pod.wake.set()


async def remove(world: World, container_id: str) -> None:
    """Remove a container with its anonymous volumes, also a running one."""
    try:
        await world.engine.call(
            "DELETE", f"/containers/{container_id}", query={"force": True, "v": True}
        )
    except engine.EngineError as error:
        if error.status not in {_GONE, _BUSY}:
            raise
