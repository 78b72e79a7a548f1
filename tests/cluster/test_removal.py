"""A network that the Engine refuses to remove: waited for once, told, used on, removed later."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tilt_cluster import engine, homes, removal


class Miscounting(engine.Engine):
    """An Engine without containers that so many times takes the network for used."""

    def __init__(self, times: int) -> None:
        super().__init__("/none/such")
        self.times, self.asked = times, 0

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        del body, query
        if method == "DELETE" and path == "/networks/tilt-one":
            self.asked += 1
            if self.asked <= self.times:
                raise engine.EngineError(403, "network tilt-one has active endpoints")
        return []


async def test_endpoints_that_go_are_waited_for() -> None:
    client = Miscounting(3)
    assert await removal.remove("one", client) == 0
    assert client.asked == 4


async def test_endpoints_that_never_go_are_told_with_what_helps() -> None:
    with pytest.raises(
        removal.StuckNetworkError, match="when the Docker Engine has been restarted"
    ):
        await removal.remove("one", Miscounting(10**9), patience=0.1)


async def test_a_stuck_network_is_waited_for_once_used_on_and_removed_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float | None] = []
    stuck = True

    async def remove(_name: str, _client: engine.Engine, **given: float) -> int:
        patience.append(given.get("patience"))
        if stuck:
            raise removal.StuckNetworkError(403, "active endpoints")
        return 0

    socket = tmp_path / "socket"
    socket.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(removal, "remove", remove)
    here = homes.home("one")
    with homes.claimed(here):
        (here.folder / "access.json").write_text(json.dumps({}))
        with pytest.raises(homes.StuckError, match="the network of the cluster one stays"):
            await homes.clear(here)
        assert not (here.folder / "access.json").exists()
    with homes.claimed(here) as has_remains:
        assert not has_remains
        await homes.prepare(here)
    await homes.sweep()
    assert patience == [None, 0.0, 0.0], "nobody waits for it a second time"
    assert here.folder.exists()

    stuck = False
    await homes.sweep()
    assert not here.folder.exists()
