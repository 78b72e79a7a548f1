"""Pods and their containers, as a table: what is reported in, verdict and rule out."""

from typing import Any

import pytest

from tests.builders import k8s
from tests.builders.k8s import back_off, box, condition, ended, event, pod, running, waiting
from tests.core.health.judging import Json, judge
from tiltd.core.health import Reference
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Limits, Verdict

OWNER = k8s.replica_set(k8s.deployment())
JOB = k8s.job()
NOT_FOUND = 'failed to resolve reference "example.com/main:1": example.com/main:1: not found'
UNSCHEDULABLE = condition(
    "PodScheduled",
    "False",
    reason="Unschedulable",
    message="0/1 nodes are available: 1 Insufficient cpu. preemption: not helpful.",
    at=100,
)


def lonely(*conditions: Json, **more: Any) -> Json:
    return pod(box(), node=None, conditions=conditions, made=100, **more)


@pytest.mark.parametrize(
    ("reported", "verdict", "rule"),
    [
        pytest.param(pod(box(running(90))), Verdict.HEALTHY, "pod.ready", id="up for long enough"),
        pytest.param(pod(box(running(97))), Verdict.PROGRESSING, "pod.stabilising", id="just up"),
        pytest.param(pod(box()), Verdict.PROGRESSING, "pod.not-ready", id="nothing reported yet"),
        pytest.param(
            pod(box(ended(0)), phase="Succeeded", policy="Never"),
            Verdict.HEALTHY,
            "pod.succeeded",
            id="completed",
        ),
        pytest.param(
            pod(box(ended(1)), phase="Failed", policy="Never"),
            Verdict.FAILED,
            "pod.failed",
            id="nobody restarts a bare pod that is never restarted",
        ),
        pytest.param(
            pod(box(ended(1)), policy="Never"),
            Verdict.FAILED,
            "pod.failed",
            id="the same, before the kubelet has set the phase",
        ),
        pytest.param(
            pod(box(ended(1)), phase="Failed", policy="Never", owner=JOB),
            Verdict.FAILING,
            "pod.failed",
            id="a Job counts its failures itself",
        ),
        pytest.param(
            pod(phase="Failed", reason="Evicted", message="low on memory", owner=OWNER),
            Verdict.PROGRESSING,
            "pod.disrupted",
            id="evicted, to be replaced",
        ),
        pytest.param(
            pod(phase="Failed", reason="Evicted", message="low on memory"),
            Verdict.FAILED,
            "pod.disrupted",
            id="evicted, replaced by nobody",
        ),
        pytest.param(
            pod(
                box(running(0)),
                owner=OWNER,
                conditions=[condition("DisruptionTarget", reason="PreemptionByScheduler")],
            ),
            Verdict.PROGRESSING,
            "pod.disrupted",
            id="being preempted",
        ),
        pytest.param(
            pod(box(running(0)), phase="Unknown", reason="NodeLost", owner=OWNER),
            Verdict.PROGRESSING,
            "pod.disrupted",
            id="node lost",
        ),
        pytest.param(lonely(), Verdict.PROGRESSING, "pod.scheduling", id="not looked at yet"),
        pytest.param(
            lonely(condition("PodScheduled", "False", reason="SchedulingGated")),
            Verdict.PROGRESSING,
            "pod.scheduling",
            id="held by a scheduling gate",
        ),
        pytest.param(
            lonely(UNSCHEDULABLE), Verdict.FAILING, "pod.unschedulable", id="fits nowhere yet"
        ),
        pytest.param(pod(box(ended(3))), Verdict.FAILING, "pod.crash-loop", id="first crash"),
        pytest.param(
            pod(box(ended(0))),
            Verdict.FAILING,
            "pod.crash-loop",
            id="exit 0 of what must keep running",
        ),
        pytest.param(
            pod(box(back_off(), restarts=1, last=ended(3))),
            Verdict.FAILING,
            "pod.crash-loop",
            id="a restart of the budget is left",
        ),
        pytest.param(
            pod(box(back_off("40s"), restarts=3, last=ended(3))),
            Verdict.FAILED,
            "pod.crash-loop",
            id="restarts over the budget",
        ),
        pytest.param(
            pod(box(running(0), restarts=3, last=ended(3))),
            Verdict.FAILED,
            "pod.crash-loop",
            id="over the budget, though it runs at this very moment",
        ),
        pytest.param(
            pod(box(running(90), restarts=2, last=ended(3))),
            Verdict.HEALTHY,
            "pod.ready",
            id="recovered within the budget",
        ),
        pytest.param(
            pod(box(ended(0)), box(running(0), name="side"), policy="OnFailure"),
            Verdict.PROGRESSING,
            "pod.not-ready",
            id="one main container is done, as its policy allows",
        ),
        pytest.param(
            pod(box(waiting("PodInitializing")), init=[box(running(0), name="init", ready=False)]),
            Verdict.PROGRESSING,
            "init.running",
            id="init container at work",
        ),
        pytest.param(
            pod(box(waiting("PodInitializing")), init=[box(back_off(), name="init", restarts=3)]),
            Verdict.FAILED,
            "pod.crash-loop",
            id="init container over its budget",
        ),
        pytest.param(
            pod(box(running(0)), init=[box(ended(0), name="init")]),
            Verdict.HEALTHY,
            "pod.ready",
            id="init container done",
        ),
        pytest.param(
            pod(
                box(running(0)),
                init=[box(ended(0), name="proxy", restartPolicy="Always")],
            ),
            Verdict.FAILING,
            "pod.crash-loop",
            id="native sidecar ended",
        ),
        pytest.param(
            pod(
                box(ended(0)),
                init=[box(ended(143), name="proxy", restartPolicy="Always")],
                policy="Never",
            ),
            Verdict.PROGRESSING,
            "pod.not-ready",
            id="native sidecar ended after all else has",
        ),
        pytest.param(
            pod(
                box(waiting("PodInitializing")),
                init=[
                    box(
                        running(0),
                        name="proxy",
                        restartPolicy="Always",
                        startupProbe={},
                        started=False,
                        ready=False,
                    )
                ],
            ),
            Verdict.PROGRESSING,
            "pod.startup-probe",
            id="native sidecar not started, which holds back the rest",
        ),
        pytest.param(
            pod(box(waiting("ErrImagePull", NOT_FOUND))),
            Verdict.FAILED,
            "image.not-found",
            id="no such image",
        ),
        pytest.param(
            pod(box(waiting("ErrImagePull", "pull QPS exceeded"))),
            Verdict.FAILING,
            "image.throttled",
            id="pull throttled",
        ),
        pytest.param(
            pod(box(waiting("RegistryUnavailable", "registry is unavailable"))),
            Verdict.FAILING,
            "image.unreachable",
            id="registry unavailable",
        ),
        pytest.param(
            pod(box(waiting("ImagePullBackOff", 'Back-off pulling image "example.com/main:1"'))),
            Verdict.FAILING,
            "image.failed",
            id="back-off that doesn't say why, and no event that does",
        ),
        pytest.param(
            pod(box(waiting("InvalidImageName", "invalid reference format"))),
            Verdict.FAILED,
            "image.invalid-reference",
            id="invalid name",
        ),
        pytest.param(
            pod(box(waiting("ErrImageNeverPull", "not present"))),
            Verdict.FAILED,
            "image.never-pull",
            id="never to be pulled",
        ),
        pytest.param(
            pod(
                box(
                    waiting(
                        "RunContainerError", "exec: no-such: executable file not found in $PATH"
                    )
                )
            ),
            Verdict.FAILED,
            "pod.start",
            id="cannot be run",
        ),
        pytest.param(
            pod(box(back_off(), restarts=1, last=ended(128, reason="StartError"))),
            Verdict.FAILED,
            "pod.start",
            id="cannot be run, seen while backing off",
        ),
        pytest.param(
            pod(box(ended(128, reason="StartError")), owner=JOB, policy="Never"),
            Verdict.FAILED,
            "pod.start",
            id="cannot be run, and a Job's retries won't change that",
        ),
        pytest.param(
            pod(box(waiting("CreateContainerError", "context deadline exceeded"))),
            Verdict.FAILING,
            "pod.start",
            id="a runtime that was too slow is asked again",
        ),
        pytest.param(
            pod(box(waiting("CreateContainerConfigError", 'configmap "settings" not found'))),
            Verdict.FAILING,
            "pod.config",
            id="config map missing, first seen",
        ),
        pytest.param(
            pod(
                box(
                    waiting(
                        "CreateContainerConfigError",
                        "container has runAsNonRoot and image will run as root",
                    )
                )
            ),
            Verdict.FAILED,
            "pod.config",
            id="root where it is forbidden: no object to wait for",
        ),
        pytest.param(
            pod(box(running(0), ready=False)),
            Verdict.PROGRESSING,
            "pod.readiness-probe",
            id="up, not ready",
        ),
        pytest.param(
            pod(
                box(running(90)),
                conditions=[condition("Ready", "False", reason="ReadinessGatesNotReady")],
            ),
            Verdict.PROGRESSING,
            "pod.not-ready",
            id="containers ready, a readiness gate is not",
        ),
        pytest.param(
            pod(box(running(90)), deleted=95), Verdict.PROGRESSING, "object.deleting", id="leaving"
        ),
    ],
)
def test_pod(reported: Json, verdict: Verdict, rule: str) -> None:
    found = judge(reported, 101)
    assert (found.verdict, found.worst.rule) == (verdict, rule)


