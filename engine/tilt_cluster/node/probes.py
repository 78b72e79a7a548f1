"""Probes: one attempt of each kind, and the task that repeats it and counts.

The words of failures are the kubelet's (that is, Go's).  Thresholds, periods and delays are those
of the spec.  One thing is faster than the kubelet: until its first success, a startup or readiness
probe over the network is tried every 0.2 s; such tries before a period is over neither count as
failures nor make events.  So a pod is ready when it is, and fails as late as it would elsewhere.
"""

import asyncio
import enum
import errno
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import aiohttp

from tilt_cluster import engine as engines
from tilt_cluster import fields
from tilt_cluster.objects import Object

_EAGER = 0.2
_EAGER_FOR = 30.0
_REDIRECTS = 10
_OK = range(200, 400)

Kind = Literal["Startup", "Readiness", "Liveness"]


class Outcome(enum.Enum):
    """What one attempt says."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """One attempt: what it says, and in which words."""

    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed.

    Args:
        container_id: for commands.
        ip: of the pod.
        ports: numbers by name.
        engine: for commands.
    """

    container_id: str
    ip: str
    ports: Mapping[str, int]
    engine: engines.Engine


def _port(target: Target, value: Any) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    if text.isdigit():
        return int(text)
    return target.ports.get(text, 0)


async def once(probe: Object, target: Target) -> Result:
    """Try a probe once, within its timeout."""
    limit = float(probe.get("timeoutSeconds") or 1)
    if (http := probe.get("httpGet")) is not None:
        return await _http(http, target, limit)
    if (tcp := probe.get("tcpSocket")) is not None:
        host = str(tcp.get("host") or target.ip)
        return await _tcp(host, _port(target, tcp["port"]), limit)
    if (grpc := probe.get("grpc")) is not None:
        return await _grpc(target.ip, int(grpc["port"]), str(grpc.get("service") or ""), limit)
    return await _exec(probe.get("exec") or {}, target, limit)


def _refused(address: str, error: OSError) -> str:
    word = {
        errno.ECONNREFUSED: "connect: connection refused",
        errno.EHOSTUNREACH: "connect: no route to host",
        errno.ENETUNREACH: "connect: network is unreachable",
    }.get(error.errno or 0)
    return f"dial tcp {address}: {word or error}"


async def _tcp(host: str, port: int, limit: float) -> Result:
    address = f"{host}:{port}"
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Result(Outcome.FAILURE, f"dial tcp {address}: i/o timeout")
    except OSError as error:
        return Result(Outcome.FAILURE, _refused(address, error))
    writer.close()
    return Result(Outcome.SUCCESS)


async def _http(http: Object, target: Target, limit: float) -> Result:
    host, port = str(http.get("host") or target.ip), _port(target, http["port"])
    scheme = str(http.get("scheme") or "HTTP").lower()
    path = str(http.get("path") or "/")
    url = f"{scheme}://{host}:{port}/{path.lstrip('/')}"
    headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    headers |= {str(one["name"]): str(one["value"]) for one in http.get("httpHeaders") or ()}
    begin = f'Get "{url}": '
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=limit)) as session,
            session.get(url, headers=headers, ssl=False, max_redirects=_REDIRECTS) as response,
        ):
            status = response.status
    except TimeoutError:
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Result(Outcome.FAILURE, begin + late)
    except aiohttp.ClientConnectorError as error:
        return Result(Outcome.FAILURE, begin + _refused(f"{host}:{port}", error.os_error))
    except aiohttp.ServerDisconnectedError:
        return Result(Outcome.FAILURE, f"{begin}EOF")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Result(Outcome.FAILURE, f"{begin}{error}")
    if status in _OK:
        return Result(Outcome.SUCCESS)
    return Result(Outcome.FAILURE, f"HTTP probe failed with statuscode: {status}")


async def _exec(spec: Object, target: Target, limit: float) -> Result:
    command = [str(part) for part in spec.get("command") or ()]
    engine = target.engine
    try:
        code, output = await run(engine, target.container_id, command, limit)
    except TimeoutError:
        shown = " ".join(command)
        text = f'command timed out: "{shown}" timed out after {limit:g}s'
        return Result(Outcome.FAILURE, text)
    except (engines.EngineError, engines.EngineAwayError) as error:
        return Result(Outcome.UNKNOWN, f"rpc error: code = Unknown desc = failed to exec: {error}")
    text = output.decode(errors="replace")
    if code in {126, 127} and "OCI runtime exec failed" in text:
        text = f"rpc error: code = Unknown desc = failed to exec in container: {text.strip()}"
        return Result(Outcome.UNKNOWN, text)
    return Result(Outcome.SUCCESS if code == 0 else Outcome.FAILURE, text[:10240])


