"""Jobs and CronJobs: counting, ends, indexes, schedules."""

from typing import Any

import pytest

from tests.cluster.controllers.world import NOW, World, template
from tilt_cluster import fields
from tilt_cluster.controllers import cronjob, indexes, job, schedule
from tilt_cluster.objects import CRON_JOBS, JOBS, PODS, Object


def _job(world: World, **spec: Any) -> None:
    labels = {"matchLabels": {"app": "web"}}
    body = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "selector": labels}
    pod = template(restartPolicy="Never")
    world.put(JOBS, {"metadata": {"name": "work"}, "spec": {**body, "template": pod, **spec}})


def _end(world: World, phase: str, code: int = 0, at: float = NOW) -> None:
    """Let every pod that runs end."""
    for pod in list(world.list(PODS)):
        if fields.get(pod, "status", "phase") in {"Succeeded", "Failed"}:
            continue
        terminated = {"exitCode": code, "finishedAt": fields.stamp(at)}
        statuses = [{"name": "main", "state": {"terminated": terminated}}]
        status = {"phase": phase, "containerStatuses": statuses}
        world.change(PODS, fields.name(pod), status=status)


def _found(world: World) -> Object:
    found = world.find(JOBS, "work")
    assert found is not None
    return found


def _conditions(world: World) -> list[tuple[str, str]]:
    found = fields.get(_found(world), "status", "conditions", default=())
    return [(one["type"], one["reason"]) for one in found if one["status"] == "True"]


def test_a_job_whose_pod_succeeds_is_complete() -> None:
    world = World()
    _job(world)
    world.sync(job.sync, "work")
    (pod,) = world.list(PODS)
    assert job.TRACKING in pod["metadata"]["finalizers"]
    _end(world, "Succeeded")
    world.sync(job.sync, "work")
    assert _conditions(world) == [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ]
    status = _found(world)["status"]
    assert (status["succeeded"], status["completionTime"]) == (1, fields.stamp(NOW))
    assert world.list(PODS)[0]["metadata"]["finalizers"] == []
    assert "Completed: Job completed" in world.told


def test_a_job_without_retries_fails_at_its_first_failure() -> None:
    world = World()
    _job(world, backoffLimit=0)
    world.sync(job.sync, "work")
    _end(world, "Failed", 3)
    world.sync(job.sync, "work")
    assert _conditions(world) == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert "BackoffLimitExceeded: Job has reached the specified backoff limit" in world.told
    assert len(world.list(PODS)) == 1


def test_the_next_pod_waits_ten_seconds_then_twenty() -> None:
    world = World()
    _job(world)
    world.sync(job.sync, "work")
    _end(world, "Failed", 1)
    assert world.sync(job.sync, "work", NOW) == pytest.approx(10)
    assert len(world.list(PODS)) == 1
    world.sync(job.sync, "work", NOW + 10)
    assert len(world.list(PODS)) == 2
    _end(world, "Failed", 1, NOW + 11)
    assert world.sync(job.sync, "work", NOW + 11) == pytest.approx(20)
    assert _found(world)["status"]["failed"] == 2


def test_failures_are_counted_once_however_often_it_is_called() -> None:
    world = World()
    _job(world)
    world.sync(job.sync, "work")
    _end(world, "Failed", 1)
    for _ in range(5):
        world.sync(job.sync, "work", NOW)
    assert _found(world)["status"]["failed"] == 1


def test_a_deadline_ends_the_job_and_its_pods() -> None:
    world = World()
    _job(world, activeDeadlineSeconds=5)
    assert world.sync(job.sync, "work", NOW) == pytest.approx(5)
    world.sync(job.sync, "work", NOW + 5)
    world.sync(job.sync, "work", NOW + 5)
    assert ("Failed", "DeadlineExceeded") in _conditions(world)
    assert world.list(PODS) == []


def test_parallel_pods_are_no_more_than_what_is_left_to_do() -> None:
    world = World()
    _job(world, parallelism=3, completions=4)
    world.sync(job.sync, "work")
    assert len(world.list(PODS)) == 3
    _end(world, "Succeeded")
    world.sync(job.sync, "work")
    running = [p for p in world.list(PODS) if fields.get(p, "status", "phase") != "Succeeded"]
    assert len(running) == 1
    _end(world, "Succeeded")
    world.sync(job.sync, "work")
    assert _found(world)["status"]["succeeded"] == 4


