"""What ResourceQuotas and LimitRanges refuse, fill in and count, in Kubernetes' words."""

import time
from typing import Any

import pytest

from tests.cluster.api.client import Client

PATIENCE = 60.0


def until(api: Client, path: str, **status: Any) -> Any:
    """Wait until a quota's status has these parts; nothing is enforced before it has one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = api.get(path).get("status", {})
        if all(found.get(key) == value for key, value in status.items()):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def limit(api: Client, namespace: str, **spec: Any) -> str:
    """Make a quota `few`, and wait until it counts."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    api.create(path, {"metadata": {"name": "few"}, "spec": spec})
    until(api, f"{path}/few", hard=spec["hard"])
    return f"{path}/few"


def container(name: str = "main", /, **resources: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "resources": resources}


def pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    """A pod that nobody schedules."""
    listed = list(containers) or [container()]
    return {
        "metadata": {"name": "a"},
        "spec": {"schedulerName": "no", "containers": listed, **spec},
    }


def refused(api: Client, path: str, body: Any) -> str:
    answer = api.call("POST", path, body)
    assert (answer.code, answer.body["reason"]) == (403, "Forbidden"), answer
    return str(answer.body["message"])


def test_a_pod_too_many_is_refused(api: Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    quota = limit(api, namespace, hard={"pods": "1", "count/pods": "5"})
    api.create(pods, pod())
    until(api, quota, used={"pods": "1", "count/pods": "1"})

    body = {**pod(), "metadata": {"name": "b"}}
    assert refused(api, pods, body) == (
        'pods "b" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, '
        "limited: pods=1"
    )
    assert api.call("POST", pods, body, dryRun="All").code == 403
    api.call("DELETE", f"{pods}/a", gracePeriodSeconds="0")
    until(api, quota, used={"pods": "0", "count/pods": "0"})
    api.create(pods, body)


def test_every_kind_of_object_is_counted(api: Client, namespace: str) -> None:
    hard = {"secrets": "0", "count/deployments.apps": "0", "services.nodeports": "1"}
    limit(api, namespace, hard={**hard, "persistentvolumeclaims": "0", "count/foos.bar": "0"})
    core = f"/api/v1/namespaces/{namespace}"
    meta = {"name": "a"}

    end = "requested: {0}=1, used: {0}=0, limited: {0}=0"
    said = refused(api, f"{core}/secrets", {"metadata": meta})
    assert said == f'secrets "a" is forbidden: exceeded quota: few, {end.format("secrets")}'
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container()]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    said = refused(api, path, {"metadata": meta, "spec": spec})
    assert said == (
        'deployments.apps "a" is forbidden: exceeded quota: few, '
        + end.format("count/deployments.apps")
    )
    ports = [{"port": 80, "name": "x"}, {"port": 81, "name": "y"}]
    service = {"metadata": meta, "spec": {"type": "NodePort", "ports": ports}}
    assert refused(api, f"{core}/services", service) == (
        'services "a" is forbidden: exceeded quota: few, requested: services.nodeports=2, '
        "used: services.nodeports=0, limited: services.nodeports=1"
    )
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    said = refused(api, f"{core}/persistentvolumeclaims", {"metadata": meta, "spec": claim})
    assert end.format("persistentvolumeclaims") in said


def test_a_service_may_not_grow_beyond_it(api: Client, namespace: str) -> None:
    services = f"/api/v1/namespaces/{namespace}/services"
    made = api.create(services, {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})
    limit(api, namespace, hard={"services.nodeports": "0", "services": "1"})

    answer = api.call(
        "PUT", f"{services}/a", {**made, "spec": {**made["spec"], "type": "NodePort"}}
    )

    assert answer.code == 403
    assert answer.body["message"] == (
        'services "a" is forbidden: exceeded quota: few, requested: services.nodeports=1, '
        "used: services.nodeports=0, limited: services.nodeports=0"
    )


def test_where_compute_is_limited_every_container_must_say_its_needs(
    api: Client, namespace: str
) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    hard = {"requests.cpu": "1500m", "limits.memory": "1Gi"}
    quota = limit(api, namespace, hard=hard)
    full = {"requests": {"cpu": "1"}, "limits": {"memory": "600Mi"}}

    body = pod(container(**full), container("side", requests={"cpu": "1"}))
    assert refused(api, pods, body) == (
        'pods "a" is forbidden: failed quota: few: must specify limits.memory for: side'
    )
    assert refused(api, pods, pod(container(), container("side"))) == (
        'pods "a" is forbidden: failed quota: few: must specify limits.memory for: main,side; '
        "requests.cpu for: main,side"
    )
    api.create(pods, pod(container(**full)))
    until(api, quota, used={"requests.cpu": "1", "limits.memory": "600Mi"})
    body = {**pod(container(**full)), "metadata": {"name": "b"}}
    assert refused(api, pods, body) == (
        'pods "b" is forbidden: exceeded quota: few, requested: limits.memory=600Mi,'
        "requests.cpu=1, used: limits.memory=600Mi,requests.cpu=1, limited: limits.memory=1Gi,"
        "requests.cpu=1500m"
    )


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        pytest.param("Terminating", {"activeDeadlineSeconds": 60}, {}, id="Terminating"),
        pytest.param("NotTerminating", {}, {"activeDeadlineSeconds": 60}, id="NotTerminating"),
        pytest.param(
            "BestEffort", {}, {"containers": [container(requests={"cpu": "1m"})]}, id="BestEffort"
        ),
        pytest.param(
            "NotBestEffort",
            {"containers": [container(requests={"cpu": "1m"})]},
            {},
            id="NotBestEffort",
        ),
    ],
)
def test_a_scope_says_which_pods_count(
    api: Client, namespace: str, scope: str, inside: Any, outside: Any
) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    limit(api, namespace, hard={"pods": "0"}, scopes=[scope])

    api.create(pods, pod(**outside))
    assert "exceeded quota: few" in refused(api, pods, {**pod(**inside), "metadata": {"name": "b"}})


