"""Starting: a pod's sandbox, and each container from its image to its postStart hook.

Every step that fails leaves the reason and message of the kubelet in the slot, tells it as an
event, and says when to try again.
"""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilt_cluster import engine, fields
from tilt_cluster.network import bridge, links
from tilt_cluster.network.joining import Joining
from tilt_cluster.node import (
    containers,
    environment,
    gates,
    hostfiles,
    images,
    spec,
    stopping,
)
from tilt_cluster.node.backoff import BackOff, show
from tilt_cluster.node.containers import Run, Slot, Waiting
from tilt_cluster.node.world import World
from tilt_cluster.objects import Object

if TYPE_CHECKING:
    from tilt_cluster.node.pod import Pod

_LOG = logging.getLogger(__name__)
_CONFLICT, _GONE = 409, 404
_CONFIG_RETRY = 10.0


async def sandbox(world: World, pod: Object, address: str = "") -> tuple[str, str]:
    """Make and start a pod's sandbox; its id and the pod's address.

    Args:
        world: its surroundings.
        pod: whose.
        address: that the pod has already, and keeps if the node can give it; else it is given back.

    Raises:
        engine.EngineError: the Engine refuses.
        engine.EngineAwayError: it doesn't answer.
        OSError: the pod can't be put on the bridge.
    """
    joining = world.network.joining
    if joining is None or not joining.usable or spec.joined_by_engine(pod):
        world.network.release(address)
        return await _joined_by_engine(world, pod)
    try:
        return await _joined_by_node(world, joining, pod, address)
    except links.ElsewhereError as error:
        unusable(joining, error)
        world.network.release(address)
        return await _joined_by_engine(world, pod)


def unusable(joining: Joining, error: links.ElsewhereError) -> None:
    """It has turned out that the node can't put pods on the bridge."""
    _LOG.warning("from now on the Engine gives pods their network: %s", error)
    joining.usable = False


async def _joined_by_node(
    world: World, joining: Joining, pod: Object, address: str
) -> tuple[str, str]:
    given, address = address, address or joining.take()
    try:
        made = await _create_sandbox(world, pod, network=None, address=address)
        try:
            found = await _started(world, made)
            await joining.join(made, int(found["State"]["Pid"]), address)
        except BaseException:
            await stopping.remove(world, made)
            raise
    except BaseException:
        if not given:
            joining.release(address)
        raise
    return made, address


async def _joined_by_engine(world: World, pod: Object) -> tuple[str, str]:
    made = await _create_sandbox(world, pod, network=world.network.name, address="")
    try:
        found = await _started(world, made)
    except BaseException:
        await stopping.remove(world, made)
        raise
    if spec.on_host_network(pod):
        return made, world.network.gateway
    bridge.reflect(world.cluster.facts.name)
    networks: Mapping[str, Any] = found["NetworkSettings"]["Networks"]
    return made, str(networks[world.network.name]["IPAddress"])


async def _create_sandbox(world: World, pod: Object, *, network: str | None, address: str) -> str:
    labels = containers.labels(
        world.cluster.facts.name, pod, containers.SANDBOX, 0, world.cluster.facts.labels
    )
    if address:
        labels[containers.POD_IP] = address
    body = spec.sandbox(pod, network=network, labels=labels, domain=world.network.domain)
    return await create(world, _name(world, pod, "pod", 0), body)


async def _started(world: World, made: str) -> Mapping[str, Any]:
    """Start a container; what the Engine then says of it."""
    await world.engine.call("POST", f"/containers/{made}/start")
    found: Mapping[str, Any] = await world.engine.call("GET", f"/containers/{made}/json")
    return found


def _name(world: World, pod: Object, container: str, attempt: int) -> str:
    """The Engine's name of a container; unique by the pod's uid."""
    parts = (world.cluster.facts.name, fields.namespace(pod), fields.name(pod), container)
    return f"{'_'.join(parts)}_{fields.uid(pod)[:8]}_{attempt}"


async def create(world: World, name: str, body: Mapping[str, Any]) -> str:
    """Create a container; a left-over of ours under that name is removed, a foreign one isn't."""
    query = {"name": name}
    try:
        made = await world.engine.make("/containers/create", body, query=query)
    except engine.EngineError as error:
        if error.status != _CONFLICT:
            raise
        found = await world.engine.call("GET", f"/containers/{name}/json")
        known: Mapping[str, str] = fields.get(found, "Config", "Labels", default={})
        if known.get(containers.CLUSTER) == world.cluster.facts.name:
            await stopping.remove(world, str(found["Id"]))
        else:
            query = {"name": f"{name}_{time.time_ns():x}"}
        made = await world.engine.make("/containers/create", body, query=query)
    return str(made["Id"])


