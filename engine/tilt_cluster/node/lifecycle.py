"""What happens while a container runs: its hooks, its probes, and its last words."""

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tilt_cluster import engine, fields
from tilt_cluster.node import containers, hostfiles, probes
from tilt_cluster.node.containers import Run, Slot
from tilt_cluster.objects import Object

if TYPE_CHECKING:
    from tilt_cluster.node.pod import Pod

_LOG_LINES, _LOG_BYTES = 80, 2048
_KINDS: tuple[probes.Kind, ...] = ("Startup", "Readiness", "Liveness")


async def with_message(pod: "Pod", slot: Slot, run: Run) -> Run:
    """An ended instance with what it said of its end."""
    if run.reason == "StartError":
        return run
    text = hostfiles.message(pod.folder, slot.name, run.attempt)
    stored = pod.stored()
    if not text and run.exit_code and stored is not None:
        policy = containers.spec_of(stored, slot).get("terminationMessagePolicy")
        if policy == "FallbackToLogsOnError":
            text = await _tail(pod, run)
    return replace(run, message=text) if text else run


async def _tail(pod: "Pod", run: Run) -> str:
    path = f"/containers/{run.id}/logs?stdout=1&stderr=1&tail={_LOG_LINES}"
    data = b""
    try:
        found = await pod.world.engine.call("GET", f"/containers/{run.id}/json")
        tty = bool(found["Config"]["Tty"])
        async for _, piece in pod.world.engine.frames(path, tty=tty):
            data += piece
    except engine.EngineError:
        return ""
    return data[-_LOG_BYTES:].decode(errors="replace")


async def hook(pod: "Pod", slot: Slot, run: Run, spec: Object, limit: float) -> str:
    """Run a lifecycle hook; the failure's message, empty if it succeeded."""
    if (pause := spec.get("sleep")) is not None:
        await asyncio.sleep(min(float(pause.get("seconds") or 0), limit))
        return ""
    stored = pod.stored()
    ports = {} if stored is None else _ports(containers.spec_of(stored, slot))
    target = probes.Target(run.id, pod.ip, ports, pod.world.engine)
    result = await probes.once({**spec, "timeoutSeconds": limit}, target)
    return "" if result.outcome is probes.Outcome.SUCCESS else result.message or "failed"


def _ports(container: Object) -> dict[str, int]:
    return {
        str(port["name"]): int(port["containerPort"])
        for port in container.get("ports") or ()
        if port.get("name")
    }


class Probes:
    """The postStart hooks and probes of one pod's running containers.

    Args:
        pod: whose.
    """

    def __init__(self, pod: "Pod") -> None:
        self._pod = pod
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def start(self, stored: Object, slot: Slot) -> None:
        """Begin with a container that has just been started."""
        run = slot.current
        if run is None:
            return
        self.stop(slot)
        one = containers.spec_of(stored, slot)
        slot.ready = slot.kind != "init" and probes.spec_of(one, "Readiness") is None
        slot.started = False
        post = fields.get(one, "lifecycle", "postStart")
        if post is None:
            self._started_up(slot, one, run)
        else:
            task = self._pod.spawn(self._post_start(slot, run, one, post), "postStart")
            self._tasks.setdefault(slot.name, []).append(task)

    def stop(self, slot: Slot) -> None:
        """End the probes of a container."""
        me = asyncio.current_task()
        for task in self._tasks.pop(slot.name, ()):
            if task is not me:
                task.cancel()

    def stop_all(self) -> None:
        """End all."""
        for slot in self._pod.slots:
            self.stop(slot)

    async def _post_start(self, slot: Slot, run: Run, one: Object, post: Object) -> None:
        message = await hook(self._pod, slot, run, post, 3600.0)
        if slot.current is None or slot.current.id != run.id:
            return
        if not message:
            self._started_up(slot, one, run)
            return
        stored = self._pod.stored()
        if stored is not None:
            self._pod.world.tell(
                stored, "Warning", "FailedPostStartHook", "PostStartHook failed", slot.field
            )
        self._pod.restart(slot, None, "Killing", "FailedPostStartHook")

    def _started_up(self, slot: Slot, one: Object, run: Run) -> None:
        """The container runs and its hook is done: now its probes."""
        gate = asyncio.Event()
        if probes.spec_of(one, "Startup") is None:
            slot.started = True
            gate.set()
        target = probes.Target(run.id, self._pod.ip, _ports(one), self._pod.world.engine)
        for kind in _KINDS:
            spec = probes.spec_of(one, kind)
            if spec is None:
                continue
            may_run = gate if kind != "Startup" else _open()

            async def tell(
                report: probes.Report, spec: Object = spec, gate: asyncio.Event = gate
            ) -> None:
                self._heard(slot, run, spec, report, gate)

            work = probes.repeat(kind, spec, target, run.started or time.time(), may_run, tell)
            task = self._pod.spawn(work, f"{kind.lower()} probe")
            self._tasks.setdefault(slot.name, []).append(task)

    def _heard(
        self, slot: Slot, run: Run, spec: Object, report: probes.Report, gate: asyncio.Event
    ) -> None:
        stored = self._pod.stored()
        if stored is None or slot.current is None or slot.current.id != run.id or slot.killing:
            return
        if report.failure is not None:
            verb = "errored and resulted in unknown state" if report.unknown else "failed"
            message = f"{report.kind} probe {verb}: {report.failure}"
            self._pod.world.tell(stored, "Warning", "Unhealthy", message, slot.field)
        if report.passed is None:
            return
        if report.kind == "Readiness":
            slot.ready = report.passed
        elif report.passed:
            slot.started = slot.started or report.kind == "Startup"
            gate.set()
        else:
            seconds = spec.get("terminationGracePeriodSeconds")
            grace = None if seconds is None else float(seconds)
            message = f"Container {slot.name} failed {report.kind.lower()} probe, will be restarted"
            self._pod.restart(slot, grace, "Killing", message)
            return
        self._pod.wake.set()


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
