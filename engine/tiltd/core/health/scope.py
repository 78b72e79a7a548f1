"""What a rule may know besides the object: the other objects, the clock, the limits, the run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tiltd.core.health import events, fields
from tiltd.core.health.clock import Clock
from tiltd.core.health.events import Event
from tiltd.core.health.fields import Obj
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Limits, Memory, ObjectRef

if TYPE_CHECKING:
    from tiltd.core.health.well import Well

DEPTH = 8  # levels of ownership


@dataclass(frozen=True, slots=True)
class Reference:
    """An object by name, as a message or a manifest names it; `kind` in lower case."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Context:
    """What this run has done and seen.

    Args:
        applied_at: when the object was applied, or found to be as desired, host time.
        changed_at: when this run last changed something that could heal a pod which was there
            before (an apply, a push); a failure that is older proves nothing yet. None: every
            failure that the cluster reports is proof.
        pending: objects that this run is about to apply.
        applied: objects that this run has applied, with the host time of it: what misses one of
            them has the grace from then on.
        pod_readiness: as the Tiltfile wants it; None is the kind's default (`succeeded` for Jobs,
            `ignore` for CronJobs, else `wait`).
        expects_pods: the Tiltfile says that this custom resource has pods (`k8s_kind`).
        memory: of the pods.
    """

    applied_at: float | None = None
    changed_at: float | None = None
    pending: frozenset[Reference] = frozenset()
    applied: Mapping[Reference, float] = field(default_factory=dict[Reference, float])
    pod_readiness: PodReadiness | None = None
    expects_pods: bool = False
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class Objects:
    """Objects of the cluster, found by owner and kind.

    Args:
        items: each with its `kind` (the items of a list have none: add it). All levels between an
            object and its pods must be there, as must the ReplicaSets of earlier revisions.
            StorageClasses and the pods that use a claim are read where they are present.
        reported: `v1.Event` objects.
    """

    items: tuple[Obj, ...] = ()
    reported: tuple[Obj, ...] = ()

    @cached_property
    def _by_owner(self) -> Mapping[str, tuple[Obj, ...]]:
        found: dict[str, list[Obj]] = {}
        for item in self.items:
            for owner in fields.rows(item, "metadata", "ownerReferences"):
                found.setdefault(fields.text(owner, "uid"), []).append(item)
        return {uid: tuple(owned) for uid, owned in found.items()}

    @cached_property
    def _by_subject(self) -> Mapping[str, tuple[Obj, ...]]:
        found: dict[str, list[Obj]] = {}
        for event in self.reported:
            found.setdefault(fields.text(event, "involvedObject", "uid"), []).append(event)
        return {subject: tuple(about) for subject, about in found.items()}

    def kind(self, kind: str) -> tuple[Obj, ...]:
        """All of a kind."""
        return tuple(item for item in self.items if fields.text(item, "kind") == kind)

    def owned(self, owner: Obj) -> tuple[Obj, ...]:
        """What `owner` owns directly."""
        uid = fields.uid(owner)
        return self._by_owner.get(uid, ()) if uid else ()

    def lines(self, owner: Obj, depth: int = DEPTH) -> Iterable[tuple[Obj, ...]]:
        """Each line of ownership from below `owner` down to a pod, pod last.

        No deeper than `depth`: owner references are the users' to write, circles included.
        """
        for item in self.owned(owner):
            if fields.text(item, "kind") == "Pod":
                yield (item,)
            elif depth:
                yield from ((item, *rest) for rest in self.lines(item, depth - 1))

    def about(self, uid: str) -> tuple[Obj, ...]:
        """The events about the object with that uid."""
        return self._by_subject.get(uid, ())


@dataclass(frozen=True, slots=True)
class Scope:
    """All of it, handed to each rule.

    Args:
        objects: the other objects.
        clock: the present.
        limits: how long and how often.
        context: what this run has done and seen.
        well: the pods that were found well before; without it, each is judged.
    """

    objects: Objects
    clock: Clock
    limits: Limits
    context: Context
    well: "Well | None" = None

    @property
    def now(self) -> float:
        """Host time."""
        return self.clock.now

    def at(self, obj: Obj, *path: str) -> float | None:
        """Host time of the timestamp at `path`."""
        return self.clock.host(fields.text(obj, *path))

    def made(self, obj: Obj) -> float:
        """Host time of the object's creation; now, for an object that doesn't say."""
        made = self.at(obj, "metadata", "creationTimestamp")
        return self.now if made is None else made

    def events(self, subject: Obj) -> tuple[Event, ...]:
        """The events about `subject`, oldest first."""
        return self._events([fields.uid(subject)])

    def warnings(self, chain: Iterable[ObjectRef]) -> tuple[Event, ...]:
        """The warning events about the objects of a finding's chain, oldest first."""
        return tuple(e for e in self._events(dict.fromkeys(r.uid for r in chain)) if e.warning)

    def _events(self, uids: Iterable[str]) -> tuple[Event, ...]:
        found = (event for uid in uids for event in self.objects.about(uid))
        return tuple(sorted((events.parse(e, self.clock) for e in found), key=lambda e: e.at))

    def stale(self, evidence: float | None) -> bool:
        """Whether a failure seen at `evidence` is older than what this run has changed since."""
        changed = self.context.changed_at
        return changed is not None and (evidence is None or evidence + 1.0 < changed)

    def from_apply(self, since: float) -> float:
        """`since`, or the apply where that is later: each run grants its graces anew."""
        applied = self.context.applied_at
        return since if applied is None else max(since, applied)
