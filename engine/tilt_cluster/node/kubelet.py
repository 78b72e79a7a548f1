"""The node: takes on the pods that are bound to it, and follows what the Engine says.

Two streams drive everything: changes of objects, and the Engine's events about containers with
this cluster's label (no others are ever looked at).  While the Engine is away the Node is NotReady
with the reason and its pods keep their last status; when it is back, every container is inspected
and everything goes on.  A node that starts finds the containers of the run before by their labels,
goes on with those whose pods are still there, and removes the others.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tilt_cluster import engine, fields, recorder
from tilt_cluster.node import containers, images, machine, pause, stopping, streams, volumes
from tilt_cluster.node.backoff import BackOff
from tilt_cluster.node.pod import Pod
from tilt_cluster.node.world import NODE, Network, World
from tilt_cluster.objects import (
    CONFIG_MAPS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SECRETS,
    ApiError,
    Change,
    Cluster,
    Event,
    Object,
    PodRuntime,
)

_LOG = logging.getLogger(__name__)
_AWAY = 1.0
_HEARTBEAT = 300.0


class Kubelet:
    """The node of a cluster.

    Args:
        cluster: its objects.
        client: the Engine, open.
        network: that pods join.
        info: the Engine's answer to `GET /info`.
        tasks: owns whatever runs beside the streams.
    """

    def __init__(
        self,
        cluster: Cluster,
        client: engine.Engine,
        network: Network,
        info: Mapping[str, Any],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._cluster, self._engine, self._network, self._info = cluster, client, network, info
        self._pods: dict[str, Pod] = {}
        self._tasks = tasks
        self._orphans: dict[str, list[Mapping[str, Any]]] = {}
        self._world = World(
            cluster=cluster,
            engine=client,
            images=images.Images(client),
            events=recorder.Recorder(cluster, "kubelet", NODE),
            network=network,
            tasks=tasks,
            folder=cluster.facts.folder / "pods",
            cpus=float(info.get("NCPU", 1)),
            memory=float(info.get("MemTotal", 0)),
        )

    def runtime(self) -> PodRuntime:
        """Logs, exec, attach and port-forward of its pods."""
        return streams.Streams(self._pods.get, self._engine)

    async def run(self) -> None:
        """Be the node until cancelled."""
        await self._found()
        self._register(ready=True, message="")
        self._tasks.create_task(self._follow(), name="engine events")
        self._tasks.create_task(self._beat(), name="node heartbeat")
        watched = (PODS, CONFIG_MAPS, SECRETS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)
        async with self._cluster.watch(*watched) as changes:
            first = True
            while True:
                for event in await changes.batch():
                    try:
                        self._note(event)
                    except Exception:  # noqa: BLE001 - one object must not stop the node
                        _LOG.exception("%s %s", event.resource, fields.name(event.object))
                if first:
                    first = False
                    await self._clean()

    def _note(self, event: Event) -> None:
        if event.resource == PODS:
            self._pod(event.change, event.object)
            return
        if event.resource == PERSISTENT_VOLUMES:
            if event.change is Change.DELETED:
                volumes.forget(self._cluster, event.object)
            return
        for pod in self._pods.values():
            if pod.namespace != fields.namespace(event.object):
                continue
            if pod.sandbox is None:
                pod.network_at = 0.0
                pod.wake.set()
            elif event.resource != PERSISTENT_VOLUME_CLAIMS:
                pod.refresh()
                self._recover(pod)

    @staticmethod
    def _recover(pod: Pod) -> None:
        """Try at once again what failed for want of an object."""
        for slot in pod.slots:
            if slot.waiting and slot.waiting.reason == "CreateContainerConfigError":
                slot.retry_at = 0.0
                pod.wake.set()

    def _pod(self, change: Change, obj: Object) -> None:
        uid = fields.uid(obj)
        known = self._pods.get(uid)
        if known is not None:
            known.follow(obj)
            known.wake.set()
            return
        mine = fields.get(obj, "spec", "nodeName") == NODE
        if change is Change.DELETED or not mine:
            return
        ended = fields.get(obj, "status", "phase") in {"Succeeded", "Failed"}
        pod = Pod(self._world, obj)
        left = self._orphans.pop(uid, None)
        if left:
            self._adopt(pod, obj, left)
        elif ended and not fields.deleting(obj):
            return  # its containers are gone, its status stays
        self._pods[uid] = pod
        self._tasks.create_task(self._look_after(pod), name=f"pod {pod.namespace}/{pod.name}")

    async def _look_after(self, pod: Pod) -> None:
        try:
            await pod.run()
        finally:
            self._pods.pop(pod.uid, None)

    def _adopt(self, pod: Pod, obj: Object, found: list[Mapping[str, Any]]) -> None:
        """Go on with the containers of a run before."""
        for one in sorted(found, key=lambda c: int(c["Config"]["Labels"][containers.ATTEMPT])):
            labels: Mapping[str, str] = one["Config"]["Labels"]
            name = labels[containers.CONTAINER]
            if name == containers.SANDBOX:
                pod.sandbox = str(one["Id"])
                pod.ip = self._address(one)
                pod.changed.add(str(one["Id"]))
                continue
            slot = pod.slot(name)
            if slot is None:
                continue
            slot.last, slot.current = (
                slot.current,
                containers.run_of(one, int(labels[containers.ATTEMPT])),
            )
            if slot.restarts:
                slot.back_off = BackOff().next()
        current = {slot.current.id for slot in pod.slots if slot.current is not None}
        runs = True
        for one in found:
            alone = containers.POD_IP in one["Config"]["Labels"] and one["Id"] in current
            if pod.sandbox is None and alone:
                runs = pod.adopt(one, self._address(one))
        try:
            pod.volumes.set_up(obj, pod.facts)
        except (volumes.NotMountedError, ApiError) as error:
            _LOG.warning("pod %s/%s: %s", pod.namespace, pod.name, error)
        for slot in pod.slots:
            if slot.running and runs:
                pod.running(obj, slot)

    def _address(self, sandbox: Mapping[str, Any]) -> str:
        """The address of a pod from a run before."""
        given = sandbox["Config"]["Labels"].get(containers.POD_IP)
        networks: Mapping[str, Any] = sandbox["NetworkSettings"]["Networks"]
        of_ours: Mapping[str, Any] = networks.get(self._network.name) or {}
        return str(given or of_ours.get("IPAddress") or self._network.gateway)

    async def _found(self) -> None:
        """Find the containers of this cluster that the Engine still has."""
        for one in await self._listed():
            try:
                seen = await self._engine.call("GET", f"/containers/{one}/json")
            except engine.EngineError:
                continue
            labels: Mapping[str, str] = seen["Config"]["Labels"]
            if self._network.joining is not None and containers.POD_IP in labels:
                self._network.joining.hold(labels[containers.POD_IP])
            uid = str(labels.get(containers.POD_UID, ""))
            self._orphans.setdefault(uid, []).append(seen)

    async def _listed(self) -> list[str]:
        filters = {"label": [f"{containers.CLUSTER}={self._cluster.facts.name}"]}
        found = await self._engine.call(
            "GET", "/containers/json", query={"all": True, "filters": filters}
        )
        return [str(one["Id"]) for one in found or () if containers.POD_UID in one["Labels"]]

    async def _clean(self) -> None:
        """Remove the containers whose pods are gone."""
        orphans, self._orphans = self._orphans, {}
        for group in orphans.values():
            for one in group:
                await stopping.remove(self._world, str(one["Id"]))
            for address in {one["Config"]["Labels"].get(containers.POD_IP, "") for one in group}:
                self._network.release(address)

    async def _follow(self) -> None:
        """Follow the Engine's events, over and over."""
        labels = [f"{containers.CLUSTER}={self._cluster.facts.name}"]
        chosen = {"type": ["container"], "label": labels, "event": ["die", "destroy"]}
        since = time.time()
        while True:
            query = f"filters={quote(json.dumps(chosen))}&since={since:.9f}"
            try:
                self._all_changed()
                async for event in self._engine.stream("GET", f"/events?{query}"):
                    since = float(event.get("timeNano", 0)) / 1e9 or since
                    self._happened(event)
            except (engine.EngineAwayError, engine.EngineError) as error:
                self._register(ready=False, message=str(error))
            await self._until_back()
            await self._restore()

    def _happened(self, event: Mapping[str, Any]) -> None:
        attributes: Mapping[str, str] = event["Actor"]["Attributes"]
        pod = self._pods.get(attributes.get(containers.POD_UID, ""))
        if pod is not None:
            pod.changed.add(str(event["Actor"]["ID"]))
            pod.wake.set()

    def _all_changed(self) -> None:
        for pod in self._pods.values():
            ids = {slot.current.id for slot in pod.slots if slot.current is not None}
            pod.changed |= ids | ({pod.sandbox} if pod.sandbox else set())
            pod.wake.set()

    async def _until_back(self) -> None:
        """Wait until the Engine answers."""
        while True:
            try:
                self._info = await self._engine.call("GET", "/info", timeout=5)
            except (engine.EngineAwayError, engine.EngineError) as error:
                self._register(ready=False, message=str(error))
                await asyncio.sleep(_AWAY)
            else:
                return

    async def _restore(self) -> None:
        self._register(ready=True, message="")
        with contextlib.suppress(engine.EngineAwayError, engine.EngineError):
            await pause.ensure(self._engine, self._info)

    def _register(self, *, ready: bool, message: str) -> None:
        """Make the Node, or bring its status up to date."""
        gateway = self._network.gateway
        try:
            found = self._cluster.find(NODES, NODE)
            if found is None:
                found = self._cluster.create(NODES, machine.describe(self._info, gateway))
            spec = machine.spec(ready=ready)
            if fields.get(found, "spec", default={}) != spec:
                found = self._cluster.update(NODES, {**found, "spec": spec})
            info: Mapping[str, Any] = self._info if ready else {}
            status = machine.status(info, gateway, found, ready=ready, message=message)
            self._cluster.update_status(NODES, fields.with_status(found, status))
        except ApiError as error:
            _LOG.warning("node status: %s", error)
        if not ready:
            self._not_ready()

    def _not_ready(self) -> None:
        """Pods of a node that is NotReady aren't ready, as the node controller marks them."""
        for pod in self._pods.values():
            stored = pod.stored()
            ready = fields.condition(stored, "Ready") if stored is not None else None
            if stored is None or ready is None or ready.get("status") != "True":
                continue
            lost = {
                **ready,
                "status": "False",
                "reason": "NodeNotReady",
                "lastTransitionTime": fields.stamp(time.time()),
            }
            kept = [lost if one is ready else one for one in stored["status"]["conditions"]]
            status = {**stored["status"], "conditions": kept}
            with contextlib.suppress(ApiError):
                self._cluster.update_status(PODS, fields.with_status(stored, status))

    async def _beat(self) -> None:
        """Say now and then that the node is still there."""
        while True:
            await asyncio.sleep(_HEARTBEAT)
            found = self._cluster.find(NODES, NODE)
            if found is not None and fields.is_true(found, "Ready"):
                self._register(ready=True, message="")


async def run(
    cluster: Cluster,
    client: engine.Engine,
    network: Network,
    info: Mapping[str, Any],
    register: Callable[[PodRuntime], None],
) -> None:
    """Be the cluster's node until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        kubelet = Kubelet(cluster, client, network, info, tasks)
        register(kubelet.runtime())
        await kubelet.run()
