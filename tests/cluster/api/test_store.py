"""The window of history: bounded, and honest about what it has forgotten."""

import asyncio
from typing import Any

from tilt_cluster.objects import CONFIG_MAPS, PODS, Change
from tilt_cluster.store import WINDOW, Store


def config_map(name: str, value: int = 0) -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": name, "uid": name}, "data": {"v": str(value)}}


def test_history_is_bounded() -> None:
    store = Store()
    for count in range(3 * WINDOW):
        store.write(CONFIG_MAPS, config_map("a", count))

    collection = store.collection(CONFIG_MAPS)

    assert len(collection.history) <= 2 * WINDOW
    assert collection.position(1) is None
    assert collection.after(0) is None
    newest = collection.position(store.version - 1)
    assert newest is not None
    records = collection.after(newest) or ()
    assert [one.obj["data"] for one in records] == [{"v": str(3 * WINDOW - 1)}]


async def test_a_subscriber_gets_each_objects_newest_state_once() -> None:
    store = Store()
    store.write(CONFIG_MAPS, config_map("a"))
    subscriber = store.subscribe(frozenset({CONFIG_MAPS}))
    for count in range(100):
        store.write(CONFIG_MAPS, config_map("a", count))
        store.write(PODS, config_map("p", count))

    (event,) = await subscriber.batch()

    assert event.change is Change.ADDED
    assert event.object["data"] == {"v": "99"}
    store.remove(CONFIG_MAPS, event.object)
    (event,) = subscriber.take()
    assert event.change is Change.DELETED
    assert subscriber.take() == ()


async def test_who_waits_for_a_change_is_woken() -> None:
    store = Store()
    collection = store.collection(CONFIG_MAPS)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(collection.changed())
        await asyncio.sleep(0)
        store.write(CONFIG_MAPS, config_map("a"))
        await waiting


def test_what_was_before_a_restart_can_not_be_watched() -> None:
    store = Store()
    store.load(CONFIG_MAPS, config_map("a"))
    store.begin(50)

    assert store.collection(CONFIG_MAPS).position(49) is None
    assert store.collection(PODS).position(49) is None
    assert store.collection(PODS).position(50) == 0
