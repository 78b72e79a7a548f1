"""Port forwards to pods of a real cluster, which may be the embedded one."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.adapters.kubernetes.test_forwarding import Heard, ask
from tests.adapters.kubernetes.test_real import pod_spec
from tests.adapters.kubernetes.worlds import PATIENCE, Seen, World
from tiltd.model.names import ResourceName
from tiltd.model.observed import Forward, PodPort

pytestmark = pytest.mark.cluster

_SERVE = "mkdir /w && hostname >/w/who && exec httpd -f -p 8000 -h /w"
_GET = b"GET /who HTTP/1.0\r\n\r\n"
WHO, NOBODY = (Forward(ResourceName("web"), "localhost", 0, port) for port in (8000, 7000))


def _running(seen: Seen) -> bool:
    return len(seen.bodies) > 1 and all(
        row.get("ready")
        for body in seen.bodies.values()
        for row in body.get("status", {}).get("containerStatuses", [{}])
    )


async def test_a_forward_reaches_the_pod_that_it_leads_to(real: World) -> None:
    seen, heard = Seen(), Heard()
    spec: dict[str, Any] = pod_spec(_SERVE)
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(real.apply(real.body("v1", "Pod", name, spec=spec)))
    real.cluster.follow(frozenset({real.scope("Pod")}), seen)
    await seen.until(_running)

    def lead(name: str) -> None:
        wanted = {f: PodPort(real.namespace, name, f.container_port) for f in (WHO, NOBODY)}
        real.cluster.forward(wanted, heard)

    lead("one")
    port = (await heard.status(WHO)).local_port
    async with asyncio.timeout(PATIENCE):
        while b"one" not in (answer := await _asked(port)):
            assert b"two" not in answer
        lead("two")
        while b"two" not in await _asked(port):
            pass

    with pytest.raises(ConnectionResetError):
        await ask((await heard.status(NOBODY)).local_port)
    await heard.until(lambda: (status := heard.now[NOBODY]) and status.problem)
    status = heard.now[NOBODY]
    assert status
    assert status.problem == "nothing listens on port 7000 of pod two"


async def _asked(port: int) -> bytes:
    """The page; nothing while httpd has not begun to listen."""
    with contextlib.suppress(ConnectionResetError):
        return await ask(port, _GET)
    return b""
