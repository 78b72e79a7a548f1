"""One writer, any number of readers at their own pace."""

import asyncio
from dataclasses import replace

import pytest

from tests.builders import project as build
from tests.builders import state as states
from tests.builders.k8s import T0
from tiltd.model.events import (
    AttemptEnded,
    AttemptStarted,
    FilesChanged,
    HealthJudged,
    SessionEnded,
)
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict
from tiltd.model.names import SESSION, TILTFILE, NodeName, ResourceName, resource_node
from tiltd.model.state import AttemptOutcome, Outcome, State
from tiltd.runtime.store import Store

STARTED = AttemptStarted(TILTFILE, "load", "load 1", T0)


async def test_a_listener_is_told_before_and_after_and_whom_it_concerns() -> None:
    store = Store(states.started())
    told: list[tuple[State, State, frozenset[NodeName]]] = []
    store.listen(lambda old, new, nodes: told.append((old, new, nodes)))
    before = store.state
    store.dispatch(STARTED)
    assert told == [(before, store.state, frozenset({SESSION, TILTFILE}))]
    assert store.state.revision == before.revision + 1


async def test_events_that_come_together_are_told_once() -> None:
    store = Store(states.loaded(build.project(build.local("a", "true"))))
    told: list[frozenset[NodeName]] = []
    store.listen(lambda _old, _new, nodes: told.append(nodes))
    before = store.state
    ended = AttemptEnded(TILTFILE, AttemptOutcome.SUCCEEDED, T0)
    store.dispatch(STARTED, ended)
    assert told == [frozenset({SESSION, TILTFILE})]
    assert store.state.revision == before.revision + 1
    assert store.state.progress[TILTFILE].last is not None


async def test_a_node_is_not_woken_by_its_own_word_but_by_that_of_another() -> None:
    then = replace(build.local("b", "true"), resource_deps=(ResourceName("a"),))
    store = Store(states.loaded(build.project(build.local("a", "true"), then)))
    told: list[frozenset[NodeName]] = []
    store.listen(lambda _old, _new, nodes: told.append(nodes))
    nodes = [resource_node(ResourceName(name)) for name in "ab"]
    words = {node: _healthy(node) for node in nodes}
    store.record(words)
    assert nodes[0] not in told[0], "nobody else has said anything about it"
    assert store.state.resources.keys() == {"a", "b"}
    assert all(r.judged for r in store.state.resources.values())
    assert all(store.concerned[node] == store.state.revision for node in nodes)
    store.record({SESSION: words[nodes[0]]})
    assert nodes[0] in told[1]


def _healthy(node: NodeName) -> HealthJudged:
    name = ResourceName(node.partition("/")[2])
    finding = Finding(Verdict.HEALTHY, "x", (ObjectRef("Resource", "", name),), message="is well")
    return HealthJudged(name, Assessment((finding,)), T0)


async def test_it_is_known_when_a_node_was_last_concerned() -> None:
    store = Store(states.loaded(build.project(build.local("a", "true"))))
    store.dispatch(STARTED)
    first = store.concerned[TILTFILE]
    store.dispatch(STARTED)
    second = store.concerned[TILTFILE]
    assert second == store.state.revision > first
    store.dispatch(SessionEnded(Outcome.CANCELLED, T0))  # which makes none of the others another
    assert store.concerned[SESSION] == store.state.revision > second == store.concerned[TILTFILE]


async def test_the_revision_of_the_project_moves_with_its_graph_only() -> None:
    store = Store()
    project = build.project(build.local("a", "true"))
    store.state = states.loaded(project)
    before = store.project_revision
    store.dispatch(FilesChanged(("/x",)))
    assert store.project_revision == before


async def test_a_slow_reader_skips_to_the_newest() -> None:
    store = Store(states.started())
    snapshots = aiter(store.snapshots())
    assert (await anext(snapshots)) is store.state
    for _ in range(3):
        store.dispatch(STARTED)
    assert (await anext(snapshots)) is store.state


async def test_a_change_while_a_reader_is_busy_is_not_missed() -> None:
    store = Store(states.started())
    seen: list[int] = []
    async with asyncio.TaskGroup() as group:

        async def read() -> None:
            async for state in store.snapshots():
                seen.append(state.revision)
                if len(seen) == 1:
                    store.dispatch(STARTED)
                elif len(seen) == 2:
                    return

        group.create_task(read())
    assert seen[1] == seen[0] + 1


async def test_closing_ends_readers_also_those_that_wait() -> None:
    store = Store()
    async with asyncio.TaskGroup() as group:

        async def read() -> int:
            return len([s async for s in store.snapshots()])

        task = group.create_task(read())
        await asyncio.sleep(0.1)
        store.close()
    assert task.result() == 1
    assert [s async for s in store.snapshots()] == []


@pytest.mark.parametrize("end", ["wanted", "closed", "time"])
async def test_a_pause_ends_with_its_time_or_what_it_was_for(end: str) -> None:
    store = Store(states.started())
    first = store.state.revision
    seconds = 0.01 if end == "time" else 3600.0
    async with asyncio.TaskGroup() as group:
        group.create_task(store.pause(seconds, lambda s: s.revision == first + 2))
        await asyncio.sleep(0)
        if end == "wanted":
            store.dispatch(STARTED)
            await asyncio.sleep(0)
            store.dispatch(STARTED)
        elif end == "closed":
            store.close()