def test_a_crash_loop_is_told_with_exit_code_count_and_chain() -> None:
    last = ended(137, reason="OOMKilled", at=80)
    limits = {"limits": {"memory": "64Mi"}}
    worst = judge(pod(box(back_off(), restarts=3, last=last, resources=limits))).worst
    assert (worst.exit_code, worst.signal, worst.reason) == (137, 9, "OOMKilled")
    assert worst.observed == "restarts 3 of 2"
    assert worst.path == "Pod/web-1 → container main"
    assert worst.message == (
        "The container main of pod web-1: killed for using more memory than it may, "
        "exit code 137 (SIGKILL), 3 restarts so far"
    )
    assert "64Mi" in worst.hint


def test_a_limit_is_named_also_where_the_runtime_missed_who_killed() -> None:
    limited = box(
        back_off(), last=ended(137, reason="Error"), resources={"limits": {"memory": "64Mi"}}
    )
    assert "its limit is 64Mi" in judge(pod(limited)).worst.hint
    assert "a limit" in judge(pod(box(back_off(), last=ended(137)))).worst.hint


@pytest.mark.parametrize(
    ("reported", "verdict", "observed"),
    [
        pytest.param(
            box(ended(1), restarts=2), Verdict.FAILED, "restarts 2 of 2, and down again", id="exit"
        ),
        pytest.param(
            box(back_off(), restarts=2, last=ended(1)),
            Verdict.FAILED,
            "restarts 2 of 2, and down again",
            id="back-off",
        ),
        pytest.param(
            box(back_off(), restarts=1, last=ended(1)),
            Verdict.FAILING,
            "restarts 1 of 2",
            id="one left",
        ),
        pytest.param(
            box(running(0), restarts=3, last=ended(1)), Verdict.FAILED, "restarts 3 of 2", id="over"
        ),
    ],
)
def test_who_is_down_after_the_last_restart_of_the_budget_has_failed_without_one_more(
    reported: tuple[Json, Json], verdict: Verdict, observed: str
) -> None:
    worst = judge(pod(reported)).worst
    assert (worst.verdict, worst.observed) == (verdict, observed)


