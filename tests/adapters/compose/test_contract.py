"""What the engine relies on: true of the imitation as of Docker Compose."""

import pytest

from tests.adapters.compose.conftest import SERVES, Project
from tests.fakes.compose import FakeCompose
from tiltd.ports import PermanentError


async def test_a_service_that_is_brought_up_runs(any_project: Project) -> None:
    any_project.service("db")
    container = await any_project.up("db")
    assert (container.status, container.exit_code, container.restarts) == ("running", 0, 0)
    assert container.started_at >= any_project.since - 1
    assert any_project.phases == ["apply"]
    assert container.name.endswith("-db-1")


async def test_what_is_as_it_should_be_is_left_alone(any_project: Project) -> None:
    any_project.service("db")
    first = await any_project.up("db")
    second = await any_project.up("db")
    assert (second.id, second.started_at) == (first.id, first.started_at)


async def test_what_has_changed_is_made_anew_and_nothing_else(any_project: Project) -> None:
    any_project.service("db")
    any_project.service("api")
    db, api = await any_project.up("db"), await any_project.up("api")
    any_project.service("api", [*SERVES[:2], "echo other; exec sleep 100000"])
    assert (await any_project.up("api")).id != api.id
    assert (await any_project.up("db")).id == db.id


async def test_on_request_it_is_made_anew_although_nothing_has_changed(
    any_project: Project,
) -> None:
    any_project.service("db")
    first = await any_project.up("db")
    assert (await any_project.up("db", recreate=True)).id != first.id


async def test_a_watch_tells_what_is_there_and_what_somebody_removes(any_project: Project) -> None:
    any_project.service("db")
    container = await any_project.up("db")
    async with any_project.watched("db") as watched:
        (seen,) = await watched.until(lambda all_seen: len(all_seen) == 1)
        assert (seen.id, seen.status) == (container.id, "running")
        await any_project.remove(container)
        await watched.until(lambda all_seen: not all_seen)


async def test_a_project_that_was_removed_can_be_removed_again(any_project: Project) -> None:
    any_project.service("db")
    any_project.service("api")
    await any_project.up("db")
    assert await any_project.down() == {"db"}
    assert await any_project.down() == set()
    async with any_project.watched("db") as watched:
        assert await watched.until(lambda _: True) == ()


async def test_what_can_not_be_brought_up_is_told_as_a_persons_to_mend(
    any_project: Project,
) -> None:
    any_project.service("db", ["/no/such/program"])
    if isinstance(any_project.adapter, FakeCompose):
        any_project.adapter.fails["db"] = "no such file or directory"
    with pytest.raises(PermanentError) as caught:
        await any_project.up("db")
    assert "bringing up db failed: " in caught.value.problem.message
    assert "no such file or directory" in caught.value.problem.message
