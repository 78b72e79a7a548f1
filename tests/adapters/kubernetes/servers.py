"""An API server that does what a test tells it, the wrong things above all."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.adapters.kubernetes import worlds
from tiltd.adapters.kubernetes import cluster

Act = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
POD = "/api/v1/namespaces/default/pods/web"
_RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets", "Pod": "pods"}


class Server:
    """Answers each path by its acts, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.acts: defaultdict[str, list[Act]] = defaultdict(list)
        self.requests: list[web.Request] = []
        self.url = ""
        self.plays("/version", says({"gitVersion": "v1.36.0"}))
        self.plays("/api", says(_discovery("")))
        self.plays("/apis", says({"kind": "APIGroupDiscoveryList", "items": []}))

    def plays(self, path: str, *acts: Act) -> None:
        self.acts[path] = list(acts)

    def asked(self, path: str) -> list[Mapping[str, str]]:
        """The queries of the requests to a path."""
        return [request.query for request in self.requests if request.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        kind = "?watch" if "watch" in request.query else ""
        acts = self.acts.get(request.path + kind) or self.acts.get(request.path)
        if not acts:
            return await status(404, "not found")(request)
        act = acts.pop(0) if len(acts) > 1 else acts[0]
        return await act(request)


@asynccontextmanager
async def serving() -> AsyncGenerator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(
    server: Server, folder: Path, *, watch_seconds: float = 30.0, **user: Any
) -> AsyncGenerator[cluster.KubeCluster]:
    path = folder / "kubeconfig"
    path.write_text(worlds.kubeconfig_for(server.url, **user))
    env = {"KUBECONFIG": str(path), "WHO": "a-session"}
    async with worlds.connected(env, watch_seconds=watch_seconds) as made:
        yield made


# Acts.


def says(body: object, *, code: int = 200) -> Act:
    async def act(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code)

    return act


def status(code: int, message: str, **fields: Any) -> Act:
    return says({"kind": "Status", "code": code, "message": message, **fields}, code=code)


def text(body: str, *, code: int = 200) -> Act:
    async def act(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=code)

    return act


def lists(version: int, *items: Any) -> Act:
    metadata = {"resourceVersion": str(version)}
    return says({"kind": "List", "metadata": metadata, "items": list(items)})


def streams(*parts: str | bytes, ends: str = "never") -> Act:
    """Send the parts, then end: `cleanly`, `broken`, or `never`."""

    async def act(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part if isinstance(part, bytes) else part.encode())
        if ends == "never":
            await asyncio.Event().wait()
        if ends == "broken" and request.transport:
            request.transport.close()
            await asyncio.Event().wait()
        return response

    return act


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    assert request.transport
    request.transport.close()
    return web.Response()


async def is_silent(_request: web.Request) -> web.StreamResponse:
    """No answer, and the connection stays open."""
    await asyncio.Event().wait()
    raise AssertionError


# Objects.


def config_map(name: str, version: int, **data: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "managedFields": [{"manager": "tiltd"}],
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def event(kind: str, body: Any) -> str:
    return json.dumps({"type": kind, "object": body}) + "\n"


def _discovery(group: str) -> dict[str, Any]:
    resources = [
        {
            "resource": plural,
            "scope": "Namespaced",
            "responseKind": {"group": group, "version": "v1", "kind": kind},
        }
        for kind, plural in _RESOURCES.items()
    ]
    versions = [{"version": "v1", "resources": resources}]
    item = {"metadata": {"name": group} if group else {}, "versions": versions}
    return {"kind": "APIGroupDiscoveryList", "items": [item]}