@pytest.mark.parametrize(
    ("reported", "life"),
    [
        pytest.param(box(ended(1)), 0, id="the first"),
        pytest.param(box(back_off(), restarts=2, last=ended(1)), 2, id="waits for the next"),
        pytest.param(box(running(0), restarts=3, last=ended(1)), 2, id="the next one runs"),
        pytest.param(box(ended(1), restarts=3, last=ended(1)), 3, id="that has crashed, too"),
    ],
)
def test_a_crash_is_told_with_the_life_that_it_ended(
    reported: tuple[Json, Json], life: int
) -> None:
    assert judge(pod(reported)).worst.life == life


def test_the_last_restart_of_the_budget_may_succeed() -> None:
    assert judge(pod(box(running(0), restarts=2, last=ended(1)))).verdict is Verdict.HEALTHY


def test_what_a_program_said_last_is_part_of_the_sentence() -> None:
    last = ended(1, message="starting\nexec /app: exec format error\n")
    worst = judge(pod(box(back_off(), restarts=1, last=last))).worst
    assert worst.message.endswith("exec /app: exec format error")
    assert "architecture" in worst.hint


def test_a_kill_by_the_liveness_probe_is_a_crash_in_the_probe_s_words() -> None:
    web = pod(box(back_off(), restarts=1, last=ended(137, at=80)))
    events = [
        event(
            web,
            "Unhealthy",
            "Liveness probe failed: HTTP probe failed with statuscode: 404",
            at=79,
            container="main",
        ),
        event(
            web,
            "Killing",
            "Container main failed liveness probe, will be restarted",
            at=79,
            container="main",
        ),
    ]
    worst = judge(web, events=events).worst
    assert worst.verdict is Verdict.FAILING
    assert "killed because its liveness probe failed" in worst.message
    assert "statuscode: 404" in worst.message
    assert worst.hint == "the server answers but doesn't know the probe's path"


