"""Every line of a container's life is told once, whatever breaks."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubernetes import servers
from tests.adapters.kubernetes.servers import POD, Server, connected, status, streams
from tests.adapters.kubernetes.worlds import PATIENCE, Told
from tiltd.adapters.kubernetes import logs
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.model.names import ResourceName
from tiltd.model.observed import ContainerRun, Uid

LOG = f"{POD}/log"
T = "2026-01-01T00:00:0{}.{:09d}Z {}\n"


def run(restart: int = 0, *, previous: bool = False) -> ContainerRun:
    return ContainerRun(
        ResourceName("web"), "default", "web", Uid("u1"), "main", restart, previous=previous
    )


def line(number: int, text: str) -> str:
    return T.format(number // 10, number % 10, text)


def pod(restart: int, *, over: bool = False, last: bool = False, uid: str = "u1") -> servers.Act:
    state: dict[str, Any] = {"terminated": {"exitCode": 1}} if over else {"running": {}}
    container: dict[str, Any] = {"name": "main", "restartCount": restart, "state": state}
    if last:
        container["lastState"] = {"terminated": {"exitCode": 1}}
    return servers.says({"metadata": {"uid": uid}, "status": {"containerStatuses": [container]}})


async def follow(cluster: KubeCluster, told: Told, *runs: ContainerRun) -> None:
    """Follow these and wait until all have come to their end."""
    cluster.follow_logs(frozenset(runs), told)
    await cluster.drain(frozenset(runs), 10)


async def test_a_life_that_is_over_is_told_to_its_end(server: Server, tmp_path: Path) -> None:
    server.plays(POD, pod(0, over=True))
    server.plays(LOG, streams(line(1, "a") + line(2, "b") + line(3, "")[:-1], ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {run(): "a\nb\n\n"}
    assert server.asked(LOG)[0] == {"container": "main", "timestamps": "true", "follow": "true"}


async def test_a_break_loses_no_line_and_doubles_none(server: Server, tmp_path: Path) -> None:
    server.plays(POD, pod(0), pod(0, over=True))
    first = line(1, "a") + line(2, "b") + line(11, "c") + line(11, "same time") + line(12, "half")
    second = line(11, "c") + line(11, "same time") + line(12, "half a line") + line(13, "d")
    server.plays(LOG, streams(first[:-3], ends="broken"), streams(second, ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {run(): "a\nb\nc\nsame time\nhalf a line\nd\n"}
    assert server.asked(LOG)[1]["sinceTime"] == "2026-01-01T00:00:01Z"


async def test_a_log_whose_end_the_server_does_not_notice_is_read_to_its_end(
    server: Server, tmp_path: Path
) -> None:
    server.plays(POD, pod(0, over=True))
    first, rest = line(1, "a"), line(1, "a") + line(2, "last words")
    server.plays(LOG, streams(first, ends="never"), streams(rest, ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        cluster.follow_logs(frozenset({run()}), told)
        await told.until(lambda t: t.text)
        await cluster.drain(frozenset({run()}), 60)

    assert told.text == {run(): "a\nlast words\n"}
    assert "follow" not in server.asked(LOG)[1]


async def test_a_container_that_starts_later_is_waited_for(server: Server, tmp_path: Path) -> None:
    waiting = status(400, 'container "main" in pod "web" is waiting to start: ContainerCreating')
    server.plays(POD, pod(0), pod(0, over=True))
    server.plays(LOG, waiting, waiting, streams(line(1, "a"), ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {run(): "a\n"}


async def test_the_end_of_a_life_is_read_from_the_previous_log(
    server: Server, tmp_path: Path
) -> None:
    server.plays(POD, pod(1, last=True))
    server.plays(
        LOG,
        streams(line(1, "a"), ends="broken"),
        streams(line(1, "a") + line(2, "last words"), ends="cleanly"),
    )
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {run(): "a\nlast words\n"}
    assert server.asked(LOG)[1]["previous"] == "true"
    assert "follow" not in server.asked(LOG)[1]


async def test_a_life_is_not_told_again_when_it_has_become_the_previous_one(
    server: Server, tmp_path: Path
) -> None:
    server.plays(POD, pod(0, over=True), pod(1, last=True))
    server.plays(LOG, streams(line(1, "a"), ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())
        await follow(cluster, told)
        await follow(cluster, told, run(previous=True))

    assert told.text == {run(): "a\n"}
    assert len(server.asked(LOG)) == 1


async def test_a_life_that_is_lost_is_not_taken_for_another(server: Server, tmp_path: Path) -> None:
    server.plays(POD, pod(3, last=True))
    server.plays(LOG, streams(line(1, "of another life"), ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run(1, previous=True))

    assert told.text == {}
    assert server.asked(LOG) == []


@pytest.mark.parametrize("code", [401, 403])
async def test_a_log_that_must_not_be_read_is_one_warning(
    server: Server, tmp_path: Path, code: int
) -> None:
    server.plays(LOG, status(code, "pods/log is forbidden"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.levels == ["warn"]
    assert "pods/log is forbidden" in told.text[run()]


async def test_a_pod_that_is_gone_has_no_log(server: Server, tmp_path: Path) -> None:
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {}


async def test_trouble_passes(server: Server, tmp_path: Path) -> None:
    server.plays(POD, pod(0), pod(0), pod(0, over=True))
    server.plays(
        LOG, status(500, "kubelet away"), servers.hangs_up, streams(line(1, "a"), ends="cleanly")
    )
    told = Told()

    async with connected(server, tmp_path) as cluster:
        await follow(cluster, told, run())

    assert told.text == {run(): "a\n"}


async def test_the_last_words_of_a_life_that_is_not_wanted_any_more_are_heard(
    server: Server, tmp_path: Path
) -> None:
    server.plays(POD, pod(0, over=True))
    server.plays(LOG, streams(line(1, "a"), line(2, "b")))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        cluster.follow_logs(frozenset({run()}), told)
        await told.until(lambda t: t.text)
        cluster.follow_logs(frozenset(), told)
        await told.until(lambda t: t.text[run()] == "a\nb\n")


class Silences:
    """What is told of logs that have ended too early."""

    def __init__(self, cluster: KubeCluster) -> None:
        self.told: list[tuple[ContainerRun, bool]] = []
        self._changed = asyncio.Event()
        cluster.tell_silence(self._hear)

    def _hear(self, run: ContainerRun, silent: bool) -> None:  # noqa: FBT001 - see `ports.Silence`
        self.told.append((run, silent))
        self._changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.told) < count:
                self._changed.clear()
                await self._changed.wait()


async def test_a_log_that_ends_before_the_status_does_is_told_at_once_and_once(
    server: Server, tmp_path: Path
) -> None:
    server.plays(POD, pod(0), pod(0), pod(0), pod(0), pod(0, over=True))
    server.plays(LOG, streams(line(1, "a"), ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        silences = Silences(cluster)
        cluster.follow_logs(frozenset({run()}), told)
        await silences.until(1)
        assert len(server.asked(POD)) < 2  # before the pod was looked at again and again
        await cluster.drain(frozenset({run()}), PATIENCE)

    assert silences.told == [(run(), True)]
    assert told.text == {run(): "a\n"}


async def test_a_log_that_goes_on_after_all_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_LAG", 0.0)
    monkeypatch.setattr(logs, "_PROOF", 0.1)
    server.plays(POD, pod(0))
    again = streams(line(1, "a") + line(2, "b"), ends="cleanly")
    server.plays(LOG, again, again, streams(line(2, "b") + line(3, "c")))

    async with connected(server, tmp_path) as cluster:
        silences = Silences(cluster)
        cluster.follow_logs(frozenset({run()}), Told())
        await silences.until(2)

    assert silences.told == [(run(), True), (run(), False)]
    assert len(server.asked(LOG)) == 3


@pytest.mark.parametrize("ends", ["broken", "never"])
async def test_a_log_that_breaks_off_says_nothing_about_its_container(
    server: Server, tmp_path: Path, ends: str
) -> None:
    server.plays(POD, pod(0, over=True))
    server.plays(LOG, streams(line(1, "a"), ends=ends), streams(line(2, "b"), ends="cleanly"))
    told = Told()

    async with connected(server, tmp_path) as cluster:
        silences = Silences(cluster)
        cluster.follow_logs(frozenset({run()}), told)
        await told.until(lambda t: t.text)
        await cluster.drain(frozenset({run()}), PATIENCE)

    assert silences.told == []