class Starter:
    """Starts the containers of one pod.

    Args:
        pod: whose.
    """

    def __init__(self, pod: "Pod") -> None:
        self._pod = pod
        self._world = pod.world
        self._pulled: dict[str, images.Pulled | images.PullError] = {}
        self._pulling: set[str] = set()
        self._pull_back_off: dict[str, tuple[BackOff, float, str]] = {}

    def back_off(self, pod: Object, slot: Slot) -> None:
        """A container waits for its restart."""
        where = f"{fields.name(pod)}_{fields.namespace(pod)}({fields.uid(pod)})"
        delay = show(slot.back_off.delay)
        message = f"back-off {delay} restarting failed container={slot.name} pod={where}"
        slot.waiting = Waiting("CrashLoopBackOff", message)
        event = f"Back-off restarting failed container {slot.name} in pod {where}"
        self._world.tell(pod, "Warning", "BackOff", event, slot.field)

    async def start(self, pod: Object, slot: Slot) -> None:
        """Start a container's next instance, or note why it can't be."""
        one = containers.spec_of(pod, slot)
        image = await self._image(pod, slot, one)
        if image is None:
            return
        try:
            spec.check_user(pod, one, image.user)
            variables = {
                "HOSTNAME": spec.hostname(pod),
                **environment.variables(
                    self._world.cluster, pod, one, self._world.services(pod), self._pod.facts
                ),
            }
            mounts = self._pod.volumes.mounts(pod, one, variables)
            target = self._target(one)
        except environment.ConfigError as error:
            self._refuse(pod, slot, "CreateContainerConfigError", str(error), _CONFIG_RETRY)
            return
        previous = slot.current
        attempt = previous.attempt + 1 if previous else 0
        mounts += hostfiles.mounts(self._pod.folder, one, attempt, mounts)
        labels = containers.labels(
            self._world.cluster.facts.name,
            pod,
            slot.name,
            attempt,
            self._world.cluster.facts.labels,
        )
        body = spec.container(
            pod,
            one,
            image=str(one["image"]),
            image_user=image.user,
            variables=variables,
            mounts=mounts,
            sandbox_id=str(self._pod.sandbox),
            target_id=target,
            labels=labels,
        )
        name = _name(self._world, pod, slot.name, attempt)
        if self._pod.alone and slot.kind == "main":
            program = spec.program(body, image.entrypoint, image.arguments)
            await self._start_alone(pod, slot, name, body, program, image)
            return
        try:
            made = await create(self._world, name, body)
        except engine.EngineError as error:
            self._refuse(pod, slot, "CreateContainerError", str(error), _CONFIG_RETRY)
            return
        self._world.tell(pod, "Normal", "Created", "Container created", slot.field)
        await self._launch(pod, slot, made, attempt, image)

    async def _start_alone(
        self,
        pod: Object,
        slot: Slot,
        name: str,
        body: Mapping[str, Any],
        program: Sequence[str],
        image: images.Image,
    ) -> None:
        """Start the only container without a sandbox; whatever fails is left to one with it."""
        gate = self._pod.folder / gates.FOLDER
        made = ""
        try:
            gates.make(gate, program)
            body = spec.alone(
                pod,
                {**body, "Labels": {**body["Labels"], containers.POD_IP: self._pod.ip}},
                program=program,
                gate=str(gate),
                domain=self._world.network.domain,
            )
            made = await create(self._world, name, body)
            await self._pod.open_gate(gate, await _started(self._world, made))
        except (engine.EngineError, gates.UnusualError, OSError) as error:
            _LOG.info("pod %s/%s gets a sandbox: %s", self._pod.namespace, self._pod.name, error)
            if made:
                await stopping.remove(self._world, made)
            await self._pod.share(made)
            return
        except BaseException:
            if made:
                with contextlib.suppress(engine.EngineAwayError):
                    await stopping.remove(self._world, made)
            raise
        self._world.tell(pod, "Normal", "Created", "Container created", slot.field)
        self._runs(pod, slot, made, 0, image)

    def _target(self, one: Object) -> str:
        """The instance whose processes an ephemeral container shall see; empty for none.

        Raises:
            environment.ConfigError: it doesn't run.
        """
        name = one.get("targetContainerName")
        if not name:
            return ""
        slot = self._pod.slot(str(name))
        if slot is None or slot.current is None or not slot.running:
            raise environment.ConfigError(f"unable to find target container {name}")
        return slot.current.id

    async def _launch(
        self, pod: Object, slot: Slot, made: str, attempt: int, image: images.Image
    ) -> None:
        previous, old = slot.current, slot.last
        if previous is not None:
            lasted = max(0.0, previous.finished - previous.started) if previous.started else 0.0
            slot.back_off = slot.back_off.next(lasted)
        slot.waiting, slot.retry_at, slot.killing = None, 0.0, False
        slot.last = previous
        try:
            await self._world.engine.call("POST", f"/containers/{made}/start")
        except engine.EngineError as error:
            await self._failed(pod, slot, made, attempt, image, str(error))
            return
        finally:
            if old is not None:
                await stopping.remove(self._world, old.id)
        self._runs(pod, slot, made, attempt, image)

    def _runs(self, pod: Object, slot: Slot, made: str, attempt: int, image: images.Image) -> None:
        slot.waiting, slot.retry_at, slot.killing = None, 0.0, False
        slot.current = Run(made, attempt, "running", time.time(), image_id=image.id)
        self._world.tell(pod, "Normal", "Started", "Container started", slot.field)
        self._pod.running(pod, slot)  # should it have ended by now, the event of that waits for us

    async def _failed(
        self, pod: Object, slot: Slot, made: str, attempt: int, image: images.Image, text: str
    ) -> None:
        """The process could not be started (no such program, for example)."""
        message = containers.start_error(text)
        now = time.time()
        slot.current = Run(made, attempt, "exited", 0.0, now, 128, "StartError", message, image.id)
        slot.waiting = Waiting("RunContainerError", message)
        self._world.tell(pod, "Warning", "Failed", f"Error: {message}", slot.field)

    def _refuse(self, pod: Object, slot: Slot, reason: str, message: str, delay: float) -> None:
        slot.waiting = Waiting(reason, message)
        slot.retry_at = time.time() + delay
        self._world.tell(pod, "Warning", "Failed", f"Error: {message}", slot.field)

    async def _image(self, pod: Object, slot: Slot, one: Object) -> images.Image | None:
        """The container's image, if it is there; else the slot says why not."""
        reference = str(one.get("image") or "")
        if not images.valid(reference):
            message = (
                f'Failed to apply default image tag "{reference}": couldn\'t parse image name '
                f'"{reference}": invalid reference format'
            )
            self._world.tell(pod, "Warning", "InspectFailed", message, slot.field)
            slot.waiting = Waiting("InvalidImageName", message)
            slot.retry_at = time.time() + 10.0
            self._world.tell(pod, "Warning", "Failed", "Error: InvalidImageName", slot.field)
            return None
        self._pod.images[slot.name] = reference
        done = self._pulled.pop(slot.name, None)
        if isinstance(done, images.Pulled):
            self._pull_back_off.pop(slot.name, None)
            took = f"{done.seconds:.3f}s" if done.seconds >= 1 else f"{done.seconds * 1000:.0f}ms"
            message = (
                f'Successfully pulled image "{reference}" in {took} ({took} including waiting)'
            )
            message += f". Image size: {done.image.size} bytes."
            self._world.tell(pod, "Normal", "Pulled", message, slot.field)
            return done.image
        policy = images.policy(one)
        found = await self._world.images.find(reference)
        if found is not None and (policy != "Always" or not found.remote):
            message = f'Container image "{reference}" already present on machine'
            message += " and can be accessed by the pod"
            self._world.tell(pod, "Normal", "Pulled", message, slot.field)
            return found
        if found is None and policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            self._world.tell(pod, "Warning", "ErrImageNeverPull", message, slot.field)
            slot.waiting = Waiting("ErrImageNeverPull", message)
            slot.retry_at = time.time() + 10.0
            self._world.tell(pod, "Warning", "Failed", "Error: ErrImageNeverPull", slot.field)
            return None
        self._pull(pod, slot, reference, done)
        return None

    def _pull(
        self, pod: Object, slot: Slot, reference: str, failed: images.PullError | None
    ) -> None:
        """Begin to pull, or say that the last pull failed, or that it is too early for another."""
        now = time.time()
        if failed is not None:
            wait, _, _ = self._pull_back_off.get(slot.name, (BackOff(), 0.0, ""))
            self._pull_back_off[slot.name] = (wait.next(), now, failed.text)
            message = f'Failed to pull image "{reference}": {failed.text}'
            self._world.tell(pod, "Warning", "Failed", message, slot.field)
            self._world.tell(pod, "Warning", "Failed", "Error: ErrImagePull", slot.field)
            slot.waiting = Waiting("ErrImagePull", failed.text)
            slot.retry_at = now + 1.0
            return
        wait, at, text = self._pull_back_off.get(slot.name, (BackOff(), 0.0, ""))
        if wait.until(at) > now:
            slot.waiting = Waiting(
                "ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {text}'
            )
            slot.retry_at = wait.until(at)
            message = f'Back-off pulling image "{reference}"'
            self._world.tell(pod, "Normal", "BackOff", message, slot.field)
            self._world.tell(pod, "Warning", "Failed", "Error: ImagePullBackOff", slot.field)
            return
        slot.retry_at = now + 3600.0  # the pull's end wakes it
        if slot.name in self._pulling:
            return
        self._pulling.add(slot.name)
        self._world.tell(pod, "Normal", "Pulling", f'Pulling image "{reference}"', slot.field)
        login = images.credentials(self._world.cluster, pod, reference)
        self._pod.spawn(self._pull_now(slot, reference, login), "pull")

    async def _pull_now(self, slot: Slot, reference: str, login: Mapping[str, str] | None) -> None:
        try:
            self._pulled[slot.name] = await self._world.images.pull(reference, login)
        except images.PullError as error:
            self._pulled[slot.name] = error
        finally:
            self._pulling.discard(slot.name)
            slot.retry_at = 0.0
