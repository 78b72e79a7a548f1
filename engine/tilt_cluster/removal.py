"""Taking away everything that a cluster made outside of its folder, by its label and nothing else.

For the end of an ephemeral cluster, for `down`, and for what a killed one left behind: containers
with their anonymous volumes, the bridge, the rules of the packet filter.  What isn't there is no
error, so it may be called at any time, also while nothing of the cluster exists.

An Engine that is overloaded may miscount: then it refuses to remove a network since it "has active
endpoints", and says itself that there are none.  It counts anew when it starts.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from tilt_cluster import engine

_GONE, _BUSY = 404, 409
_AGAIN, _PATIENCE = 0.05, 60.0
_ENDPOINTS = 10.0
"""How long those of containers that are gone may be there."""


class StuckNetworkError(engine.EngineError):
    """The network can't be removed until the Engine is started anew; nothing else is left."""


async def clusters(client: engine.Engine) -> Sequence[str]:
    """The names of all clusters that have left something in the Engine."""
    query = {"all": True, "filters": {"label": [engine.CLUSTER_LABEL]}}
    found: list[Any] = await client.call("GET", "/containers/json", query=query)
    found += await client.call("GET", "/networks", query={"filters": query["filters"]})
    return sorted({str(one["Labels"][engine.CLUSTER_LABEL]) for one in found})


async def remove(name: str, client: engine.Engine, patience: float = _ENDPOINTS) -> int:
    """Remove what the cluster of that name has in the Engine; how many containers it were.

    Args:
        name: of the cluster.
        client: of the Engine.
        patience: how long (seconds) its network may have endpoints once its containers are gone.

    Raises:
        StuckNetworkError: it still has.
        engine.EngineError: the Engine refuses to remove something.
        engine.EngineAwayError: it doesn't answer.
        TimeoutError: it doesn't get done in a minute.
    """
    from tilt_cluster import network  # noqa: PLC0415 - a start that has nothing to remove is sooner

    count = 0
    async with asyncio.timeout(_PATIENCE):
        while found := await _containers(name, client):
            count = max(count, len(found))
            async with asyncio.TaskGroup() as tasks:
                for one in found:
                    tasks.create_task(_remove(one, client))
        end = time.monotonic() + patience
        while True:
            try:
                await network.stop(name, client)
            except engine.EngineError as error:
                if "active endpoints" not in str(error):
                    raise
                if time.monotonic() > end:
                    what = f"{error}; it can be removed when the Docker Engine has been restarted"
                    raise StuckNetworkError(error.status, what) from error
                await asyncio.sleep(_AGAIN)  # of a container that is just being removed
            else:
                return count


async def _containers(name: str, client: engine.Engine) -> Sequence[str]:
    filters = {"label": [f"{engine.CLUSTER_LABEL}={name}"]}
    found: Sequence[Any] = await client.call(
        "GET", "/containers/json", query={"all": True, "filters": filters}
    )
    return [str(one["Id"]) for one in found]


async def _remove(identity: str, client: engine.Engine) -> None:
    try:
        query = {"force": True, "v": True}
        await client.call("DELETE", f"/containers/{identity}", query=query)
    except engine.EngineError as error:
        if error.status not in {_GONE, _BUSY}:
            raise
        await asyncio.sleep(_AGAIN)  # somebody else is removing it
