"""`podFailurePolicy` and `successPolicy` of a Job."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilt_cluster import fields
from tilt_cluster.controllers import indexes, pods
from tilt_cluster.controllers.plan import JobEnd
from tilt_cluster.objects import Object


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the failure policy says: how the Job ends, and the uids of failures that don't count."""

    end: JobEnd | None
    ignored: frozenset[str]


def judge(job: Object, mine: Sequence[Object]) -> Judgement:
    """Apply `spec.podFailurePolicy` to the pods that failed."""
    rules: Sequence[Object] = fields.get(job, "spec", "podFailurePolicy", "rules", default=())
    ignored: set[str] = set()
    for pod in mine:
        if pods.phase(pod) != "Failed":
            continue
        for number, rule in enumerate(rules):
            message = _matches(rule, pod, number)
            if message is None:
                continue
            if rule["action"] == "FailJob":
                return Judgement(JobEnd("Failed", "PodFailurePolicy", message), frozenset(ignored))
            if rule["action"] == "Ignore":
                ignored.add(fields.uid(pod))
            break
    return Judgement(None, frozenset(ignored))


def _matches(rule: Object, pod: Object, number: int) -> str | None:
    """The message of the Job's condition, if the rule matches the pod."""
    full = f"{fields.namespace(pod)}/{fields.name(pod)}"
    codes = rule.get("onExitCodes")
    if codes:
        statuses: Sequence[Object] = [
            *fields.get(pod, "status", "containerStatuses", default=()),
            *fields.get(pod, "status", "initContainerStatuses", default=()),
        ]
        for one in statuses:
            code = fields.get(one, "state", "terminated", "exitCode", default=0)
            named = codes.get("containerName") in (None, one.get("name"))
            if code and named and (code in codes["values"]) == (codes["operator"] == "In"):
                return (
                    f"Container {one.get('name')} for pod {full} failed with exit code {code} "
                    f"matching {rule['action']} rule at index {number}"
                )
    for wanted in rule.get("onPodConditions") or ():
        found = fields.condition(pod, str(wanted["type"]))
        if found is not None and found.get("status") == wanted.get("status", "True"):
            return (
                f"Pod {full} has condition {wanted['type']} matching {rule['action']} rule "
                f"at index {number}"
            )
    return None


def success(job: Object, done: set[int | None]) -> str | None:
    """The message with which `spec.successPolicy` ends the Job, if it is met."""
    rules: Sequence[Object] = fields.get(job, "spec", "successPolicy", "rules", default=())
    for number, rule in enumerate(rules):
        listed = rule.get("succeededIndexes")
        considered = done & indexes.parse(str(listed)) if listed else done
        count = rule.get("succeededCount")
        needed = int(count) if count is not None else len(indexes.parse(str(listed or "")))
        if len(considered) >= needed:
            return f"Matched rules at index {number}"
    return None
