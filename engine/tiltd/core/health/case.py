"""A pod as it comes before the rules: with its place, its events and whoever replaces it."""

from dataclasses import dataclass
from enum import Enum

from tiltd.core.health import conditions, containers, fields, memory
from tiltd.core.health.containers import Container
from tiltd.core.health.events import Event
from tiltd.core.health.fields import Obj
from tiltd.core.health.scope import Scope
from tiltd.core.health.verdict import ref
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Finding, ObjectRef, Track, Verdict


class Keeper(Enum):
    """Who makes a new pod when this one is gone, and who counts its failures."""

    NOBODY = "nobody"
    JOB = "job"  # counts them itself: backoffLimit
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Case:
    """One pod to be judged.

    Args:
        pod: as reported.
        chain: from the applied object down to the pod.
        scope: all else.
        events: about the pod, oldest first.
        readiness: what the Tiltfile waits for.
        settle: seconds that each main container must have been running.
        containers: the pod's: init, sidecars, main.
    """

    pod: Obj
    chain: tuple[ObjectRef, ...]
    scope: Scope
    events: tuple[Event, ...]
    readiness: PodReadiness
    settle: float
    containers: tuple[Container, ...]

    @property
    def keeper(self) -> Keeper:
        """Read from the owner references, so that it holds for pods picked by label too."""
        owners = fields.rows(self.pod, "metadata", "ownerReferences")
        kinds = {fields.text(owner, "kind") for owner in owners}
        if "Job" in kinds:
            return Keeper.JOB
        return Keeper.CONTROLLER if kinds - {"Node"} else Keeper.NOBODY

    @property
    def name(self) -> str:
        """The pod's."""
        return fields.named(self.pod)

    @property
    def namespace(self) -> str:
        """The pod's."""
        return fields.text(self.pod, "metadata", "namespace")

    def of(self, container: Container) -> tuple[ObjectRef, ...]:
        """The chain down to `container`."""
        return (*self.chain, ref(self.pod, container.name, kind="Pod"))

    def track(self, container: Container) -> Track:
        """What is remembered of `container`."""
        context = self.scope.context
        return memory.track(
            context.memory, container, self.scope.clock, began_at=context.applied_at
        )

    def condition(self, kind: str) -> Obj:
        """The pod's condition of that type; empty if it has none."""
        return conditions.condition(self.pod, kind)

    def finding(self, verdict: Verdict, rule: str, message: str, *, reason: str = "") -> Finding:
        """A finding about the pod itself."""
        return Finding(verdict, rule, self.chain, reason=reason, message=message)


def make(
    pod: Obj, above: tuple[ObjectRef, ...], scope: Scope, readiness: PodReadiness, settle: float = 0
) -> Case:
    """Bring `pod` before the rules; `above` is the chain without it."""
    return Case(
        pod=pod,
        chain=(*above, ref(pod, kind="Pod")),
        scope=scope,
        events=scope.events(pod),
        readiness=readiness,
        settle=max(scope.limits.stable_for, settle),
        containers=containers.of_pod(pod),
    )
