"""The connection leaves no socket behind, whenever the work on it is given up."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import psutil
import pytest

from tests.adapters.kubernetes import worlds
from tiltd.adapters.kubernetes import connection, credentials, kubeconfig, wire

_TURNS = 25
"""More turns of the event loop than it takes to connect and to ask."""


@pytest.fixture
async def port(certificate: tuple[Path, Path]) -> AsyncGenerator[int]:
    """A server that speaks TLS and never answers."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
        except OSError:
            pass  # the client hung up, which is what this is about
        finally:
            writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def test_whoever_stops_asking_leaves_no_socket(port: int, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    trusting = json.loads(worlds.kubeconfig_for(f"https://127.0.0.1:{port}"))
    trusting["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    path.write_text(json.dumps(trusting))
    spec = worlds.session({**os.environ, "KUBECONFIG": str(path)})
    context = await kubeconfig.KubeContexts().read(spec)
    loader = credentials.Credentials(kubeconfig.read(spec), context, spec.env, connection.refresh)
    left: dict[int, int] = {}
    for turns in range(_TURNS):
        way = connection.Connection(loader)
        await way.open()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(way.ask(wire.Request("GET", "/version")))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
        await way.close()
        there = [
            c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr[1] == port
        ]
        if there:
            left[turns] = len(there)
    assert left == {}
