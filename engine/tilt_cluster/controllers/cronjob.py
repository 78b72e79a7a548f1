"""CronJob: a Job for each time of its schedule, and the end of old Jobs."""

from collections.abc import Generator, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import job as jobs
from tilt_cluster.controllers import schedule
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Tell, View
from tilt_cluster.objects import CRON_JOBS, JOBS, ApiError, Object

_MISSED_MAX = 100


def sync(view: View, key: Key, now: float) -> Steps:
    """Start what is due, forget what has ended."""
    cron = view.find(CRON_JOBS, key.name, key.namespace)
    if cron is None or fields.deleting(cron):
        return None
    mine = view.list(JOBS, key.namespace, owner=fields.uid(cron))
    status: dict[str, Any] = dict(fields.get(cron, "status", default={}))
    yield from _saw(cron, mine)
    yield from _forget(cron, mine)
    again: float | None = None
    try:
        when = schedule.parse(
            fields.get(cron, "spec", "schedule", default=""), fields.get(cron, "spec", "timeZone")
        )
    except ValueError as error:
        message = f"unparseable schedule: {error}"
        yield Tell(CRON_JOBS, cron, "Warning", "UnparseableSchedule", message)
    else:
        if not fields.get(cron, "spec", "suspend", default=False):
            due, again = _due(cron, when, now)
            if due is not None:
                made = yield from _start(cron, mine, due)
                if made is not None:
                    status["lastScheduleTime"] = fields.stamp(due)
                    mine = [*mine, made]
    active = [one for one in mine if not jobs.finished(one)]
    status["active"] = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": fields.name(one),
            "namespace": key.namespace,
            "uid": fields.uid(one),
            "resourceVersion": fields.get(one, "metadata", "resourceVersion"),
        }
        for one in active
    ]
    ended = [
        fields.parse(fields.get(one, "status", "completionTime"))
        for one in mine
        if fields.is_true(one, "Complete")
    ]
    if ended and max(ended) > fields.parse(status.get("lastSuccessfulTime")):
        status["lastSuccessfulTime"] = fields.stamp(max(ended))
    shown = {name: value for name, value in status.items() if value}
    yield Status(CRON_JOBS, fields.with_status(cron, shown))
    return again


def _due(cron: Object, when: schedule.Schedule, now: float) -> tuple[float | None, float | None]:
    """The newest time that was missed, and the seconds until the next one."""
    since = fields.parse(fields.get(cron, "status", "lastScheduleTime")) or fields.created(cron)
    deadline = fields.get(cron, "spec", "startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, now - float(deadline))
    due: float | None = None
    following = when.after(since)
    missed = 0
    while following is not None and following <= now:
        due = following
        missed += 1
        following = when.after(following if missed < _MISSED_MAX else now - 60)
        if missed > 2 * _MISSED_MAX:
            break
    return due, None if following is None else max(0.05, following - now + 0.05)


def _start(cron: Object, mine: Sequence[Object], due: float) -> Generator[Any, Any, Object | None]:
    active = [one for one in mine if not jobs.finished(one)]
    policy = fields.get(cron, "spec", "concurrencyPolicy", default="Allow")
    if active and policy == "Forbid":
        message = (
            "Not starting job because prior execution is running and concurrency policy is Forbid"
        )
        yield Tell(CRON_JOBS, cron, "Normal", "JobAlreadyActive", message)
        return None
    if policy == "Replace":
        for one in active:
            yield Delete(JOBS, one, "Background")
            message = f"Deleted job {fields.name(one)}"
            yield Tell(CRON_JOBS, cron, "Normal", "SuccessfulDelete", message)
    outcome = yield Create(JOBS, _job(cron, due))
    if isinstance(outcome, ApiError):
        if outcome.reason == "AlreadyExists":
            return next((one for one in mine if fields.name(one) == _name(cron, due)), None)
        yield Tell(CRON_JOBS, cron, "Warning", "FailedCreate", f"Error creating job: {outcome}")
        return None
    message = f"Created job {_name(cron, due)}"
    yield Tell(CRON_JOBS, cron, "Normal", "SuccessfulCreate", message)
    created: Object | None = outcome
    return created


def _name(cron: Object, due: float) -> str:
    return f"{fields.name(cron)}-{int(due) // 60}"


def _job(cron: Object, due: float) -> Object:
    template = fields.get(cron, "spec", "jobTemplate", default={})
    notes = {
        **fields.annotations(template),
        "batch.kubernetes.io/cronjob-scheduled-timestamp": fields.stamp(due),
    }
    return {
        "metadata": {
            "name": _name(cron, due),
            "namespace": fields.namespace(cron),
            "labels": fields.labels(template),
            "annotations": notes,
            "ownerReferences": [fields.owned("batch/v1", "CronJob", cron)],
        },
        "spec": template.get("spec", {}),
    }


def _saw(cron: Object, mine: Sequence[Object]) -> Generator[Any, Any, None]:
    known = {one.get("uid") for one in fields.get(cron, "status", "active", default=())}
    for one in mine:
        if fields.uid(one) in known and jobs.finished(one):
            how = "Complete" if fields.is_true(one, "Complete") else "Failed"
            message = f"Saw completed job: {fields.name(one)}, condition: {how}"
            yield Tell(CRON_JOBS, cron, "Normal", "SawCompletedJob", message)


def _forget(cron: Object, mine: Sequence[Object]) -> Generator[Any, Any, None]:
    limits = (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    )
    for kind, name, default in limits:
        limit = int(fields.get(cron, "spec", name, default=default))
        ended = [one for one in mine if fields.is_true(one, kind) and not fields.deleting(one)]
        ended.sort(
            key=lambda one: (fields.get(one, "status", "startTime", default=""), fields.name(one))
        )
        for one in ended[: max(0, len(ended) - limit)]:
            yield Delete(JOBS, one, "Background")
            message = f"Deleted job {fields.name(one)}"
            yield Tell(CRON_JOBS, cron, "Normal", "SuccessfulDelete", message)
