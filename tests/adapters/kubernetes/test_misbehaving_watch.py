"""A watch goes on whatever the server does, and tells each change once."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.adapters.kubernetes.servers import (
    CONFIG_MAPS,
    Act,
    Server,
    config_map,
    connected,
    event,
    hangs_up,
    is_silent,
    lists,
    says,
    status,
    streams,
    text,
)
from tests.adapters.kubernetes.worlds import Seen
from tiltd.adapters.kubernetes.watching import Batch
from tiltd.model.observed import Scope, Uid

WATCH = f"{CONFIG_MAPS}?watch"
SCOPES = frozenset({Scope("", "v1", "ConfigMap", "default", ours=False)})


async def _after(server: Server, folder: Path, seen: Seen, name: str) -> None:
    """Follow until an object of this name was seen."""
    async with connected(server, folder) as cluster:
        cluster.follow(SCOPES, seen)
        await seen.until(lambda s: s.named(name))


def _versions(server: Server) -> list[str]:
    return [q["resourceVersion"] for q in server.asked(CONFIG_MAPS) if "watch" in q]


async def test_a_forgotten_version_makes_a_new_list_and_what_vanished_is_told(
    server: Server, tmp_path: Path
) -> None:
    server.plays(
        CONFIG_MAPS,
        lists(5, config_map("stays", 1), config_map("goes", 2)),
        lists(9, config_map("stays", 1), config_map("comes", 8)),
    )
    expired: dict[str, object] = {
        "kind": "Status",
        "code": 410,
        "metadata": {},
        "message": "too old",
    }
    server.plays(WATCH, streams(event("ERROR", expired), ends="cleanly"), streams())
    seen = Seen()

    await _after(server, tmp_path, seen, "comes")

    assert seen.names() == {"stays", "comes"}
    assert seen.gone == ["uid-goes"]


async def test_410_as_an_answer_makes_a_new_list_too(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, lists(5), lists(9, config_map("comes", 8)))
    server.plays(WATCH, status(410, "too old"), streams())

    await _after(server, tmp_path, Seen(), "comes")


@pytest.mark.parametrize("ends", ["cleanly", "broken"])
async def test_a_watch_that_ends_goes_on_from_the_last_event(
    server: Server, tmp_path: Path, ends: str
) -> None:
    server.plays(CONFIG_MAPS, lists(5, config_map("one", 1)))
    first = event("ADDED", config_map("two", 6)) + event("DELETED", config_map("one", 7))
    server.plays(
        WATCH,
        streams(first, ends=ends),
        streams(event("ADDED", config_map("three", 8))),
    )
    seen = Seen()

    await _after(server, tmp_path, seen, "three")

    assert _versions(server) == ["5", "7"]
    assert seen.names() == {"two", "three"}
    assert "managedFields" not in seen.named("two")["metadata"]


async def test_half_an_event_is_no_event(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    whole = event("ADDED", config_map("one", 6))
    half = event("ADDED", config_map("two", 7))[:40]
    rest = event("ADDED", config_map("two", 7))
    server.plays(WATCH, streams(whole, half, ends="broken"), streams(rest))
    seen = Seen()

    await _after(server, tmp_path, seen, "two")

    assert _versions(server) == ["5", "6"]


async def test_an_event_in_many_pieces_is_one_event(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    line = event("ADDED", config_map("one", 6, text="ä" * 100)).encode()
    server.plays(WATCH, streams(*(line[i : i + 7] for i in range(0, len(line), 7))))
    seen = Seen()

    await _after(server, tmp_path, seen, "one")

    assert seen.named("one")["data"]["text"] == "ä" * 100


async def test_a_bookmark_keeps_the_position(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    bookmark = event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": "50"}})
    server.plays(
        WATCH,
        streams(bookmark, ends="cleanly"),
        streams(event("ADDED", config_map("one", 51))),
    )

    await _after(server, tmp_path, Seen(), "one")

    assert _versions(server) == ["5", "50"]


async def test_silence_beyond_the_deadline_makes_a_new_watch(
    server: Server, tmp_path: Path
) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    server.plays(WATCH, streams(), streams(event("ADDED", config_map("one", 6))))
    seen = Seen()

    async with connected(server, tmp_path, watch_seconds=0.2) as cluster:
        cluster.follow(SCOPES, seen)
        await seen.until(lambda s: s.named("one"))

    assert _versions(server)[:2] == ["5", "5"]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(status(429, "slow down"), id="too many requests"),
        pytest.param(status(500, "oh no"), id="internal error"),
        pytest.param(text("<html>bad gateway", code=502), id="a proxy's page"),
        pytest.param(streams("<html>hello\n", ends="cleanly"), id="garbage"),
        pytest.param(streams('{"type": "ADDED"}\n', ends="cleanly"), id="no object"),
        pytest.param(hangs_up, id="hangs up"),
    ],
)
async def test_trouble_passes(server: Server, tmp_path: Path, trouble: Act) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    server.plays(WATCH, trouble, trouble, streams(event("ADDED", config_map("one", 6))))

    await _after(server, tmp_path, Seen(), "one")


async def test_trouble_with_the_list_passes(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, hangs_up, status(503, "starting"), lists(5, config_map("one", 1)))
    server.plays(WATCH, streams())

    await _after(server, tmp_path, Seen(), "one")


async def test_what_must_not_be_watched_is_said_once_and_the_rest_goes_on(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.plays("/api/v1/namespaces/default/secrets", status(403, "secrets are not for you"))
    server.plays(CONFIG_MAPS, lists(5), lists(5, config_map("one", 1)))
    server.plays(WATCH, status(410, "too old"), streams())
    seen = Seen()

    with caplog.at_level(logging.WARNING):
        async with connected(server, tmp_path) as cluster:
            secrets = Scope("", "v1", "Secret", "default", ours=False)
            cluster.follow(SCOPES | {secrets}, seen)
            await seen.until(lambda s: s.named("one"))

    assert [r.getMessage() for r in caplog.records if "not for you" in r.getMessage()]
    assert len(server.asked("/api/v1/namespaces/default/secrets")) == 1


async def test_a_kind_that_comes_later_is_found(server: Server, tmp_path: Path) -> None:
    known = {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True}]}
    server.plays("/apis/x.test/v1", status(404, "none"), status(404, "none"), says(known))
    path = "/apis/x.test/v1/namespaces/default/widgets"
    server.plays(path, lists(5, config_map("one", 1)))
    server.plays(f"{path}?watch", streams())
    seen = Seen()

    async with connected(server, tmp_path) as cluster:
        scope = Scope("x.test", "v1", "Widget", "default", ours=False)
        cluster.follow(frozenset({scope}), seen)
        await seen.until(lambda s: s.named("one"))

    assert seen.named("one")["kind"] == "Widget"
    assert seen.named("one")["apiVersion"] == "x.test/v1"


async def test_what_comes_in_one_piece_is_told_in_one_call(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, lists(5, *(config_map(f"n{i}", i) for i in range(50))))
    server.plays(WATCH, streams("".join(event("ADDED", config_map(f"m{i}", 9)) for i in range(50))))
    seen = Seen()

    await _after(server, tmp_path, seen, "m49")

    assert seen.calls == 2


async def test_what_is_gathered_is_told_with_its_age() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Queue[tuple[float, float]]()
    batch = Batch()
    batch.listener = lambda _seen, _gone, ages: told.put_nowait((loop.time(), ages[0]))
    for name in ("first", "on its heels"):
        came = loop.time()
        batch.saw(Uid(name), config_map(name, 1))
        when, age = await told.get()
        assert when - age == pytest.approx(came, abs=0.02)


async def test_a_watch_that_breaks_off_is_told_and_so_is_its_return(
    server: Server, tmp_path: Path
) -> None:
    server.plays(CONFIG_MAPS, lists(5))
    server.plays(WATCH, streams(ends="broken"), hangs_up, streams())
    told: list[frozenset[Scope]] = []
    back = asyncio.Event()

    def blind(scopes: frozenset[Scope]) -> None:
        told.append(scopes)
        if not scopes:
            back.set()

    async with connected(server, tmp_path) as cluster:
        cluster.tell_blind(blind)
        cluster.follow(SCOPES, Seen())
        async with asyncio.timeout(10):
            await back.wait()

    assert told == [SCOPES, frozenset()]


async def test_a_server_that_falls_silent_is_not_taken_for_a_quiet_one(
    server: Server, tmp_path: Path
) -> None:
    server.plays(CONFIG_MAPS, lists(5, config_map("one", 1)), lists(6, config_map("two", 6)))
    server.plays(WATCH, streams())
    version = says({"gitVersion": "v1.36.0"})
    server.plays("/version", version, is_silent, version)
    seen, told, back = Seen(), list[frozenset[Scope]](), asyncio.Event()

    def blind(scopes: frozenset[Scope]) -> None:
        told.append(scopes)
        if not scopes:
            back.set()

    async with connected(server, tmp_path) as cluster:
        cluster.tell_blind(blind)
        cluster.follow(SCOPES, seen)
        async with asyncio.timeout(20):
            await back.wait()

    assert told == [SCOPES, frozenset()]
    # It went on from where it was: nothing is told twice, and no new list was needed.
    assert _versions(server) == ["5", "5"]
