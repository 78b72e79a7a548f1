"""What the node knows of a pod's containers: an instance, and the place (slot) of each container.

A `Run` is a frozen fact that the Engine reported.  A `Slot` is what the kubelet keeps of one
container of the spec: its instances, what it waits for, its probes' results.  Everything that can
be learned again from the Engine after a restart is in `Run`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tilt_cluster import engine, fields
from tilt_cluster.node.backoff import BackOff
from tilt_cluster.objects import Object

Kind = Literal["init", "sidecar", "main", "ephemeral"]

CLUSTER = engine.CLUSTER_LABEL
POD_UID = "dev.tilt.pod.uid"
POD_NAME = "dev.tilt.pod.name"
POD_NAMESPACE = "dev.tilt.pod.namespace"
CONTAINER = "dev.tilt.container.name"
ATTEMPT = "dev.tilt.container.attempt"
POD_IP = "dev.tilt.pod.ip"
"""On a sandbox whose network is not the Engine's work, or on a container that has none."""
_LISTS: Mapping[Kind, str] = {
    "init": "initContainers",
    "sidecar": "initContainers",
    "main": "containers",
    "ephemeral": "ephemeralContainers",
}
SANDBOX = ""
"""The value of the label `CONTAINER` of a sandbox."""


@dataclass(frozen=True, slots=True)
class Run:
    """One instance of a container.

    Args:
        id: of the Engine.
        attempt: how many instances came before it.
        state: what it does.
        started: Unix seconds; 0 if it never did.
        finished: likewise.
        exit_code: once it has exited.
        reason: `Completed`, `Error`, `OOMKilled`, `StartError`, once it has exited.
        message: its termination message, or why it could not start.
        image_id: digest of its image.
    """

    id: str
    attempt: int
    state: Literal["created", "running", "exited"]
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image_id: str = ""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.state == "running"

    @property
    def exited(self) -> bool:
        """Whether its process has ended, or could not start."""
        return self.state == "exited"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container doesn't run."""

    reason: str
    message: str = ""


@dataclass(slots=True)
class Slot:
    """One container of a pod's spec.

    Args:
        kind: init, sidecar (an init container that keeps running), main, or ephemeral (added to a
            pod that runs, by `kubectl debug`).
        name: of the container.
        current: its newest instance.
        last: the one before.
        waiting: what keeps the next instance from starting.
        back_off: of its restarts.
        started: its startup probe passed (or there is none) and its postStart hook is done.
        ready: its readiness probe passes (or there is none).
        killing: it was told to stop.
        retry_at: don't try to start it before (Unix seconds), after an error.
    """

    kind: Kind
    name: str
    current: Run | None = None
    last: Run | None = None
    waiting: Waiting | None = None
    back_off: BackOff = field(default_factory=BackOff)
    started: bool = False
    ready: bool = False
    killing: bool = False
    retry_at: float = 0.0

    @property
    def running(self) -> bool:
        """Whether its newest instance runs."""
        return self.current is not None and self.current.running

    @property
    def exited(self) -> Run | None:
        """The newest instance, if it has exited."""
        return self.current if self.current is not None and self.current.exited else None

    @property
    def restarts(self) -> int:
        """How many instances there were before the newest."""
        return self.current.attempt if self.current else 0

    @property
    def field(self) -> str:
        """The `fieldPath` of events about it."""
        return f"spec.{_LISTS[self.kind]}{{{self.name}}}"


def spec_of(pod: Object, slot: Slot) -> Object:
    """The container's spec in a pod."""
    listed = pod["spec"][_LISTS[slot.kind]]
    found: Object = next(one for one in listed if one["name"] == slot.name)
    return found


def slots_of(pod: Object) -> list[Slot]:
    """Empty slots for a pod's containers: init containers in order, then the others."""
    found: list[Slot] = []
    for one in fields.get(pod, "spec", "initContainers", default=()):
        kind: Kind = "sidecar" if one.get("restartPolicy") == "Always" else "init"
        found.append(Slot(kind, str(one["name"])))
    found += [Slot("main", str(one["name"])) for one in fields.get(pod, "spec", "containers")]
    return [*found, *added(pod, found)]


def added(pod: Object, slots: Sequence[Slot]) -> list[Slot]:
    """Empty slots for ephemeral containers that have none yet."""
    known = {slot.name for slot in slots}
    names = [str(one["name"]) for one in fields.get(pod, "spec", "ephemeralContainers", default=())]
    return [Slot("ephemeral", name) for name in names if name not in known]


def labels(
    cluster: str, pod: Object, container: str, attempt: int, more: Mapping[str, str]
) -> dict[str, str]:
    """The labels by which the node knows its containers again."""
    return {
        **more,
        CLUSTER: cluster,
        POD_UID: fields.uid(pod),
        POD_NAME: fields.name(pod),
        POD_NAMESPACE: fields.namespace(pod),
        CONTAINER: container,
        ATTEMPT: str(attempt),
    }


def run_of(inspected: Mapping[str, Any], attempt: int) -> Run:
    """What the Engine's inspection says of an instance."""
    state = inspected["State"]
    code = int(state.get("ExitCode") or 0)
    status = str(state.get("Status", ""))
    started = fields.parse(state.get("StartedAt"))
    common: dict[str, Any] = {
        "id": str(inspected["Id"]),
        "attempt": attempt,
        "started": started,
        "image_id": str(inspected.get("Image", "")),
    }
    if status in {"running", "paused", "restarting"}:
        return Run(**common, state="running")
    if status == "created" and not state.get("Error"):
        return Run(**common, state="created")
    error = str(state.get("Error") or "")
    if error and not started:
        return Run(
            **common,
            state="exited",
            finished=fields.parse(inspected.get("Created")),
            exit_code=128,
            reason="StartError",
            message=start_error(error),
        )
    oom = bool(state.get("OOMKilled"))
    reason = "OOMKilled" if oom else ("Completed" if code == 0 else "Error")
    finished = fields.parse(state.get("FinishedAt"))
    return Run(**common, state="exited", finished=finished, exit_code=code, reason=reason)


def start_error(message: str) -> str:
    """The Engine's word for a failed start, as the kubelet puts it."""
    if message.startswith("failed to create shim"):
        return f"failed to create containerd task: {message}"
    return message
