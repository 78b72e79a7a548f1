"""One attempt of each network probe, and how attempts become a verdict."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
import pytest
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tilt_cluster import engine
from tilt_cluster.node import probes
from tilt_cluster.node.probes import Outcome

_HERE = "127.0.0.1"


def _target(**ports: int) -> probes.Target:
    return probes.Target("none", _HERE, ports, engine.Engine("/nowhere"))


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        return int(probe.getsockname()[1])


class Site:
    """A web server whose answer can be changed."""

    def __init__(self) -> None:
        self.status, self.wait, self.seen = 200, 0.0, 0
        self.port = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen += 1
        await asyncio.sleep(self.wait)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "/here"})
        return web.Response(status=self.status)


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    found = Site()
    runner = web.ServerRunner(web.Server(found.answer))
    await runner.setup()
    where = web.TCPSite(runner, _HERE, 0)
    await where.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        (200, Outcome.SUCCESS, ""),
        (399, Outcome.SUCCESS, ""),
        (404, Outcome.FAILURE, "HTTP probe failed with statuscode: 404"),
        (503, Outcome.FAILURE, "HTTP probe failed with statuscode: 503"),
    ],
)
async def test_http_by_its_status(site: Site, status: int, outcome: Outcome, message: str) -> None:
    site.status = status
    spec = {"httpGet": {"path": "ready", "port": "http"}}
    assert await probes.once(spec, _target(http=site.port)) == probes.Result(outcome, message)


async def test_http_follows_redirects(site: Site) -> None:
    spec = {"httpGet": {"path": "/away", "port": site.port}}
    assert (await probes.once(spec, _target())).outcome is Outcome.SUCCESS


async def test_http_that_is_late_or_refused_says_so_in_gos_words(site: Site, closed: int) -> None:
    site.wait = 5
    spec: dict[str, Any] = {"httpGet": {"path": "/x", "port": site.port}, "timeoutSeconds": 0.1}
    late = await probes.once(spec, _target())
    assert late.message == (
        f'Get "http://127.0.0.1:{site.port}/x": context deadline exceeded '
        f"(Client.Timeout exceeded while awaiting headers)"
    )
    refused = await probes.once({"httpGet": {"path": "/x", "port": closed}}, _target())
    assert refused.message == (
        f'Get "http://127.0.0.1:{closed}/x": dial tcp 127.0.0.1:{closed}: '
        f"connect: connection refused"
    )


async def test_tcp(site: Site, closed: int) -> None:
    good = await probes.once({"tcpSocket": {"port": site.port}}, _target())
    assert good.outcome is Outcome.SUCCESS
    bad = await probes.once({"tcpSocket": {"port": closed}}, _target())
    assert bad.message == f"dial tcp 127.0.0.1:{closed}: connect: connection refused"


async def test_grpc_health(closed: int) -> None:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{_HERE}:0")
    await server.start()
    try:
        states = health_pb2.HealthCheckResponse.ServingStatus
        await servicer.set("up", states.Value("SERVING"))
        await servicer.set("down", states.Value("NOT_SERVING"))
        up = await probes.once({"grpc": {"port": port, "service": "up"}}, _target())
        assert up.outcome is Outcome.SUCCESS
        down = await probes.once({"grpc": {"port": port, "service": "down"}}, _target())
        assert down.message == 'service unhealthy (responded with "NOT_SERVING")'
    finally:
        await server.stop(0)
    nobody = await probes.once({"grpc": {"port": closed}, "timeoutSeconds": 0.2}, _target())
    assert nobody.outcome is Outcome.FAILURE
    assert f'failed to connect service "127.0.0.1:{closed}" within 0.2s' in nobody.message


class Heard:
    """Collects reports until enough of them decide something."""

    def __init__(self) -> None:
        self.reports: list[probes.Report] = []
        self.decided = asyncio.Event()

    async def tell(self, report: probes.Report) -> None:
        self.reports.append(report)
        if report.passed is not None:
            self.decided.set()


async def _decide(kind: probes.Kind, spec: dict[str, Any], gate: asyncio.Event) -> Heard:
    heard = Heard()
    async with asyncio.TaskGroup() as tasks:
        work = probes.repeat(kind, spec, _target(), time.time(), gate, heard.tell)
        task = tasks.create_task(work)
        async with asyncio.timeout(10):
            await heard.decided.wait()
        task.cancel()
    return heard


async def test_failures_count_up_to_the_threshold(closed: int) -> None:
    gate = asyncio.Event()
    gate.set()
    spec = {"tcpSocket": {"port": closed}, "periodSeconds": 0.05, "failureThreshold": 3}
    heard = await _decide("Liveness", spec, gate)
    assert [report.passed for report in heard.reports] == [None, None, False]
    assert all("connection refused" in str(report.failure) for report in heard.reports)


async def test_readiness_is_seen_soon_after_it_is_there(site: Site) -> None:
    gate = asyncio.Event()
    gate.set()
    site.status = 503
    spec = {"httpGet": {"port": site.port}, "periodSeconds": 60}
    loop = asyncio.get_running_loop()
    loop.call_later(0.3, setattr, site, "status", 200)
    began = loop.time()
    heard = await _decide("Readiness", spec, gate)
    assert heard.reports[-1].passed is True
    assert loop.time() - began < 5
    assert [report.failure is None for report in heard.reports] == [False, True]


async def test_nothing_is_probed_before_the_container_has_started_up(site: Site) -> None:
    gate = asyncio.Event()
    heard = Heard()
    async with asyncio.TaskGroup() as tasks:
        spec = {"httpGet": {"port": site.port}, "periodSeconds": 0.01}
        work = probes.repeat("Liveness", spec, _target(), time.time(), gate, heard.tell)
        task = tasks.create_task(work)
        for _ in range(20):
            await asyncio.sleep(0)
        assert site.seen == 0
        gate.set()
        async with asyncio.timeout(10):
            await heard.decided.wait()
        task.cancel()
    assert site.seen == 1
