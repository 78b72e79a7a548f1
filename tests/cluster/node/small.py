"""A cluster without its HTTP server: objects, controllers, and a node on a real Engine."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilt_cluster import api, controllers, engine, fields, node, removal, tokens
from tilt_cluster.objects import (
    NAMESPACES,
    NODES,
    PODS,
    ApiError,
    ExecOptions,
    Facts,
    LogOptions,
    Object,
    PodRuntime,
    Resource,
)

BUSYBOX = "localhost:5000/base/busybox:1"
PYTHON = "localhost:5000/base/python:3"
PATIENCE = 20.0


@dataclass
class Console:
    """The client's side of an exec."""

    given: list[bytes] = field(default_factory=list[bytes])
    out: bytes = b""
    err: bytes = b""

    async def read(self) -> bytes:
        return self.given.pop(0) if self.given else b""

    async def resize(self) -> tuple[int, int]:
        await asyncio.Event().wait()
        return 0, 0

    async def write(self, stream: str, data: bytes) -> None:
        if stream == "stdout":
            self.out += data
        else:
            self.err += data


@dataclass
class Small:
    """A running cluster."""

    api: api.Api
    runtime: PodRuntime
    client: engine.Engine

    def put(self, resource: Resource, name: str, **parts: Any) -> Object:
        return self.api.create(
            resource, {"metadata": {"name": name, "namespace": "default"}, **parts}
        )

    def pod(self, name: str, script: str, *, image: str = BUSYBOX, **parts: Any) -> Object:
        """Make a pod of one container `main` that runs a shell script.

        Fields of a container among `parts` are its, `labels` are the pod's, others the spec's.
        """
        labels = parts.pop("labels", {})
        own = {
            key: parts.pop(key)
            for key in list(parts)
            if key.endswith("Probe")
            or key in {"env", "envFrom", "ports", "volumeMounts", "resources", "lifecycle", "args"}
            or key in {"imagePullPolicy", "terminationMessagePolicy"}
        }
        main = {"name": "main", "image": image, "command": ["sh", "-c", script], **own}
        spec = {"terminationGracePeriodSeconds": 1, "containers": [main], **parts}
        metadata = {"name": name, "namespace": "default", "labels": labels}
        return self.api.create(PODS, {"metadata": metadata, "spec": spec})

    async def until(
        self, resource: Resource, name: str, holds: Callable[[Object], object]
    ) -> Object:
        """Wait until an object is as it should be; its state then."""
        last: Object | None = None
        try:
            async with asyncio.timeout(PATIENCE), self.api.watch(resource) as changes:
                while True:
                    last = self.api.find(resource, name, "default") or self.api.find(resource, name)
                    if last is not None and holds(last):
                        return last
                    await changes.batch()
        except TimeoutError:
            raise AssertionError(f"{resource} {name}: {fields.get(last, 'status')}") from None

    async def eventually(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something that no object tells, asking now and then."""
        async with asyncio.timeout(PATIENCE):
            while not await holds():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async def gone(self, resource: Resource, name: str) -> None:
        """Wait until an object isn't there any more."""
        async with asyncio.timeout(PATIENCE), self.api.watch(resource) as changes:
            while self.api.find(resource, name, "default") is not None:
                await changes.batch()

    async def ready(self, name: str) -> Object:
        return await self.until(PODS, name, lambda pod: fields.is_true(pod, "Ready"))

    async def ended(self, name: str) -> Object:
        ends = {"Succeeded", "Failed"}
        return await self.until(PODS, name, lambda pod: fields.get(pod, "status", "phase") in ends)

    async def waits(self, name: str, reason: str) -> Mapping[str, Any]:
        """Wait until the pod's container waits for that reason; its status."""
        pod = await self.until(
            PODS,
            name,
            lambda pod: fields.get(status(pod), "state", "waiting", "reason") == reason,
        )
        return status(pod)

    async def logs(self, name: str, **options: Any) -> str:
        chosen = LogOptions(container=options.pop("container", "main"), **options)
        pieces = [piece async for piece in self.runtime.logs(self.found(name), chosen)]
        return b"".join(pieces).decode()

    async def run(self, name: str, *command: str) -> tuple[int, str]:
        console = Console()
        options = ExecOptions("main", command)
        code = await self.runtime.exec(self.found(name), options, console)
        return code, (console.out + console.err).decode()

    def found(self, name: str) -> Object:
        return self.api.get(PODS, name, "default")

    async def containers(self) -> list[Mapping[str, Any]]:
        """Everything that the Engine has of this cluster."""
        filters = {"label": [f"dev.tilt.cluster={self.api.facts.name}"]}
        query = {"all": True, "filters": filters}
        found: list[Mapping[str, Any]] = await self.client.call(
            "GET", "/containers/json", query=query
        )
        return found


def status(pod: Object, container: str = "main") -> Mapping[str, Any]:
    """The status of a container."""
    every: list[Mapping[str, Any]] = [
        *fields.get(pod, "status", "containerStatuses", default=()),
        *fields.get(pod, "status", "initContainerStatuses", default=()),
    ]
    found: Mapping[str, Any] = {}
    return next((one for one in every if one["name"] == container), found)


def new_api(folder: Path) -> api.Api:
    """The objects of a new cluster."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cidr, dns = "10.97.0.0/16", "10.97.0.10"
    server = "https://127.0.0.1:1"
    facts = Facts(name, folder, server, 1, "CA", service_cidr=cidr, dns_ip=dns)
    made = api.Api(facts, tokens.Signer(b"secret"))
    made.create(NAMESPACES, {"metadata": {"name": "default"}})
    return made


@contextlib.asynccontextmanager
async def running(made: api.Api) -> AsyncGenerator[Small]:
    """Controllers and node of a cluster, until the end of the block."""
    registered: asyncio.Future[PodRuntime] = asyncio.get_running_loop().create_future()
    async with engine.Engine(engine.socket_path()) as client, asyncio.TaskGroup() as tasks:
        parts = [
            tasks.create_task(controllers.run(made)),
            tasks.create_task(node.run(made, registered.set_result)),
        ]
        async with asyncio.timeout(PATIENCE):
            small = Small(made, await registered, client)
        await small.until(NODES, "tilt-node", lambda one: fields.is_true(one, "Ready"))
        try:
            yield small
        finally:
            for part in parts:
                part.cancel()


async def clean(made: api.Api) -> None:
    """Remove what a cluster left in the Engine, and see that nothing is left."""
    name = made.facts.name
    async with engine.Engine("/var/run/docker.sock") as client:
        await removal.remove(name, client)
        assert name not in await removal.clusters(client)


__all__ = ["ApiError", "Console", "Small", "clean", "new_api", "running", "status"]
