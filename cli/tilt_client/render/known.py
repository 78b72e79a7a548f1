"""What the daemon has said so far: its state as the Watch stream builds it up."""

from collections.abc import Iterator

from tilt_api.v1 import tilt_pb2 as pb


class Known:
    """The newest session and resources."""

    def __init__(self) -> None:
        self.session = pb.Session()
        self._resources: dict[str, pb.Resource] = {}

    def learn(self, answer: pb.WatchResponse) -> None:
        """Take in an answer of Watch."""
        if answer.reset:
            self._resources.clear()
        if answer.HasField("session"):
            self.session = answer.session
        for resource in answer.resources:
            self._resources[resource.name] = resource
        for name in answer.removed:
            self._resources.pop(name, None)

    @property
    def names(self) -> frozenset[str]:
        """Of all resources, also of those that take no part."""
        return frozenset(self._resources)

    @property
    def resources(self) -> list[pb.Resource]:
        """Those that take part in the session, in the Tiltfile's order."""
        enabled = (r for r in self._resources.values() if r.enabled)
        return sorted(enabled, key=lambda r: (r.order, r.name))

    @property
    def all(self) -> list[pb.Resource]:
        """Also those that take no part, in the Tiltfile's order."""
        return sorted(self._resources.values(), key=lambda r: (r.order, r.name))

    @property
    def counted(self) -> list[pb.Resource]:
        """Those that the verdict is about: not what nobody has asked to start."""
        return [r for r in self.resources if not self.asleep(r)]

    @property
    def failed(self) -> list[str]:
        """Names of those that failed."""
        return [r.name for r in self.resources if self.has_failed(r)]

    def has_failed(self, resource: pb.Resource) -> bool:
        """Whether one did: the session may end before a verdict is on its way."""
        if not resource.enabled or self.asleep(resource):
            return False
        if resource.verdict in {pb.VERDICT_FAILED, pb.VERDICT_HEALTHY}:
            return resource.verdict == pb.VERDICT_FAILED
        return any(resource.name in (p.resource, *p.resources) for p in self.session.problems)

    @staticmethod
    def asleep(resource: pb.Resource) -> bool:
        """Whether it starts only when somebody asks for it, and nobody has."""
        untouched = resource.verdict == pb.VERDICT_UNSPECIFIED
        return not resource.auto_init and (untouched or resource.hold.code == "not-started")

    def targets(self, kind: "pb.TargetKind.ValueType") -> Iterator[pb.Target]:
        """Targets of a kind, each once, though several resources may share it."""
        seen: set[str] = set()
        for resource in self.resources:
            for target in resource.targets:
                if target.kind == kind and target.id not in seen:
                    seen.add(target.id)
                    yield target

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        return self.session.HasField("ended_at")