def test_a_scope_may_be_a_priority(api: Client, namespace: str) -> None:
    one = {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
    limit(api, namespace, hard={"pods": "0"}, scopeSelector={"matchExpressions": [one]})
    pods = f"/api/v1/namespaces/{namespace}/pods"

    api.create(pods, pod())
    body = {**pod(priorityClassName="system-node-critical"), "metadata": {"name": "b"}}
    assert "exceeded quota: few" in refused(api, pods, body)


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        pytest.param(
            {"hard": {"foo": "1"}},
            [
                ("spec.hard[foo]", 'Invalid value: "foo": must be a standard resource for quota'),
                (
                    "spec.hard[foo]",
                    'Invalid value: "foo": must be a standard resource type or fully qualified',
                ),
            ],
            id="unknown",
        ),
        pytest.param(
            {"hard": {"pods": "1500m"}},
            [("spec.hard[pods]", 'Invalid value: "1500m": must be an integer')],
            id="a part of a pod",
        ),
        pytest.param(
            {"hard": {"pods": "-1"}},
            [("spec.hard[pods]", 'Invalid value: "-1": must be greater than or equal to 0')],
            id="negative",
        ),
        pytest.param(
            {"hard": {"pods": "1"}, "scopes": ["Foo"]},
            [("spec.scopes", 'Invalid value: ["Foo"]: unsupported scope')],
            id="unknown scope",
        ),
        pytest.param(
            {"hard": {"services": "1"}, "scopes": ["BestEffort"]},
            [
                (
                    "spec.scopes",
                    'Invalid value: ["BestEffort"]: unsupported scope applied to resource',
                )
            ],
            id="a scope of no pods",
        ),
        pytest.param(
            {"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]},
            [("spec.scopes", 'Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes')],
            id="both scopes",
        ),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused(
    api: Client, namespace: str, spec: Any, causes: list[tuple[str, str]]
) -> None:
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    answer = api.call("POST", path, {"metadata": {"name": "a"}, "spec": spec})

    assert answer.code == 422, answer
    assert [(field, text) for field, _, text in answer.causes] == causes


# LimitRanges


def limits(api: Client, namespace: str, *items: Any) -> None:
    path = f"/api/v1/namespaces/{namespace}/limitranges"
    made = api.create(path, {"metadata": {"name": "l"}, "spec": {"limits": list(items)}})
    assert made["spec"]["limits"]
    # A real server's admission looks into a cache.
    deadline = time.monotonic() + PATIENCE
    pods = f"/api/v1/namespaces/{namespace}/pods"
    while (answer := api.call("POST", pods, WRONG, dryRun="All")).code != 403:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


WRONG = pod(container(limits={"cpu": "100"}))


@pytest.mark.parametrize(
    ("given", "causes"),
    [
        pytest.param(
            [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1000m"}}],
            [
                ("min[cpu]", '"2": min value 2 is greater than max value 1'),
                ("defaultRequest[cpu]", '"1": min value 2 is greater than default request value 1'),
                ("default[cpu]", '"2": min value 2 is greater than default value 1'),
            ],
            id="the least is more than the most",
        ),
        pytest.param(
            [{"type": "Container", "max": {"memory": "1Gi"}, "defaultRequest": {"memory": "2Gi"}}],
            [
                (
                    "defaultRequest[memory]",
                    f'"2Gi": default request value 2Gi is greater than {what} value 1Gi',
                )
                for what in ("max", "default limit")
            ],
            id="asks for more than there may be",
        ),
        pytest.param(
            [{"type": "Container", "default": {"a/b": "2"}, "defaultRequest": {"a/b": "1"}}],
            [
                (
                    "defaultRequest[a/b]",
                    '"1": default value 2 must equal to defaultRequest value 1 in a/b',
                )
            ],
            id="what can't be shared",
        ),
        pytest.param(
            [
                {
                    "type": "Pod",
                    "min": {"cpu": "1"},
                    "max": {"cpu": "2", "pods": "1"},
                    "maxLimitRequestRatio": {"cpu": "3", "foo": "0.5"},
                }
            ],
            [
                ("max[pods]", '"pods": must be a standard resource for containers'),
                (
                    "maxLimitRequestRatio[foo]",
                    '"foo": must be a standard resource type or fully qualified',
                ),
                (
                    "maxLimitRequestRatio[foo]",
                    '"foo": must be a standard resource for containers',
                ),
                (
                    "maxLimitRequestRatio[cpu]",
                    '"3": ratio 3 is greater than max/min = 2.000000',
                ),
                ("maxLimitRequestRatio[foo]", '"500m": ratio 500m is less than 1'),
            ],
            id="ratios and names",
        ),
        pytest.param(
            [{"type": "Foo"}],
            [("type", '"Foo": must be a standard limit type or fully qualified')],
            id="a type that nobody knows",
        ),
    ],
)
def test_a_limit_range_that_contradicts_itself_is_refused(
    api: Client, namespace: str, given: list[Any], causes: list[tuple[str, str]]
) -> None:
    path = f"/api/v1/namespaces/{namespace}/limitranges"
    body = {"metadata": {"name": "a"}, "spec": {"limits": given}}
    answer = api.call("POST", path, body, dryRun="All")

    assert answer.code == 422, answer
    assert sorted((field, text) for field, _, text in answer.causes) == sorted(
        (f"spec.limits[0].{field}", f"Invalid value: {text}") for field, text in causes
    )


def test_a_limit_range_may_not_say_what_has_no_meaning(api: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/limitranges"
    storage = {"type": "PersistentVolumeClaim", "default": {"storage": "1Gi"}}
    given = [{"type": "Pod", "default": {"cpu": "1"}}, {"type": "Pod"}, storage]
    body = {"metadata": {"name": "a"}, "spec": {"limits": given}}
    answer = api.call("POST", path, body, dryRun="All")

    assert answer.code == 422, answer
    neither = "either minimum or maximum storage value is required, but neither was provided"
    assert [(field, text) for field, _, text in answer.causes] == [
        ("spec.limits[0].default", "Forbidden: may not be specified when `type` is 'Pod'"),
        ("spec.limits[1].type", 'Duplicate value: "Pod"'),
        ("spec.limits[2].limits", f"Required value: {neither}"),
    ]


def test_containers_get_a_limit_ranges_defaults(api: Client, namespace: str) -> None:
    usual = {"cpu": "200m", "memory": "64Mi"}
    limits(
        api,
        namespace,
        {"type": "Container", "default": usual, "min": {"cpu": "100m"}, "max": {"cpu": "500m"}},
    )

    body = pod(container(), container("side", requests={"cpu": "150m"}))
    made = api.create(f"/api/v1/namespaces/{namespace}/pods", body)

    first, second = (one["resources"] for one in made["spec"]["containers"])
    assert first == {"limits": usual, "requests": usual}
    assert second == {"limits": usual, "requests": {"cpu": "150m", "memory": "64Mi"}}
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for "
        "container main; memory request for container side; cpu, memory limit for container side"
    )


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        pytest.param(
            [container(requests={"cpu": "50m"}, limits={"cpu": "100m"})],
            "minimum cpu usage per Container is 100m, but request is 50m",
            id="too little",
        ),
        pytest.param(
            [container(limits={"cpu": "600m"})],
            "maximum cpu usage per Container is 500m, but limit is 600m",
            id="too much",
        ),
        pytest.param(
            [container(requests={"cpu": "100m"}, limits={"cpu": "500m"})],
            "cpu max limit to request ratio per Container is 2, but provided ratio is 5.000000",
            id="too far apart",
        ),
        pytest.param(
            [container(limits={"cpu": "500m"}), container("side", limits={"cpu": "500m"})],
            "maximum cpu usage per Pod is 800m, but limit is 1",
            id="too much together",
        ),
        pytest.param(
            [container(requests={"cpu": "50m"}), container("side", limits={"cpu": "600m"})],
            "[minimum cpu usage per Container is 100m, but request is 50m, "
            "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000, "
            "maximum cpu usage per Container is 500m, but limit is 600m]",
            id="several",
        ),
    ],
)
def test_pods_outside_of_a_limit_range_are_refused(
    api: Client, namespace: str, containers: list[Any], said: str
) -> None:
    limits(
        api,
        namespace,
        {
            "type": "Container",
            "default": {"cpu": "200m"},
            "min": {"cpu": "100m"},
            "max": {"cpu": "500m"},
            "maxLimitRequestRatio": {"cpu": "2"},
        },
        {"type": "Pod", "max": {"cpu": "800m"}},
    )

    pods = f"/api/v1/namespaces/{namespace}/pods"
    assert refused(api, pods, pod(*containers)) == f'pods "a" is forbidden: {said}'


def test_a_claim_outside_of_a_limit_range_is_refused(api: Client, namespace: str) -> None:
    limits(
        api,
        namespace,
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
        {"type": "Container", "max": {"cpu": "1"}},
    )
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}

    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    assert refused(api, path, {"metadata": {"name": "c"}, "spec": spec}) == (
        'persistentvolumeclaims "c" is forbidden: maximum storage usage per '
        "PersistentVolumeClaim is 1Gi, but request is 2Gi"
    )
