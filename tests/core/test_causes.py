"""What has one cause is told once, and what has two is told twice."""

import pytest

from tiltd.core import causes
from tiltd.core.causes import Failure
from tiltd.model.health import Finding, ObjectRef, Verdict
from tiltd.model.names import ResourceName
from tiltd.model.problems import Code, Problem

NOT_FOUND = "The image {image} of container main does not exist in its registry: not found"
AWAY = "The image {image} of container main could not be pulled: connection refused"


def about(resource: str, rule: str, message: str, *, container: str = "main") -> Failure:
    chain = (
        ObjectRef("Deployment", "shop", resource),
        ObjectRef("Pod", "shop", f"{resource}-x1"),
        ObjectRef("Pod", "shop", f"{resource}-x1", container=container),
    )
    finding = Finding(Verdict.FAILED, rule, chain, message=message)
    return causes.found(finding, ResourceName(resource))


def work(code: Code, message: str, *resources: str) -> Failure:
    names = tuple(ResourceName(name) for name in resources)
    return Failure(Problem(code, message), names, f"work.{code.value}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            about("a", "image.not-found", NOT_FOUND.format(image="x:1")),
            about("b", "image.not-found", NOT_FOUND.format(image="x:1")),
            id="image",
        ),
        pytest.param(
            about("a", "image.unreachable", AWAY.format(image="reg.io:5000/x:1")),
            about("b", "image.unreachable", AWAY.format(image="reg.io:5000/y:2")),
            id="registry",
        ),
        pytest.param(
            about("a", "image.no-space", "The image x of main: no space left on device"),
            about("b", "image.no-space", "The image y of main: no space left on device"),
            id="disk of the node",
        ),
        pytest.param(
            about("a", "readiness.deadline", "Not ready in time: " + AWAY.format(image="reg.io/x")),
            about("b", "readiness.deadline", "Not ready in time: " + AWAY.format(image="reg.io/y")),
            id="registry, too late",
        ),
        pytest.param(
            about("a", "pod.config", 'Pod a cannot be configured: configmap "conf" not found'),
            about("b", "pod.mount", 'Pod b cannot mount a volume: configmap "conf" not found'),
            id="config map",
        ),
        pytest.param(
            about("a", "pod.unschedulable", "Pod a-1 fits no node: 0/1 nodes: Insufficient cpu"),
            about("b", "pod.unschedulable", "Pod b-7 fits no node: 0/1 nodes: Insufficient cpu"),
            id="node",
        ),
        pytest.param(
            about("a", "workload.create-failed", 'pods "a-1" is forbidden: exceeded quota: few, x'),
            work(Code.APPLY, 'Pod/b: pods "b" is forbidden: exceeded quota: few, y', "b"),
            id="quota",
        ),
        pytest.param(
            work(Code.APPLY, 'A/a: admission webhook "no.io" denied the request: a', "a"),
            work(Code.APPLY, 'B/b: admission webhook "no.io" denied the request: b', "b"),
            id="webhook",
        ),
        pytest.param(
            work(Code.BUILD, "building a failed: the base image gone:1 does not exist, or", "a"),
            work(Code.BUILD, "building b failed: the base image gone:1 does not exist, or", "b"),
            id="base image",
        ),
        pytest.param(
            work(Code.PUSH, "pushing a to reg.io/a:1 failed: denied", "a"),
            work(Code.PUSH, "pushing b to reg.io/b:1 failed: denied", "b"),
            id="push",
        ),
        pytest.param(
            work(Code.APPLY, "X/a: the cluster knows no X in x.io/v1", "a"),
            work(Code.APPLY, "X/b: the cluster knows no X in x.io/v1", "b"),
            id="unknown kind",
        ),
        pytest.param(
            about("a", "pod.crash-loop", "The container main of pod a-1 crashed"),
            about("a", "pod.crash-loop", "The container main of pod a-2 crashed"),
            id="replicas",
        ),
    ],
)
def test_one_cause_is_one_problem(one: Failure, other: Failure) -> None:
    (problem,) = causes.grouped((one, other))
    named = dict.fromkeys([*one.resources, *other.resources])
    assert problem.resources == tuple(named)
    assert problem.resource == (next(iter(named)) if len(named) == 1 else "")
    assert one.problem.message in problem.message
    assert problem.rule == one.rule


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            about("a", "image.not-found", NOT_FOUND.format(image="x:1")),
            about("b", "image.not-found", NOT_FOUND.format(image="x:2")),
            id="images",
        ),
        pytest.param(
            about("a", "image.unreachable", AWAY.format(image="one.io/x")),
            about("b", "image.unreachable", AWAY.format(image="two.io/x")),
            id="registries",
        ),
        pytest.param(
            about("a", "pod.config", 'configmap "conf" not found'),
            about("b", "pod.config", 'secret "conf" not found'),
            id="missing objects",
        ),
        pytest.param(
            about("a", "pod.config", "couldn't find key one in ConfigMap shop/conf"),
            about("b", "pod.config", "couldn't find key two in ConfigMap shop/conf"),
            id="missing keys",
        ),
        pytest.param(
            about("a", "pod.crash-loop", "crashed with exit code 1"),
            about("b", "pod.crash-loop", "crashed with exit code 1"),
            id="crashes of two resources, in equal words",
        ),
        pytest.param(
            about("a", "pod.crash-loop", "crashed", container="main"),
            about("a", "pod.crash-loop", "crashed", container="side"),
            id="containers",
        ),
        pytest.param(
            work(Code.BUILD, "building a failed: `make` exited with code 2", "a"),
            work(Code.BUILD, "building b failed: `make` exited with code 2", "b"),
            id="builds",
        ),
    ],
)
def test_two_causes_are_two_problems(one: Failure, other: Failure) -> None:
    assert len(causes.grouped((one, other))) == 2


def test_resources_come_in_the_tiltfiles_order_and_the_sentence_names_some_of_the_others() -> None:
    names = [ResourceName(f"r{n}") for n in range(9)]
    failures = [about(n, "image.not-found", NOT_FOUND.format(image="x:1")) for n in reversed(names)]
    (problem,) = causes.grouped(failures, names)
    assert problem.resources == tuple(names)
    assert problem.message.endswith("(the same stops r0, r1, r2, r3, r4 and 3 more)")
