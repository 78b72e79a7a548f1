"""A container of a pod: its specification beside its status.

Roles in the order in which the kubelet starts them: init containers run one after the other to
their end; native sidecars (init containers with `restartPolicy: Always`, KEP-753) start in that
same row and then keep running; main containers come last, together.
"""

from dataclasses import dataclass
from enum import Enum

from tiltd.core.health import fields
from tiltd.core.health.fields import Obj


class Role(Enum):
    """What a container is for."""

    INIT = "init container"
    SIDECAR = "sidecar"
    MAIN = "container"


@dataclass(frozen=True, slots=True)
class Container:
    """One container. `status` is empty until the kubelet has reported on it."""

    pod: Obj
    spec: Obj
    status: Obj
    role: Role

    @property
    def name(self) -> str:
        """Its name, unique in the pod."""
        return fields.text(self.spec, "name")

    @property
    def image(self) -> str:
        """The image that the pod asks for."""
        return fields.text(self.spec, "image")

    @property
    def waiting(self) -> Obj:
        """`state.waiting`: empty if it isn't waiting."""
        return fields.section(self.status, "state", "waiting")

    @property
    def running(self) -> Obj:
        """`state.running`: empty if it isn't running."""
        return fields.section(self.status, "state", "running")

    @property
    def ended(self) -> Obj:
        """`state.terminated`: empty if it hasn't ended."""
        return fields.section(self.status, "state", "terminated")

    @property
    def exit(self) -> Obj:
        """The newest exit: of this instance, else of the one before; empty if there was none."""
        return self.ended or fields.section(self.status, "lastState", "terminated")

    @property
    def ended_life(self) -> int | None:
        """Which life `exit` is the end of, counted from 0; None if there was none.

        The kubelet counts a restart when the next life begins, so between two lives its count is
        still that of the one that is over.
        """
        if not self.exit:
            return None
        return self.restarts - 1 if self.running else self.restarts

    @property
    def restarts(self) -> int:
        """The kubelet's restart count, since the pod was made."""
        return fields.number(self.status, "restartCount")

    @property
    def ready(self) -> bool:
        """Whether its probes pass."""
        return fields.flag(self.status, "ready")

    @property
    def restart_policy(self) -> str:
        """Its own policy (KEP-753, KEP-5307), else the pod's."""
        own = fields.text(self.spec, "restartPolicy")
        return own or fields.text(self.pod, "spec", "restartPolicy") or "Always"

    @property
    def done(self) -> bool:
        """Whether it ended as it should: exit 0 where the policy doesn't want it up again."""
        finishes = self.role is Role.INIT or self.restart_policy != "Always"
        return finishes and bool(self.ended) and fields.number(self.ended, "exitCode") == 0

    @property
    def down(self) -> bool:
        """Whether it has crashed and not come back: ended as it should not, or backing off."""
        if self.role is Role.SIDECAR and self.dismissed:
            return False
        backing_off = fields.text(self.waiting, "reason") in {
            "CrashLoopBackOff",
            "PostStartHookError",
        }
        return backing_off or (bool(self.ended) and not self.done)

    @property
    def dismissed(self) -> bool:
        """Whether all main containers have ended, so that the kubelet ends the sidecars too."""
        main = fields.rows(self.pod, "status", "containerStatuses")
        return bool(main) and all(fields.section(s, "state", "terminated") for s in main)

    @property
    def title(self) -> str:
        """How a sentence names it."""
        return f"{self.role.value} {self.name}"


def of_pod(pod: Obj) -> tuple[Container, ...]:
    """All containers of `pod`: init, sidecars, main."""
    starting = _paired(pod, "initContainers", "initContainerStatuses")
    main = _paired(pod, "containers", "containerStatuses")
    found = [Container(pod, spec, status, _starting_role(spec)) for spec, status in starting]
    return (
        *(c for c in found if c.role is Role.INIT),
        *(c for c in found if c.role is Role.SIDECAR),
        *(Container(pod, spec, status, Role.MAIN) for spec, status in main),
    )


def _starting_role(spec: Obj) -> Role:
    return Role.SIDECAR if fields.text(spec, "restartPolicy") == "Always" else Role.INIT


def _paired(pod: Obj, specs: str, statuses: str) -> list[tuple[Obj, Obj]]:
    reported = {fields.text(s, "name"): s for s in fields.rows(pod, "status", statuses)}
    return [(s, reported.get(fields.text(s, "name"), {})) for s in fields.rows(pod, "spec", specs)]
