"""Job: run pods until enough have succeeded or too many have failed.

Kubernetes' rules: a pod that ended is counted once (its finalizer is taken off in the same step),
failures delay the next pod by 10 s, doubling to 10 minutes; what ends a Job first becomes a
`FailureTarget` or `SuccessCriteriaMet`, and `Failed` or `Complete` once its pods are gone.  What
was counted is in `status`; those pods have lost the finalizer, so nothing counts twice.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal

from tilt_cluster import fields
from tilt_cluster.controllers import indexes, jobpolicy, pods
from tilt_cluster.controllers.plan import Delete, JobEnd, Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import JOBS, PODS, ApiError, Object

TRACKING = "batch.kubernetes.io/job-tracking"
_BACKOFF, _BACKOFF_MAX = 10.0, 600.0


def sync(view: View, key: Key, now: float) -> Steps:
    """Bring one Job a step nearer to its end."""
    job = view.find(JOBS, key.name, key.namespace)
    if job is None:
        return None
    if finished(job):
        return (yield from _afterlife(view, job, now))
    reference = fields.owned("batch/v1", "Job", job)
    mine = yield from pods.claim(view, PODS, job, reference)
    if fields.deleting(job):
        for pod in mine:
            yield from _release(pod)
        return None
    status: dict[str, Any] = dict(fields.get(job, "status", default={}))
    suspended = bool(fields.get(job, "spec", "suspend", default=False))
    if "startTime" not in status and not suspended:
        status["startTime"] = fields.stamp(now)
    policy = jobpolicy.judge(job, mine)
    status, failed_at = _count(job, status, mine, policy.ignored)
    end = _end(job, status, mine, policy.end, now)
    active = [pod for pod in mine if pods.active(pod)]
    again: float | None = None
    if end is not None or suspended:
        yield from _stop(job, active)
        active = []
    else:
        again = yield from _manage(job, reference, mine, active, status, failed_at, now)
    for pod in mine:
        if pods.finished(pod):
            yield from _release(pod)
    leaving = [pod for pod in mine if fields.deleting(pod) and not pods.finished(pod)]
    status |= {
        "active": len(active),
        "ready": sum(1 for pod in active if pods.ready(pod)),
        "terminating": len(leaving),
        "uncountedTerminatedPods": {},
    }
    status["conditions"] = _conditions(job, end, now, ended=not leaving, suspended=suspended)
    if end is not None and not leaving and end.kind == "Complete":
        status["completionTime"] = fields.stamp(now)
    shown = {"ready", "terminating", "uncountedTerminatedPods"}
    status = {name: value for name, value in status.items() if value or name in shown}
    yield Status(JOBS, fields.with_status(job, status))
    yield from _announce(job, end, ended=not leaving, suspended=suspended)
    waits = [wait for wait in (again, _deadline_in(job, status, now)) if wait is not None]
    return min(waits, default=None)


def finished(job: Object) -> bool:
    """Whether it is `Complete` or `Failed`."""
    return fields.is_true(job, "Complete") or fields.is_true(job, "Failed")


def _number(job: Object, name: str, default: int) -> int:
    return int(fields.get(job, "spec", name, default=default))


def _indexed(job: Object) -> bool:
    return bool(fields.get(job, "spec", "completionMode") == "Indexed")


def _release(pod: Object) -> Generator[Any, Any, None]:
    finalizers = fields.get(pod, "metadata", "finalizers", default=())
    if TRACKING in finalizers:
        kept = [one for one in finalizers if one != TRACKING]
        yield Update(PODS, fields.with_metadata(pod, finalizers=kept))


def _ended_at(pod: Object) -> float:
    """When the last container of an ended pod ended."""
    statuses: Sequence[Object] = fields.get(pod, "status", "containerStatuses", default=())
    times = [fields.parse(fields.get(one, "state", "terminated", "finishedAt")) for one in statuses]
    return max(times, default=0.0) or fields.created(pod)


def _count(
    job: Object, status: dict[str, Any], mine: Sequence[Object], ignored: frozenset[str]
) -> tuple[dict[str, Any], Sequence[float]]:
    """The status with the pods that ended since; and when failed pods that are there ended."""
    result = dict(status)
    new = [
        pod
        for pod in mine
        if TRACKING in fields.get(pod, "metadata", "finalizers", default=())
        and pods.finished(pod)
        and fields.uid(pod) not in ignored
    ]
    failed = sum(1 for pod in new if pods.phase(pod) == "Failed")
    result["failed"] = int(status.get("failed", 0)) + failed
    if _indexed(job):
        done = indexes.parse(str(status.get("completedIndexes", "")))
        done |= {indexes.of(pod) for pod in new if pods.phase(pod) == "Succeeded"} - {None}
        result["succeeded"] = len(done)
        result["completedIndexes"] = indexes.show(done)
        if _per_index(job) is not None:
            spent = indexes.parse(str(status.get("failedIndexes", "")))
            result["failedIndexes"] = indexes.show(spent | _spent(job, mine))
    else:
        succeeded = sum(1 for pod in new if pods.phase(pod) == "Succeeded")
        result["succeeded"] = int(status.get("succeeded", 0)) + succeeded
    failures = sorted(_ended_at(pod) for pod in mine if pods.phase(pod) == "Failed")
    return result, failures


def _per_index(job: Object) -> int | None:
    found = fields.get(job, "spec", "backoffLimitPerIndex")
    return None if found is None else int(found)


def _spent(job: Object, mine: Sequence[Object]) -> set[int | None]:
    """The indexes that have failed more often than they may."""
    limit = _per_index(job) or 0
    counts: dict[int | None, int] = {}
    for pod in mine:
        if pods.phase(pod) == "Failed":
            counts[indexes.of(pod)] = counts.get(indexes.of(pod), 0) + 1
    return {index for index, count in counts.items() if count > limit}


def _restarts(pod: Object) -> int:
    statuses: list[Object] = [
        *fields.get(pod, "status", "containerStatuses", default=()),
        *fields.get(pod, "status", "initContainerStatuses", default=()),
    ]
    return sum(int(one.get("restartCount", 0)) for one in statuses)


def _end(
    job: Object, status: Object, mine: Sequence[Object], policy: JobEnd | None, now: float
) -> JobEnd | None:
    """How the Job ends, if it is decided; a decision that was written stays."""
    finals: Mapping[str, Literal["Complete", "Failed"]] = {
        "FailureTarget": "Failed",
        "SuccessCriteriaMet": "Complete",
    }
    for kind, final in finals.items():
        found = fields.condition(job, kind)
        if found is not None and found.get("status") == "True":
            return JobEnd(final, str(found.get("reason")), str(found.get("message")))
    if policy is not None:
        return policy
    failed = int(status.get("failed", 0))
    limit = fields.get(job, "spec", "backoffLimit", default=6)
    if _per_index(job) is not None and fields.get(job, "spec", "backoffLimit") is None:
        limit = 2**31 - 1
    if fields.get(job, "spec", "template", "spec", "restartPolicy") == "OnFailure":
        restarts = sum(_restarts(pod) for pod in mine if pods.active(pod))
        if restarts and restarts >= limit + (1 if not limit else 0):
            failed = limit + 1
    if failed > limit:
        message = "Job has reached the specified backoff limit"
        return JobEnd("Failed", "BackoffLimitExceeded", message)
    if (left := _deadline_in(job, status, now)) is not None and left <= 0:
        message = "Job was active longer than specified deadline"
        return JobEnd("Failed", "DeadlineExceeded", message)
    return _success(job, status, mine)


def _success(job: Object, status: Object, mine: Sequence[Object]) -> JobEnd | None:
    succeeded = int(status.get("succeeded", 0))
    completions = fields.get(job, "spec", "completions")
    if met := jobpolicy.success(job, indexes.parse(str(status.get("completedIndexes", "")))):
        return JobEnd("Complete", "SuccessPolicy", met)
    done = "Reached expected number of succeeded pods"
    if completions is None:
        if succeeded and not any(pods.active(pod) for pod in mine):
            return JobEnd("Complete", "CompletionsReached", done)
        return None
    spent = indexes.parse(str(status.get("failedIndexes", "")))
    most = fields.get(job, "spec", "maxFailedIndexes")
    if most is not None and len(spent) > int(most):
        message = "Job has exceeded the specified maximal number of failed indexes"
        return JobEnd("Failed", "MaxFailedIndexesExceeded", message)
    if succeeded >= int(completions):
        return JobEnd("Complete", "CompletionsReached", done)
    if spent and succeeded + len(spent) >= int(completions):
        return JobEnd("Failed", "FailedIndexes", "Job has failed indexes")
    return None


def _deadline_in(job: Object, status: Object, now: float) -> float | None:
    limit = fields.get(job, "spec", "activeDeadlineSeconds")
    started = fields.parse(status.get("startTime"))
    if limit is None or not started or fields.get(job, "spec", "suspend", default=False):
        return None
    return max(0.0, started + float(limit) - now)


def _stop(job: Object, active: Sequence[Object]) -> Generator[Any, Any, None]:
    for pod in active:
        yield from pods.delete(JOBS, job, pod)


def _manage(
    job: Object,
    reference: Object,
    mine: Sequence[Object],
    active: Sequence[Object],
    status: Object,
    failed_at: Sequence[float],
    now: float,
) -> Generator[Any, Any, float | None]:
    """Create what is missing, delete what is too much; the seconds until the back-off ends."""
    parallelism = _number(job, "parallelism", 1)
    succeeded = int(status.get("succeeded", 0))
    completions = fields.get(job, "spec", "completions")
    if completions is None:
        wanted = len(active) if succeeded else parallelism
    else:
        wanted = min(parallelism, int(completions) - succeeded)
    wanted = max(0, min(wanted, parallelism))
    for pod in sorted(active, key=pods.sacrifice_order)[: max(0, len(active) - wanted)]:
        yield from pods.delete(JOBS, job, pod)
    leaving = [pod for pod in mine if fields.deleting(pod) and not pods.finished(pod)]
    occupied = len(active)
    if fields.get(job, "spec", "podReplacementPolicy") == "Failed" or _indexed(job):
        occupied += len(leaving)
    missing = wanted - occupied
    if missing <= 0:
        return None
    if (wait := _backoff(failed_at, now)) > 0:
        return wait
    free = iter(_free_indexes(job, mine, status)) if _indexed(job) else None
    for _ in range(missing):
        index = next(free, None) if free is not None else None
        if free is not None and index is None:
            break
        error = yield from pods.create(JOBS, job, _pod(job, reference, index))
        if isinstance(error, ApiError):
            return 5.0
    return None


def _backoff(failed_at: Sequence[float], now: float) -> float:
    """Seconds until the next pod may be made, after so many failures."""
    if not failed_at:
        return 0.0
    delay: float = min(_BACKOFF * 2.0 ** min(len(failed_at) - 1, 10), _BACKOFF_MAX)
    return max(0.0, failed_at[-1] + delay - now)


def _free_indexes(job: Object, mine: Sequence[Object], status: Object) -> list[int]:
    taken = indexes.parse(str(status.get("completedIndexes", "")))
    taken |= indexes.parse(str(status.get("failedIndexes", "")))
    taken |= {indexes.of(pod) for pod in mine if not pods.finished(pod)}
    return [n for n in range(_number(job, "completions", 1)) if n not in taken]


def _pod(job: Object, reference: Object, index: int | None) -> Object:
    name = fields.name(job)
    indexed = index is not None
    notes = {indexes.ANNOTATION: str(index)} if indexed else {}
    pod = pods.from_template(
        fields.get(job, "spec", "template", default={}),
        namespace=fields.namespace(job),
        owner=reference,
        generate=f"{name}-{index}-" if indexed else f"{name}-",
        labels=dict(notes),
        annotations=notes,
        finalizers=(TRACKING,),
    )
    if not indexed:
        return pod
    return {**pod, "spec": indexes.spec(pod["spec"], name, index)}


def _conditions(
    job: Object, end: JobEnd | None, now: float, *, ended: bool, suspended: bool
) -> list[Object]:
    kept: list[Object] = list(fields.get(job, "status", "conditions", default=()))
    if suspended and end is None:
        kept = _put(kept, "Suspended", "True", now, "JobSuspended", "Job suspended")
    elif any(one.get("type") == "Suspended" and one.get("status") == "True" for one in kept):
        kept = _put(kept, "Suspended", "False", now, "JobResumed", "Job resumed")
    if end is None:
        return kept
    first = "SuccessCriteriaMet" if end.kind == "Complete" else "FailureTarget"
    kept = _put(kept, first, "True", now, end.reason, end.message)
    if ended:
        kept = _put(kept, end.kind, "True", now, end.reason, end.message)
    return kept


def _put(
    kept: Sequence[Object], kind: str, value: str, now: float, reason: str, message: str
) -> list[Object]:
    old = next((one for one in kept if one.get("type") == kind), None)
    if old is not None and old.get("status") == value:
        return list(kept)
    stamp = fields.stamp(now)
    new = {
        "type": kind,
        "status": value,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }
    return [*(one for one in kept if one is not old), new]


def _announce(
    job: Object, end: JobEnd | None, *, ended: bool, suspended: bool
) -> Generator[Tell, Any, None]:
    before = fields.condition(job, "Suspended")
    was = before is not None and before.get("status") == "True"
    if suspended and not was and end is None:
        yield Tell(JOBS, job, "Normal", "Suspended", "Job suspended")
    elif was and not suspended:
        yield Tell(JOBS, job, "Normal", "Resumed", "Job resumed")
    if end is None or not ended:
        return
    if end.kind == "Complete":
        yield Tell(JOBS, job, "Normal", "Completed", "Job completed")
    else:
        yield Tell(JOBS, job, "Warning", end.reason, end.message)


def _afterlife(view: View, job: Object, now: float) -> Steps:
    """Release what is left, and delete the Job when its time to live has passed."""
    for pod in view.list(PODS, fields.namespace(job), owner=fields.uid(job)):
        yield from _release(pod)
    limit = fields.get(job, "spec", "ttlSecondsAfterFinished")
    if limit is None or fields.deleting(job):
        return None
    end = fields.condition(job, "Complete") or fields.condition(job, "Failed")
    left = fields.parse(fields.get(end, "lastTransitionTime")) + float(limit) - now
    if left > 0:
        return left
    yield Delete(JOBS, job, "Foreground")
    return None