def test_an_unready_container_is_told_in_its_probe_s_newest_words() -> None:
    web = pod(box(running(50), ready=False))
    refused = "Readiness probe failed: dial tcp 10.0.0.2:9: connect: connection refused"
    events = [
        event(web, "Unhealthy", "Readiness probe failed: old", at=40, container="main"),
        event(web, "Unhealthy", refused, at=60, container="main"),
        event(web, "Unhealthy", "Readiness probe failed: other", at=70, container="side"),
    ]
    worst = judge(web, events=events).worst
    assert worst.message.endswith(
        "doesn't pass yet: dial tcp 10.0.0.2:9: connect: connection refused"
    )
    assert "nothing listens there" in worst.hint


def test_a_probe_s_words_about_an_earlier_instance_are_not_repeated() -> None:
    web = pod(box(running(50), ready=False, restarts=1))
    old = event(web, "Unhealthy", "Readiness probe failed: old", at=40, container="main")
    assert judge(web, events=[old]).worst.message.endswith("doesn't pass yet")


def test_a_pull_back_off_takes_its_cause_from_the_event() -> None:
    web = pod(box(waiting("ImagePullBackOff", 'Back-off pulling image "example.com/main:1"')))
    words = f'Failed to pull image "example.com/main:1": {NOT_FOUND}'
    worst = judge(web, events=[event(web, "Failed", words, at=20, container="main")]).worst
    assert (worst.verdict, worst.rule) == (Verdict.FAILED, "image.not-found")


@pytest.mark.parametrize(
    ("now", "verdict", "observed"),
    [
        pytest.param(101, Verdict.FAILING, "unschedulable 1s of 30s", id="within the grace"),
        pytest.param(131, Verdict.FAILED, "unschedulable 31s of 30s", id="after it"),
    ],
)
def test_a_pod_that_fits_nowhere_has_a_grace(now: float, verdict: Verdict, observed: str) -> None:
    worst = judge(lonely(UNSCHEDULABLE), now).worst
    assert (worst.verdict, worst.observed) == (verdict, observed)
    assert worst.until == (k8s.T0 + 130 if verdict is Verdict.FAILING else None)
    assert "enough cpu left" in worst.hint


def test_a_node_that_is_being_added_takes_the_grace_away_until_it_is_not() -> None:
    web = lonely(UNSCHEDULABLE)
    grows = event(web, "TriggeredScaleUp", "pod triggered scale-up", at=110, warning=False)
    gives_up = event(web, "NotTriggerScaleUp", "max limit reached", at=120, warning=False)
    assert judge(web, 200, events=[grows]).verdict is Verdict.PROGRESSING
    assert judge(web, 200, events=[grows, gives_up]).verdict is Verdict.FAILED


