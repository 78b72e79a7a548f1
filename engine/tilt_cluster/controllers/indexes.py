"""The indexes of an Indexed Job: written as `0-2,5`, and how a pod learns its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from tilt_cluster import fields
from tilt_cluster.objects import Object

ANNOTATION = "batch.kubernetes.io/job-completion-index"


def parse(text: str) -> set[int | None]:
    """The numbers of a list of ranges."""
    found: set[int | None] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def show(numbers: Iterable[int | None]) -> str:
    """Numbers as a list of ranges."""
    ranges: list[list[int]] = []
    for number in sorted(one for one in numbers if one is not None):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def of(pod: Object) -> int | None:
    """The index of a pod."""
    text = fields.annotations(pod).get(ANNOTATION, "")
    return int(text) if text.isdigit() else None


def spec(of_pod: Mapping[str, Any], job: str, index: int | None) -> dict[str, Any]:
    """The spec of the pod with an index: its hostname, and JOB_COMPLETION_INDEX for all."""
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{ANNOTATION}']"}},
    }
    result: dict[str, Any] = {**of_pod, "hostname": f"{job}-{index}"}
    for group in ("containers", "initContainers"):
        if of_pod.get(group):
            result[group] = [
                {**one, "env": [*(one.get("env") or ()), variable]} for one in of_pod[group]
            ]
    return result
