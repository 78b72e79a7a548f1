"""One pod on the node: the task that makes the Engine's containers what the pod's spec says.

Level-triggered: `sync` looks at the stored pod and at what the Engine last said of each container,
does what `order.plan` says, writes the status, and returns when it wants to look again.  It is
woken by changes of the pod, by ends of containers, by probes, pulls and finished stops; what takes
long (a pull, a stop with its grace) is a task of its own, so that `sync` never holds up a deletion.

The Engine being away is no failure of the pod: `sync` raises `EngineAwayError`, and the kubelet
wakes every pod when the Engine is back; instances that died meanwhile are found by inspection.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tilt_cluster import engine, fields
from tilt_cluster.network import links
from tilt_cluster.network.joining import Joining
from tilt_cluster.node import (
    containers,
    environment,
    gates,
    hostfiles,
    lifecycle,
    order,
    spec,
    starting,
    status,
    stopping,
    volumes,
)
from tilt_cluster.node.containers import Run, Slot
from tilt_cluster.node.world import World
from tilt_cluster.objects import PODS, ApiError, Object

_LOG = logging.getLogger(__name__)
_RETRY, _RETRY_MAX = 1.0, 30.0
_GONE = 404


class Pod:
    """The containers of one pod.

    Args:
        world: its surroundings.
        pod: as it is stored when the node takes it on.
    """

    def __init__(self, world: World, pod: Object) -> None:
        self.world = world
        self.uid, self.name = fields.uid(pod), fields.name(pod)
        self.namespace = fields.namespace(pod)
        self.slots = containers.slots_of(pod)
        self.wake = asyncio.Event()
        self.changed: set[str] = set()
        self.sandbox: str | None = None
        """Whose network the containers join; empty: there is a network, and nobody in it yet."""
        self.ip = ""
        """Its address; empty once it is given back (the stored status keeps it)."""
        self.alone = False
        self._shares = False
        self.since = time.time()
        self.folder = world.folder / self.uid
        self.volumes = volumes.Volumes(world.cluster, self.folder)
        self.images: dict[str, str] = {}
        self.failure: tuple[str, str] | None = None
        self._shown = (fields.labels(pod), fields.annotations(pod))
        self._mount_failures = 0
        self.network_at = 0.0
        self._stops: set[str] = set()
        self._starter = starting.Starter(self)
        self._probes = lifecycle.Probes(self)

    @property
    def facts(self) -> environment.Facts:
        """What its containers may ask about it."""
        gateway = self.world.network.gateway
        return environment.Facts(self.ip, gateway, self.world.cpus, self.world.memory)

    def stored(self) -> Object | None:
        """The pod as it is stored; None if it is gone, or another one has its name."""
        found = self.world.cluster.find(PODS, self.name, self.namespace)
        return found if found is not None and fields.uid(found) == self.uid else None

    def slot(self, name: str) -> Slot | None:
        """The slot of a container."""
        return next((slot for slot in self.slots if slot.name == name), None)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside `sync`, and sync again when it is done."""
        return self.world.tasks.create_task(self._guard(work), name=f"{name} of {self.name}")

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (engine.EngineError, engine.EngineAwayError) as error:
            _LOG.info("pod %s/%s: %s", self.namespace, self.name, error)
        except Exception:  # noqa: BLE001 - a fault with one pod must not stop the node
            _LOG.exception("pod %s/%s", self.namespace, self.name)
        finally:
            self.wake.set()

    async def run(self) -> None:
        """Look after the pod until it is gone."""
        failures = 0
        while True:
            self.wake.clear()
            try:
                at = await self.sync()
                failures = 0
            except Finished:
                return
            except engine.EngineAwayError:
                at = time.time() + _RETRY_MAX
            except (engine.EngineError, ApiError, OSError) as error:
                failures += 1
                _LOG.warning("pod %s/%s: %s", self.namespace, self.name, error)
                at = time.time() + min(_RETRY * 2**failures, _RETRY_MAX)
            except Exception:  # noqa: BLE001 - a fault with one pod must not stop the node
                failures += 1
                _LOG.exception("pod %s/%s", self.namespace, self.name)
                at = time.time() + min(_RETRY * 2**failures, _RETRY_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if at is None else max(0.0, at - time.time())):
                    await self.wake.wait()

    async def sync(self) -> float | None:
        """Do the next steps; when to look again without being woken (Unix seconds).

        Raises:
            Finished: nothing is left of the pod.
        """
        await self._observe()
        pod = self.stored()
        if pod is None or fields.deleting(pod):
            return await self._terminate(pod)
        now = time.time()
        if fields.get(pod, "status", "phase") in {"Succeeded", "Failed"}:
            return await self._rest(pod)
        policy = fields.get(pod, "spec", "restartPolicy", default="Always")
        until = self._deadline(pod, now)
        if until is not None and until <= now:
            return await self._expire(pod)
        renew = self.volumes.renew_at()
        if renew is not None and renew <= now:
            self.refresh()
        plan = order.plan(self.slots, policy, now)
        if plan.stop:
            self._stop(pod, plan.stop[0])
            self._publish(pod, plan)
            return None
        if plan.start:
            retry = await self._network(pod, plan)
            if retry is not None:
                return retry
            for slot in plan.start:
                await self._starter.start(pod, slot)
                pod = self.stored()
                if pod is None or fields.deleting(pod):
                    self.wake.set()
                    return None
            plan = order.plan(self.slots, policy, time.time())
        if plan.phase in {"Succeeded", "Failed"} and self.sandbox is not None:
            await self._wind_up(pod, plan)
        self._publish(pod, plan)
        if plan.start:
            self.wake.set()
        times = (plan.wait_until, until, self.volumes.renew_at())
        soonest: float | None = min((at for at in times if at is not None), default=None)
        return soonest

    def follow(self, pod: Object) -> None:
        """The stored pod has changed: it may have got a container, or other metadata to show."""
        self.slots += containers.added(pod, self.slots)
        shown = (fields.labels(pod), fields.annotations(pod))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def refresh(self) -> None:
        """Bring the files of its volumes up to date."""
        pod = self.stored()
        if pod is None or self.sandbox is None:
            return
        try:
            self.volumes.set_up(pod, self.facts)
        except (volumes.NotMountedError, ApiError) as error:
            _LOG.info("pod %s/%s: %s", self.namespace, self.name, error)

    async def _observe(self) -> None:
        """Ask the Engine about every container that has changed."""
        changed, self.changed = self.changed, set()
        try:
            if self.sandbox in changed and not self.alone:
                await self._check_sandbox()
            for slot in self.slots:
                run = slot.current
                if run is not None and not run.exited and run.id in changed:
                    await self._look(slot, run)
        except BaseException:
            self.changed |= changed
            raise

    async def _look(self, slot: Slot, run: Run) -> None:
        try:
            found = await self.world.engine.call("GET", f"/containers/{run.id}/json")
        except engine.EngineError as error:
            if error.status != _GONE:
                raise
            now = time.time()
            gone = "The container could not be located when the pod was terminated"
            seen = Run(run.id, run.attempt, "exited", run.started, now, 137, "Error", gone, "")
        else:
            seen = containers.run_of(found, run.attempt)
        if seen.exited:
            self._ended(slot, await lifecycle.with_message(self, slot, seen))
        else:
            slot.current = seen

    def _ended(self, slot: Slot, run: Run) -> None:
        slot.current = run
        slot.started = slot.ready = slot.killing = False
        self._probes.stop(slot)
        pod = self.stored()
        policy = fields.get(pod, "spec", "restartPolicy", default="Always")
        if pod is None or fields.deleting(pod) or not order.restarts(slot, policy):
            return
        if slot.back_off.delay and slot.back_off.until(run.finished) > time.time():
            self._starter.back_off(pod, slot)

    async def _check_sandbox(self) -> None:
        """A sandbox that died takes the pod's network with it: all starts again."""
        try:
            found = await self.world.engine.call("GET", f"/containers/{self.sandbox}/json")
            alive = bool(found["State"]["Running"])
        except engine.EngineError as error:
            if error.status != _GONE:
                raise
            alive = False
        if alive:
            return
        pod = self.stored()
        ended = fields.get(pod, "status", "phase") in {"Succeeded", "Failed"}
        if pod is not None and not fields.deleting(pod) and not ended:
            message = "Pod sandbox changed, it will be killed and re-created."
            self.world.tell(pod, "Normal", "SandboxChanged", message, "")
        for slot in self.slots:
            if slot.running and slot.current is not None:
                await stopping.kill(self.world, slot.current.id)
                await self._look(slot, slot.current)
        await self._leave()

    async def _network(self, pod: Object, plan: order.Plan) -> float | None:
        """Volumes and the sandbox; when to try again, if they can't be had now."""
        if self.alone and any(slot.current for slot in plan.start if slot.kind == "main"):
            await self.share()  # what starts anew finds the same network, which needs a sandbox
        if self.sandbox is not None:
            return None
        if self.network_at > time.time():
            return self.network_at
        try:
            self.volumes.set_up(pod, self.facts)
        except (volumes.NotMountedError, ApiError) as error:
            self.world.tell(pod, "Warning", "FailedMount", str(error), "")
            self._publish(pod, plan)
            self._mount_failures += 1
            self.network_at = time.time() + min(0.5 * 2.0 ** min(self._mount_failures, 8), 30.0)
            return self.network_at
        self._mount_failures = 0
        try:
            if (joining := self._joining_alone(pod)) is not None:
                self.ip, self.alone, self.sandbox = joining.take(), True, ""
            else:
                self.sandbox, self.ip = await starting.sandbox(self.world, pod, self.ip)
        except (engine.EngineError, OSError) as error:
            message = f"Failed to create pod sandbox: {error}"
            self.world.tell(pod, "Warning", "FailedCreatePodSandBox", message, "")
            self._publish(pod, plan)
            self.network_at = time.time() + 2.0
            return self.network_at
        hostfiles.write(self.folder, pod, self.ip, self.world.network)
        self.refresh()  # the address is known only now
        return None

    def _joining_alone(self, pod: Object) -> Joining | None:
        """Who gives the pod its network without a sandbox; None if it needs one."""
        joining = self.world.network.joining
        begun = any(slot.current is not None for slot in self.slots)
        if joining is None or not joining.usable or begun or self._shares:
            return None
        return joining if gates.is_known() and spec.may_be_alone(pod) else None

    async def open_gate(self, folder: Path, waits: Mapping[str, Any]) -> None:
        """Give the only container its network, and let it run.

        Args:
            folder: as `gates.make` has left it.
            waits: what the Engine says of the container.

        Raises:
            gates.UnusualError: it can't be told what it runs.
            OSError: it can't be put on the bridge.
        """
        joining = self.world.network.joining
        container, pid = str(waits["Id"]), int(waits["State"]["Pid"])
        if joining is None or not pid:
            raise gates.UnusualError("it has ended")
        place = joining.place(self.ip)
        try:
            await links.in_thread(lambda: gates.let_go(container, pid, folder, *place))
        except links.ElsewhereError as error:
            starting.unusable(joining, error)
            raise
        gates.passed(folder)
        self.sandbox = container

    def adopt(self, container: Mapping[str, Any], ip: str) -> bool:
        """Go on without a sandbox, as a run before did; whether its program runs.

        Args:
            container: what the Engine says of the only one.
            ip: the pod's address.
        """
        self.alone = True
        self.sandbox, self.ip = str(container["Id"]), ip
        if gates.is_shut(self.folder / gates.FOLDER):  # the node was killed in between
            self.spawn(stopping.kill(self.world, self.sandbox), "kill")
            return False
        return True

    async def share(self, container: str = "") -> None:
        """Let the pod have a sandbox from now on, with the same address.

        Args:
            container: that has, or may have, the network now; by default the one that passed.
        """
        self.sandbox = container or self.sandbox
        await self._unplug()
        self.alone, self._shares, self.sandbox = False, True, None
        self.wake.set()

    async def _unplug(self) -> None:
        """Take an only container's interface away, so that nobody answers at its address.

        The kernel does it with the namespace, but not before it finds time for that.
        """
        if self.alone and self.sandbox:
            await links.in_thread(partial(links.remove, self.sandbox))

    def running(self, pod: Object, slot: Slot) -> None:
        """A container was started: probe it."""
        self._probes.start(pod, slot)

    def _stop(self, pod: Object, slot: Slot, grace: float | None = None) -> None:
        """Begin to stop a container, once."""
        run = slot.current
        if run is None or run.id in self._stops or not run.running:
            return
        self._stops.add(run.id)
        slot.killing = True
        self._probes.stop(slot)
        message = f"Stopping container {slot.name}"
        self.world.tell(pod, "Normal", "Killing", message, slot.field)
        self.spawn(self._stop_run(pod, slot, run, grace), "stop")

    def restart(self, slot: Slot, grace: float | None, reason: str, message: str) -> None:
        """Stop a container that shall start again, with an event."""
        run, pod = slot.current, self.stored()
        if run is None or pod is None or run.id in self._stops or not run.running:
            return
        self._stops.add(run.id)
        slot.killing = True
        self.world.tell(pod, "Normal", reason, message, slot.field)
        self.spawn(self._stop_run(pod, slot, run, grace), "restart")

    async def _stop_run(self, pod: Object, slot: Slot, run: Run, grace: float | None) -> None:
        if grace is None:
            grace = float(fields.get(pod, "spec", "terminationGracePeriodSeconds", default=30))
        try:
            await stopping.stop(self, pod, slot, run, grace)
        finally:
            self._stops.discard(run.id)
            self.changed.add(run.id)

    async def _wind_up(self, pod: Object, plan: order.Plan) -> None:
        """A pod's phase is final only when its network is gone; before, its containers have ended.

        The kubelet says so in two steps, and those who watch may rely on seeing the first.
        """
        begun = any(slot.current is not None for slot in self.slots if slot.kind == "main")
        self._publish(pod, dataclasses.replace(plan, phase="Running" if begun else "Pending"))
        await self._leave()

    async def _rest(self, pod: Object) -> float | None:
        """A pod that has ended keeps its containers for their logs, and loses its network."""
        for slot in self.slots:
            self._stop(pod, slot)
        if self.sandbox is not None and not any(slot.running for slot in self.slots):
            await self._leave()
            phase = fields.get(pod, "status", "phase")
            self._publish(pod, order.Plan((), (), phase, None, initialized=True))
        return None

    def _deadline(self, pod: Object, now: float) -> float | None:
        limit = fields.get(pod, "spec", "activeDeadlineSeconds")
        if limit is None:
            return None
        begun: float = fields.parse(fields.get(pod, "status", "startTime")) or now
        return begun + float(limit)

    async def _expire(self, pod: Object) -> float | None:
        message = "Pod was active on the node longer than the specified deadline"
        self.world.tell(pod, "Normal", "DeadlineExceeded", message, "")
        self.failure = ("DeadlineExceeded", message)
        self._publish(pod, order.Plan((), (), "Failed", None, initialized=True))
        for slot in self.slots:
            self._stop(pod, slot)
        self.wake.set()
        return None

    async def _terminate(self, pod: Object | None) -> float | None:
        """Stop everything, main containers first, then remove it, then let the pod go.

        Without the object nobody is told how they end, and so all goes at once.
        """
        running = [slot for slot in self.slots if slot.running]
        if running and pod is not None:
            grace = _grace(pod)
            main = [slot for slot in running if slot.kind != "sidecar"]
            for slot in main or running[-1:]:
                self._stop(pod, slot, grace)
            if grace == 0:
                await stopping.kill_all(self)
            return None
        if pod is not None:
            policy = fields.get(pod, "spec", "restartPolicy", default="Always")
            self._publish(pod, order.plan(self.slots, policy, time.time()))
        await self._remove()
        if pod is not None:
            with contextlib.suppress(ApiError):
                self.world.cluster.delete(
                    PODS, self.name, self.namespace, uid=self.uid, grace_seconds=0
                )
            if self.stored() is not None:  # a finalizer keeps it
                return None
        raise Finished

    async def _remove(self) -> None:
        self._probes.stop_all()
        for slot in self.slots:
            for run in (slot.current, slot.last):
                if run is not None:
                    await stopping.remove(self.world, run.id)
        await self._leave()
        self.volumes.remove()

    async def _leave(self) -> None:
        """Give up the pod's network."""
        await self._unplug()
        if self.sandbox is not None and not self.alone:
            await stopping.remove(self.world, self.sandbox)
        self.world.network.release(self.ip)
        self.sandbox, self.ip = None, ""

    def publish(self) -> None:
        """Write the status as it is now."""
        pod = self.stored()
        if pod is not None:
            policy = fields.get(pod, "spec", "restartPolicy", default="Always")
            self._publish(pod, order.plan(self.slots, policy, time.time()))

    def _publish(self, pod: Object, plan: order.Plan) -> None:
        current = self.stored()
        if current is None:
            return
        host = self.world.network.gateway
        ip = self.ip or str(fields.get(current, "status", "podIP", default=""))
        if spec.on_host_network(pod):
            ip = host
        place = status.Place(ip, host, self.since, network=self.sandbox is not None)
        new = status.of_pod(current, self.slots, plan, place, self.images, time.time())
        if self.failure is not None:
            new = {**new, "reason": self.failure[0], "message": self.failure[1]}
        if new != current.get("status"):
            with contextlib.suppress(ApiError):
                self.world.cluster.update_status(PODS, fields.with_status(current, new))
        if plan.phase in {"Succeeded", "Failed"}:
            self.wake.set()


class Finished(Exception):  # noqa: N818 - no error: the end of a pod's task
    """Nothing is left of a pod."""


def _grace(pod: Object) -> float:
    found = fields.get(pod, "metadata", "deletionGracePeriodSeconds")
    if found is None:
        found = fields.get(pod, "spec", "terminationGracePeriodSeconds", default=30)
    return float(found)