def test_a_grace_begins_anew_with_each_apply() -> None:
    assert judge(lonely(UNSCHEDULABLE), 220, applied=200).verdict is Verdict.FAILING
    assert judge(lonely(UNSCHEDULABLE), 230, applied=200).verdict is Verdict.FAILED


SETTINGS = Reference("configmap", "default", "settings")
UNCONFIGURED = pod(box(waiting("CreateContainerConfigError", 'configmap "settings" not found')))
UNCONFIGURED_SINCE = event(UNCONFIGURED, "Failed", "Error", at=90, first=10, container="main")


def test_a_missing_config_map_has_the_grace_from_its_first_event() -> None:
    assert judge(UNCONFIGURED, 39, events=[UNCONFIGURED_SINCE]).verdict is Verdict.FAILING
    assert judge(UNCONFIGURED, 41, events=[UNCONFIGURED_SINCE]).verdict is Verdict.FAILED


def test_what_this_run_is_about_to_apply_does_not_count_as_missing() -> None:
    found = judge(UNCONFIGURED, 90, events=[UNCONFIGURED_SINCE], pending=[SETTINGS])
    assert found.verdict is Verdict.PROGRESSING
    other = Reference("secret", "default", "settings")
    found = judge(UNCONFIGURED, 90, events=[UNCONFIGURED_SINCE], pending=[other])
    assert found.verdict is Verdict.FAILED


def test_once_it_is_applied_its_absence_counts_from_then() -> None:
    brought = {SETTINGS: 80.0}
    assert judge(UNCONFIGURED, 90, events=[UNCONFIGURED_SINCE], brought=brought).worst.until == (
        k8s.T0 + 110
    )
    found = judge(UNCONFIGURED, 111, events=[UNCONFIGURED_SINCE], brought=brought)
    assert found.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("message", "part"),
    [
        pytest.param(
            "couldn't find key COLOR in ConfigMap default/settings", "add the key COLOR", id="key"
        ),
        pytest.param('secret "token" not found', "add the object to the Tiltfile", id="secret"),
    ],
)
def test_a_missing_object_or_key_comes_with_advice(message: str, part: str) -> None:
    found = judge(pod(box(waiting("CreateContainerConfigError", message))))
    assert part in found.worst.hint


CREATING = pod(box(waiting("ContainerCreating")))


def mount_failure(words: str, at: float = 60) -> Json:
    return event(
        CREATING, "FailedMount", f'MountVolume.SetUp failed for volume "v" : {words}', at=at
    )


NO_HANDLER = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: "
    'no runtime for "fast" is configured'
)


@pytest.mark.parametrize(
    ("events", "now", "verdict", "rule"),
    [
        pytest.param([], 100, Verdict.PROGRESSING, "pod.not-ready", id="nothing wrong"),
        pytest.param(
            [mount_failure('configmap "settings" not found')],
            80,
            Verdict.FAILING,
            "pod.mount",
            id="missing, within the grace",
        ),
        pytest.param(
            [mount_failure('configmap "settings" not found')],
            100,
            Verdict.FAILED,
            "pod.mount",
            id="missing, after it",
        ),
        pytest.param(
            [
                mount_failure('secret "token" not found'),
                event(CREATING, "FailedMount", "Unable to attach or mount volumes", at=99),
            ],
            100,
            Verdict.FAILED,
            "pod.mount",
            id="the summary of all volumes hides nothing",
        ),
        pytest.param(
            [mount_failure("timed out waiting for the condition")],
            200,
            Verdict.FAILING,
            "pod.mount",
            id="slow, but nothing is missing",
        ),
        pytest.param(
            [mount_failure('configmap "kube-root-ca.crt" not found')],
            100,
            Verdict.PROGRESSING,
            "pod.mount",
            id="the cluster itself is about to bring it",
        ),
        pytest.param(
            [
                mount_failure('configmap "settings" not found'),
                event(CREATING, "Pulling", "Pulling image", at=61, container="main", warning=False),
            ],
            100,
            Verdict.PROGRESSING,
            "pod.not-ready",
            id="mounted since",
        ),
        pytest.param(
            [event(CREATING, "FailedCreatePodSandBox", "cni plugin not initialized", at=60)],
            100,
            Verdict.FAILING,
            "pod.sandbox",
            id="no network yet",
        ),
        pytest.param(
            [event(CREATING, "FailedCreatePodSandBox", NO_HANDLER, at=60)],
            80,
            Verdict.FAILING,
            "pod.sandbox",
            id="no such handler, within the grace",
        ),
        pytest.param(
            [event(CREATING, "FailedCreatePodSandBox", NO_HANDLER, at=60)],
            100,
            Verdict.FAILED,
            "pod.sandbox",
            id="no such handler, after it",
        ),
    ],
)
def test_volumes_and_sandbox(events: list[Json], now: float, verdict: Verdict, rule: str) -> None:
    found = judge(CREATING, now, events=events)
    assert (found.verdict, found.worst.rule) == (verdict, rule)


