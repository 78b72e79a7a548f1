"""HTTP to pods and Services through the API: `…/services/[SCHEME:]NAME[:PORT]/proxy/PATH`.

The request goes to a ready address of the Service (or to the pod) as it came, without what belongs
to this hop, and the answer comes back piece by piece.  Upgrades (WebSockets) are refused: a client
that needs one has port-forward.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from tilt_cluster import api, fields, refusals
from tilt_cluster.objects import ENDPOINT_SLICES, PODS, SERVICES, ApiError, Object
from tilt_cluster.server.target import Target

_HOP = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a name in the path says: `https:web:443`, `web:http`, `web`."""

    scheme: str
    name: str
    port: str


def wanted(text: str) -> Wanted:
    """Read such a name.

    Raises:
        ApiError: it isn't one.
    """
    match text.split(":"):
        case [name]:
            return Wanted("http", name, "")
        case [name, port]:
            return Wanted("http", name, port)
        case [("http" | "https" | "") as scheme, name, port]:
            return Wanted(scheme or "http", name, port)
        case _:
            raise refusals.bad_request(f'invalid service or pod reference "{text}"')


def addresses(objects: api.Api, at: Target, what: Wanted) -> Sequence[tuple[str, int]]:
    """Where a request may go.

    Raises:
        ApiError: no such object or port (404, 400), nobody is ready (503), or it is a node (405).
    """
    if at.resource not in {PODS, SERVICES}:
        raise refusals.not_allowed()
    if at.resource == PODS:
        return [_of_pod(objects.get(PODS, what.name, at.namespace), what)]
    service = objects.get(SERVICES, what.name, at.namespace)
    name = _port_name(service, what)
    owned = {"matchLabels": {"kubernetes.io/service-name": what.name}}
    slices = objects.list(ENDPOINT_SLICES, at.namespace, labels=owned)
    found = [pair for one in slices for pair in _of_slice(one, name)]
    if not found:
        text = f'no endpoints available for service "{what.name}"'
        raise ApiError(503, "ServiceUnavailable", text)
    return found


def _of_pod(pod: Object, what: Wanted) -> tuple[str, int]:
    ip = fields.get(pod, "status", "podIP")
    if not ip:
        raise ApiError(503, "ServiceUnavailable", "address not allowed")
    ports = [
        port
        for container in fields.get(pod, "spec", "containers", default=())
        for port in container.get("ports") or ()
    ]
    if what.port.isdigit():
        return str(ip), int(what.port)
    for port in ports:
        if what.port in {"", port.get("name")}:
            return str(ip), int(port["containerPort"])
    if what.port:
        raise refusals.bad_request(f'pod "{what.name}" has no port "{what.port}"')
    return str(ip), 80


def _port_name(service: Object, what: Wanted) -> str:
    """The name of the Service's port that is meant."""
    ports: Sequence[Object] = fields.get(service, "spec", "ports", default=())
    for port in ports:
        known = {str(port.get("name") or ""), str(port["port"])}
        if what.port in known or (not what.port and len(ports) == 1):
            return str(port.get("name") or "")
    raise ApiError(
        503, "ServiceUnavailable", f'no service port "{what.port}" found for service "{what.name}"'
    )


def _of_slice(one: Object, name: str) -> Iterator[tuple[str, int]]:
    for port in one.get("ports") or ():
        if str(port.get("name") or "") != name or not port.get("port"):
            continue
        for endpoint in one.get("endpoints") or ():
            if fields.get(endpoint, "conditions", "ready", default=True):
                for ip in endpoint["addresses"]:
                    yield str(ip), int(port["port"])


async def serve(objects: api.Api, request: web.BaseRequest, at: Target) -> web.StreamResponse:
    """Pass a request on, and its answer back.

    Raises:
        ApiError: it can't be passed on (see `addresses`), or nobody answers (503).
    """
    if request.headers.get("Upgrade"):
        raise refusals.bad_request("the embedded cluster's proxy passes no upgrades on")
    what = wanted(at.name)
    ip, port = random.choice(addresses(objects, at, what))  # noqa: S311 - any of them will do
    path = request.rel_url.raw_path.partition("/proxy")[2] or "/"
    query = request.rel_url.raw_query_string
    url = f"{what.scheme}://{ip}:{port}{path}" + (f"?{query}" if query else "")
    headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
    headers["X-Forwarded-Uri"] = request.path
    body = request.content if request.can_read_body else None
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS)
    started: web.StreamResponse | None = None
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.request(
                request.method, url, headers=headers, data=body, ssl=False, allow_redirects=False
            ) as answer,
        ):
            kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP]
            started = web.StreamResponse(status=answer.status, reason=answer.reason)
            started.headers.extend(kept)
            await started.prepare(request)
            async for piece in answer.content.iter_any():
                await started.write(piece)
    except (aiohttp.ClientError, TimeoutError) as error:
        if started is not None and started.prepared:
            raise ConnectionError(str(error)) from error
        text = f"error trying to reach service: {error}"
        raise ApiError(503, "ServiceUnavailable", text) from error
    await started.write_eof()
    return started