def test_an_indexed_job_gives_each_pod_its_index() -> None:
    world = World()
    _job(world, parallelism=3, completions=3, completionMode="Indexed")
    world.sync(job.sync, "work")
    assert [indexes.of(pod) for pod in world.list(PODS)] == [0, 1, 2]
    assert [pod["spec"]["hostname"] for pod in world.list(PODS)] == ["work-0", "work-1", "work-2"]
    _end(world, "Succeeded")
    world.sync(job.sync, "work")
    assert _found(world)["status"]["completedIndexes"] == "0-2"
    assert ("Complete", "CompletionsReached") in _conditions(world)


def test_a_failure_policy_ends_the_job_at_an_exit_code() -> None:
    world = World()
    codes = {"operator": "In", "values": [42]}
    _job(world, podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": codes}]})
    world.sync(job.sync, "work")
    _end(world, "Failed", 42)
    world.sync(job.sync, "work")
    assert ("Failed", "PodFailurePolicy") in _conditions(world)


def test_a_suspended_job_has_no_pods_and_resumes() -> None:
    world = World()
    _job(world, suspend=True)
    world.sync(job.sync, "work")
    assert world.list(PODS) == []
    assert _conditions(world) == [("Suspended", "JobSuspended")]
    world.change(JOBS, "work", spec={**_found(world)["spec"], "suspend": False})
    world.sync(job.sync, "work")
    assert len(world.list(PODS)) == 1
    assert _conditions(world) == []


def test_a_finished_job_goes_after_its_time_to_live() -> None:
    world = World()
    _job(world, ttlSecondsAfterFinished=30)
    world.sync(job.sync, "work")
    _end(world, "Succeeded")
    world.sync(job.sync, "work")
    assert world.sync(job.sync, "work", NOW + 10) == pytest.approx(20)
    world.sync(job.sync, "work", NOW + 30)
    assert world.list(JOBS) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        pytest.param("", set[int](), id="none"),
        pytest.param("1", {1}, id="one"),
        pytest.param("0-2,5,7-8", {0, 1, 2, 5, 7, 8}, id="ranges"),
    ],
)
def test_indexes_are_written_as_ranges(text: str, numbers: set[int]) -> None:
    assert indexes.parse(text) == numbers
    assert indexes.show(numbers) == text


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        pytest.param("*/15 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z", id="step"),
        pytest.param("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z", id="daily"),
        pytest.param("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", id="macro"),
        pytest.param("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z", id="leap-day"),
        pytest.param("0 0 13 * fri", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z", id="either"),
        pytest.param("30 9-17 * * mon-fri", "2026-01-02T17:30:00Z", "2026-01-05T09:30:00Z", id="r"),
        pytest.param("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", id="sunday-is-7"),
    ],
)
def test_schedules(text: str, after: str, due: str) -> None:
    found = schedule.parse(text).after(fields.parse(after))
    assert found is not None
    assert fields.stamp(found) == due


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "a * * * *", "*/0 * * * *"])
def test_bad_schedules_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        schedule.parse(text)


def test_a_time_zone_moves_the_schedule() -> None:
    found = schedule.parse("0 9 * * *", "Europe/Berlin").after(fields.parse("2026-07-01T00:00:00Z"))
    assert found is not None
    assert fields.stamp(found) == "2026-07-01T07:00:00Z"


def test_a_cron_job_makes_a_job_for_its_time_and_forgets_old_ones() -> None:
    world = World()
    spec = {
        "schedule": "* * * * *",
        "successfulJobsHistoryLimit": 1,
        "jobTemplate": {"spec": {"template": template()}},
    }
    minute = NOW - NOW % 60
    cron = {"name": "tick", "creationTimestamp": fields.stamp(minute)}
    world.put(CRON_JOBS, {"metadata": cron, "spec": spec})
    for number in range(1, 4):
        world.sync(cronjob.sync, "tick", minute + 60 * number)
        for one in list(world.list(JOBS)):
            done = [{"type": "Complete", "status": "True"}]
            world.change(JOBS, fields.name(one), status={"conditions": done})
    world.sync(cronjob.sync, "tick", minute + 185)
    assert [fields.name(one) for one in world.list(JOBS)] == [f"tick-{int(minute) // 60 + 3}"]


def test_a_forbidden_overlap_starts_no_second_job() -> None:
    world = World()
    spec = {
        "schedule": "* * * * *",
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": {"template": template()}},
    }
    minute = NOW - NOW % 60
    cron = {"name": "tick", "creationTimestamp": fields.stamp(minute)}
    world.put(CRON_JOBS, {"metadata": cron, "spec": spec})
    world.sync(cronjob.sync, "tick", minute + 60)
    world.sync(cronjob.sync, "tick", minute + 120)
    assert len(world.list(JOBS)) == 1
    assert any(one.startswith("JobAlreadyActive") for one in world.told)
