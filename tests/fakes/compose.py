"""An imitation of Docker Compose and of the Engine under it: containers do as they are told."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.fakes.inside import Insides
from tiltd import ports
from tiltd.core import podspec
from tiltd.model.actions import ComposeDown, ComposeUp, ComposeWatch
from tiltd.model.desired import ComposeTarget
from tiltd.model.live_update import Target
from tiltd.model.observed import ServiceContainer
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec
from tiltd.runtime.clock import Clock


class FakeCompose:
    """A service has one container, as long as nobody removes it.

    Attributes:
        seconds: how long each `up` takes.
        fails: why a service can't be brought up.
        broken: how often watching a service fails before it works.
        becomes: what a new container is, beyond running.
        ups: the services brought up, in order, each with what it was sent.
        most_at_once: how many were brought up at the same time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds: defaultdict[str, float] = defaultdict(lambda: 0.5)
        self.fails: dict[str, str] = {}
        self.broken: defaultdict[str, int] = defaultdict(int)
        self.becomes: dict[str, Mapping[str, Any]] = {}
        self.ups: list[tuple[str, Mapping[str, Any]]] = []
        self.downs: list[str] = []
        self.containers: dict[str, ServiceContainer] = {}
        self.watching: set[str] = set()
        self._sent: dict[str, Mapping[str, Any]] = {}
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._made = 0
        self.inside = Insides()

    async def up(
        self, action: ComposeUp, spec: SessionSpec, log: ports.Log, phase: ports.Phase
    ) -> tuple[ServiceContainer, ...]:
        del spec
        phase("build" if action.target.build else "apply")
        name = action.target.service
        await asyncio.sleep(self.seconds[name])
        sent = podspec.section(podspec.section(action.body, "services"), name)
        self.ups.append((name, sent))
        if name in self.fails:
            message = f"bringing up {name} failed: {self.fails[name]}"
            raise ports.PermanentError(Problem(Code.APPLY, message))
        log.write(f" Container shop-{name}-1  Started\n")
        known = self.containers.get(name)
        if (
            known is None
            or self._sent[name] != sent
            or action.recreate
            or known.status != "running"
        ):
            self._made += 1
            made = ServiceContainer(
                f"id{self._made}", f"shop-{name}-1", "running", started_at=self._clock.now()
            )
            self.containers[name] = replace(made, **self.becomes.get(name, {}))
        self._sent[name] = sent
        return (self.containers[name],)

    async def watch(
        self,
        action: ComposeWatch,
        spec: SessionSpec,
        since: float,
        log: Callable[[ServiceContainer], ports.Log],
        changed: Callable[[tuple[ServiceContainer, ...]], None],
    ) -> None:
        del spec, since
        name = action.target.service
        await asyncio.sleep(0.01)
        if self.broken[name]:
            self.broken[name] -= 1
            raise ports.TransientError(Problem(Code.ENGINE_UNREACHABLE, "the Engine is away"))
        self.watching.add(name)
        try:
            while True:
                container = self.containers.get(name)
                if container is not None:
                    log(container).write(f"{name} is {container.status}\n")
                self._changed[name].clear()
                changed((container,) if container is not None else ())
                await self._changed[name].wait()
        finally:
            self.watching.discard(name)

    async def unpack(
        self, target: Target, packed: bytes, service: ComposeTarget, spec: SessionSpec
    ) -> None:
        del service, spec
        await asyncio.sleep(0.01)
        self.inside.unpack(target, packed)

    async def execute(
        self,
        target: Target,
        argv: Sequence[str],
        service: ComposeTarget,
        spec: SessionSpec,
        log: ports.Log,
    ) -> int:
        del service, spec
        return await self.inside.execute(target, argv, log)

    async def restart(self, target: Target, service: ComposeTarget, spec: SessionSpec) -> None:
        del spec
        self.make(service.service, status="exited", exit_code=137)
        await asyncio.sleep(0.5)
        self.inside.restarted.append(str(target))
        self.make(service.service, status="running", started_at=self._clock.now(), exit_code=0)

    async def down(self, action: ComposeDown, spec: SessionSpec, log: ports.Log) -> frozenset[str]:
        del spec
        await asyncio.sleep(0.5)
        log.write(f"removed {action.project.name}\n")
        self.downs.append(action.project.name)
        found = frozenset(self.containers)
        self.containers.clear()
        return found

    def make(self, service: str, **changes: Any) -> None:
        """Something happens to a service's container."""
        self.containers[service] = replace(self.containers[service], **changes)
        self._changed[service].set()

    def remove(self, service: str) -> None:
        """Somebody removes a service's container."""
        del self.containers[service]
        self._changed[service].set()