async def run(
    engine: engines.Engine, container_id: str, command: list[str], limit: float
) -> tuple[int, bytes]:
    """Run a command in a container; its exit code and output.

    Raises:
        TimeoutError: it took longer than `limit` seconds.
    """
    body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
    made = await engine.call("POST", f"/containers/{container_id}/exec", body)
    async with asyncio.timeout(limit):
        output = await engine.output(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
    seen = await engine.call("GET", f"/exec/{made['Id']}/json")
    return int(seen.get("ExitCode") or 0), output


async def _grpc(host: str, port: int, service: str, limit: float) -> Result:
    from grpc import StatusCode, aio  # noqa: PLC0415 - 30 MB that only gRPC probes need

    address = f"{host}:{port}"
    name = service.encode()[:127]
    request = b"\x0a" + bytes((len(name),)) + name if name else b""
    async with aio.insecure_channel(address) as channel:
        try:
            async with asyncio.timeout(limit):
                await channel.channel_ready()
        except TimeoutError:
            late = f'timeout: failed to connect service "{address}" within {limit:g}s'
            return Result(Outcome.FAILURE, f"{late}: context deadline exceeded")
        check = cast("Any", channel).unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = bytes(await check(request, timeout=limit))
        except aio.AioRpcError as error:
            if error.code() is StatusCode.UNIMPLEMENTED:
                text = "this server does not implement the grpc health protocol"
                text = f"error: {text} (grpc.health.v1.Health): {error.details()}"
                return Result(Outcome.FAILURE, text)
            return Result(Outcome.FAILURE, f"error: health rpc failed: {error.details()}")
    status = answer[1] if answer[:1] == b"\x08" else 0
    shown = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")[min(status, 3)]
    if shown == "SERVING":
        return Result(Outcome.SUCCESS)
    return Result(Outcome.FAILURE, f'service unhealthy (responded with "{shown}")')


@dataclass(frozen=True, slots=True)
class Report:
    """What the repeating task tells its owner.

    Args:
        kind: of probe.
        passed: the threshold was reached: of successes (True) or failures (False); None if not yet.
        failure: the message of a failed attempt that counts; None if it did not fail.
        unknown: the attempt could not be made.
    """

    kind: Kind
    passed: bool | None
    failure: str | None = None
    unknown: bool = False


async def repeat(
    kind: Kind,
    probe: Object,
    target: Target,
    began: float,
    may_run: asyncio.Event,
    tell: Callable[[Report], Awaitable[None]],
) -> None:
    """Try a probe again and again until cancelled (a startup probe: until it has passed).

    Args:
        kind: of the probe.
        probe: its spec.
        target: what is probed.
        began: when the container started (Unix seconds).
        may_run: liveness and readiness wait until the container has started up.
        tell: gets every report that changes something or is a failure.
    """
    period = float(probe.get("periodSeconds") or 10)
    needed = int(probe.get("successThreshold") or 1)
    limit = int(probe.get("failureThreshold") or 3)
    eager = kind != "Liveness" and needed == 1 and "exec" not in probe
    good = bad = 0
    state: bool | None = None
    await asyncio.sleep(
        max(0.0, began + float(probe.get("initialDelaySeconds") or 0) - time.time())
    )
    await may_run.wait()
    first = following = time.monotonic()
    while True:
        result = await once(probe, target)
        now = time.monotonic()
        if result.outcome is Outcome.SUCCESS:
            good, bad = good + 1, 0
            if good >= needed and state is not True:
                state = True
                await tell(Report(kind, passed=True))
                if kind == "Startup":
                    return
        elif now >= following:
            good = 0
            unknown = result.outcome is Outcome.UNKNOWN
            bad += 0 if unknown else 1
            failed = bad >= limit and (state is not False or kind != "Readiness")
            state = False if failed else state
            await tell(Report(kind, False if failed else None, result.message, unknown))
            if failed:
                bad = 0
        if now >= following:
            following += period * max(1, int((now - following) // period) + 1)
        hurry = eager and state is None and now - first < _EAGER_FOR
        wait = following - time.monotonic()
        await asyncio.sleep(max(0.0, min(wait, _EAGER) if hurry else wait))


def spec_of(container: Object, kind: Kind) -> Object | None:
    """The spec of a container's probe."""
    found: Object | None = fields.get(container, f"{kind.lower()}Probe")
    return found
