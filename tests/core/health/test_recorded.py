"""The rules against what a real cluster (Kubernetes 1.36) has reported; see `record`."""

import json
from typing import Any

import pytest

from tests.core.health.record import CASES, DATA
from tiltd.core.health import Clock, Context, Objects, Scope, assess_object, observe
from tiltd.model.health import Assessment, Limits, Memory, Verdict

Json = dict[str, Any]


def judge(case: str, later: float = 0.0) -> Assessment:
    """The verdict `later` seconds after the recording, had nothing happened since."""
    seen: Json = json.loads((DATA / f"{case}.json").read_text())
    clock = Clock(seen["now"] + later)
    pods = [item for item in seen["items"] if item["kind"] == "Pod"]
    began: float = seen["began"]
    memory = observe(Memory(), pods, Clock(seen["now"]), began_at=began)
    context = Context(applied_at=began, memory=memory)
    objects = Objects(tuple(seen["items"]), tuple(seen["events"]))
    return assess_object(seen["object"], Scope(objects, clock, Limits(), context))


EXPECTED = [
    pytest.param("healthy", 10, Verdict.HEALTHY, "workload.replicas", "1 of 1", id="healthy"),
    pytest.param(
        "stateful-set", 10, Verdict.HEALTHY, "workload.replicas", "1 of 1", id="StatefulSet"
    ),
    pytest.param("daemon-set", 10, Verdict.HEALTHY, "workload.replicas", "1 of 1", id="DaemonSet"),
    pytest.param("crash-loop", 0, Verdict.FAILED, "pod.crash-loop", "exit code 3", id="crash loop"),
    pytest.param(
        "exits-cleanly", 0, Verdict.FAILED, "pod.crash-loop", "must keep running", id="exit 0"
    ),
    pytest.param(
        "init-crash",
        0,
        Verdict.FAILED,
        "pod.crash-loop",
        "init container prepare",
        id="init crash",
    ),
    pytest.param(
        "image-not-found",
        0,
        Verdict.FAILED,
        "image.not-found",
        "localhost:5000/no/such:1",
        id="no image",
    ),
    pytest.param(
        "image-registry-away",
        0,
        Verdict.FAILING,
        "image.unreachable",
        "connection refused",
        id="registry away",
    ),
    pytest.param(
        "image-invalid", 0, Verdict.FAILED, "image.invalid-reference", "UPPER", id="invalid image"
    ),
    pytest.param(
        "config-missing", 0, Verdict.FAILING, "pod.config", "absent", id="config, at first"
    ),
    pytest.param("config-missing", 31, Verdict.FAILED, "pod.config", "absent", id="config, later"),
    pytest.param(
        "config-root", 0, Verdict.FAILED, "pod.config", "runAsNonRoot", id="root forbidden"
    ),
    pytest.param("mount-missing", 0, Verdict.FAILING, "pod.mount", "absent", id="mount, at first"),
    pytest.param("mount-missing", 31, Verdict.FAILED, "pod.mount", "absent", id="mount, later"),
    pytest.param(
        "unschedulable", 0, Verdict.FAILING, "pod.unschedulable", "Insufficient cpu", id="no node"
    ),
    pytest.param(
        "unschedulable",
        31,
        Verdict.FAILED,
        "pod.unschedulable",
        "Insufficient cpu",
        id="still no node",
    ),
    pytest.param(
        "no-service-account",
        31,
        Verdict.FAILED,
        "workload.create-failed",
        "absent",
        id="no account",
    ),
    pytest.param(
        "out-of-memory", 0, Verdict.FAILED, "pod.crash-loop", "more memory than it may", id="OOM"
    ),
    pytest.param(
        "liveness",
        0,
        Verdict.FAILED,
        "pod.crash-loop",
        "its liveness probe failed",
        id="liveness kill",
    ),
    pytest.param(
        "readiness", 0, Verdict.PROGRESSING, "pod.readiness-probe", "refused", id="never ready"
    ),
    pytest.param(
        "readiness",
        300,
        Verdict.FAILED,
        "readiness.deadline",
        "refused",
        id="never ready, deadline",
    ),
    pytest.param("start-error", 0, Verdict.FAILED, "pod.start", "no-such-program", id="no program"),
    pytest.param("job-failed", 0, Verdict.FAILED, "job.failed", "exit code 5", id="Job failed"),
    pytest.param(
        "job-complete", 0, Verdict.HEALTHY, "job.complete", "completed", id="Job complete"
    ),
    pytest.param(
        "claim-unprovisioned", 31, Verdict.FAILED, "claim.provisioning", "nowhere", id="no class"
    ),
]


@pytest.mark.parametrize(("case", "later", "verdict", "rule", "part"), EXPECTED)
def test_recorded(case: str, later: float, verdict: Verdict, rule: str, part: str) -> None:
    worst = judge(case, later).worst
    assert (worst.verdict, worst.rule) == (verdict, rule)
    assert part in worst.message


def test_every_recording_is_judged() -> None:
    judged = {str(case.values[0]) for case in EXPECTED}
    assert judged == set(CASES) == {path.stem for path in DATA.glob("*.json")}


@pytest.mark.parametrize(
    ("case", "part"),
    [
        pytest.param("out-of-memory", "its limit is 16Mi", id="the limit"),
        pytest.param("image-not-found", "typing errors", id="the name"),
        pytest.param("unschedulable", "enough cpu left", id="the resource"),
        pytest.param("start-error", "no such program on its PATH", id="the program"),
        pytest.param("readiness", "nothing listens there", id="the port"),
        pytest.param("config-root", "numeric USER", id="the user"),
        pytest.param("claim-unprovisioned", "no StorageClass nowhere", id="the class"),
    ],
)
def test_a_recorded_failure_comes_with_advice(case: str, part: str) -> None:
    assert part in judge(case).worst.hint
