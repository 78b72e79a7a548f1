"""A kind is there before its objects: not when it was applied, but when it is Established."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.builders import project as build
from tests.fakes.cluster import FakeCluster
from tests.runtime.world import World, world
from tiltd.model.desired import Manifest
from tiltd.model.state import Outcome

WAIT = 30.0


@pytest.fixture
async def engine() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def definition() -> Manifest:
    spec = {
        "group": "x.example",
        "names": {"kind": "Db", "plural": "dbs"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True}],
    }
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return build.manifest({**crd, "metadata": {"name": "dbs.x.example"}, "spec": spec})


def custom() -> Manifest:
    body = {"apiVersion": "x.example/v1", "kind": "Db", "metadata": {"name": "orders"}}
    return build.manifest(body)


def establishes(cluster: FakeCluster, after: float) -> None:
    """Play the API server: a kind is served a while after it was defined."""

    def establish(c: FakeCluster, live: dict[str, Any]) -> None:
        if not live.get("status"):
            c.later(after, lambda: c.change(live, status=established("True")))

    cluster.on("CustomResourceDefinition", establish)


def established(status: str) -> dict[str, Any]:
    names = {"type": "NamesAccepted", "status": "True"}
    return {"conditions": [names, {"type": "Established", "status": status}]}


async def test_a_definition_is_established_before_its_objects_are_applied(engine: World) -> None:
    establishes(engine.cluster, WAIT)
    db = build.kubernetes("db", custom())  # first in the Tiltfile, and of another resource
    await engine.start(build.project(db, build.kubernetes("kinds", definition())))
    await engine.until(lambda s: bool(s.applied))
    began = engine.clock.now()
    assert engine.cluster.applied == ["CustomResourceDefinition/dbs.x.example"]
    assert (await engine.ended()).outcome is Outcome.HEALTHY
    assert engine.cluster.applied == ["CustomResourceDefinition/dbs.x.example", "Db/orders"]
    applied = next(a.at for i, a in engine.state.applied.items() if i.kind == "Db")
    assert applied - began >= WAIT


async def test_a_definition_that_never_comes_up_is_what_its_objects_wait_for(
    engine: World,
) -> None:
    project = build.project(build.kubernetes("db", definition(), custom()))
    ended = await engine.ci(project, timeout=60.0)
    assert ended.outcome is Outcome.TIMEOUT
    assert engine.cluster.applied == ["CustomResourceDefinition/dbs.x.example"]