@pytest.mark.parametrize(
    "words", [NO_HANDLER, "failed to find runtime handler fast from runtime list map[crun:0xc0]"]
)
def test_a_handler_that_the_node_lacks_is_named(words: str) -> None:
    failure = event(CREATING, "FailedCreatePodSandBox", words, at=60)
    assert (
        "the handler 'fast' of its RuntimeClass"
        in judge(CREATING, 100, events=[failure]).worst.hint
    )


@pytest.mark.parametrize(
    ("reported", "readiness", "verdict"),
    [
        pytest.param(
            pod(box(running(0))), PodReadiness.SUCCEEDED, Verdict.PROGRESSING, id="must complete"
        ),
        pytest.param(
            pod(box(ended(0)), phase="Succeeded"),
            PodReadiness.SUCCEEDED,
            Verdict.HEALTHY,
            id="completed",
        ),
        pytest.param(
            pod(box(back_off(), restarts=9)), PodReadiness.IGNORE, Verdict.HEALTHY, id="ignored"
        ),
    ],
)
def test_pod_readiness(reported: Json, readiness: PodReadiness, verdict: Verdict) -> None:
    assert judge(reported, readiness=readiness).verdict is verdict


def test_stability_counts_from_the_container_s_own_start_and_says_when_it_ends() -> None:
    worst = judge(pod(box(running(97)))).worst
    # 97 is cut to the second: it may have been 97.99.
    assert worst.until == k8s.T0 + 103
    assert worst.observed == "up 2s of 5s"
    assert judge(pod(box(running(97))), 103).verdict is Verdict.HEALTHY


def test_the_youngest_main_container_decides_about_stability() -> None:
    web = pod(box(running(10)), box(running(98), name="late"))
    assert judge(web).worst.object.container == "late"


def test_recovered_restarts_are_a_warning() -> None:
    found = judge(pod(box(running(90), restarts=1, last=ended(1))))
    assert found.warnings == (
        "the container main of pod web-1 was restarted once (Error) before it stayed up",
    )


def test_the_tolerance_keeps_a_failure_open_until_its_end() -> None:
    web = pod(box(waiting("ErrImagePull", NOT_FOUND)), made=50)
    limits = Limits(tolerate=20)
    assert judge(web, 69, limits=limits).worst.until == k8s.T0 + 70
    assert judge(web, 69, limits=limits).verdict is Verdict.FAILING
    assert judge(web, 70, limits=limits).verdict is Verdict.FAILED


def test_evidence_from_before_this_run_s_changes_proves_nothing() -> None:
    web = pod(box(waiting("ErrImagePull", NOT_FOUND)))
    words = f'Failed to pull image "example.com/main:1": {NOT_FOUND}'
    old = event(web, "Failed", words, at=20, container="main")
    new = event(web, "Failed", words, at=99, container="main")
    assert judge(web, events=[old], changed=90).verdict is Verdict.FAILING
    assert judge(web, events=[old, new], changed=90).verdict is Verdict.FAILED


def test_the_cluster_s_clock_may_differ() -> None:
    web = pod(box(running(1097)))
    assert judge(web, 100, skew=1000).worst.until == k8s.T0 + 103
