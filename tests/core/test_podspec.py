"""Pods are found by their shape, and what they name is found in them."""

from typing import Any

import pytest

from tiltd.core import podspec

BOX = {"name": "main", "image": "web"}
POD: dict[str, Any] = {"spec": {"containers": [BOX]}}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param({"kind": "Pod", **POD}, 1, id="a pod is its own template"),
        pytest.param({"kind": "Deployment", "spec": {"template": POD}}, 1, id="workload"),
        pytest.param(
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": POD}}}}, 1, id="deep"
        ),
        pytest.param(
            {"kind": "Custom", "spec": {"groups": [{"template": POD}, {"template": POD}]}},
            2,
            id="several in a list of an unknown kind",
        ),
        pytest.param({"kind": "ConfigMap", "data": {"spec": "containers"}}, 0, id="words only"),
        pytest.param({"kind": "Odd", "spec": {"containers": "none"}}, 0, id="no list"),
        pytest.param({"kind": "Odd", "spec": None, "x": [1, [POD]]}, 0, id="a list in a list"),
    ],
)
def test_templates(body: dict[str, Any], count: int) -> None:
    assert [t["spec"]["containers"] for t in podspec.templates(body)] == [[BOX]] * count


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        pytest.param({"imagePullSecrets": [{"name": "pull"}]}, ("Secret", "pull"), id="pull"),
        pytest.param(
            {"volumes": [{"configMap": {"name": "conf"}}]}, ("ConfigMap", "conf"), id="volume"
        ),
        pytest.param(
            {"volumes": [{"secret": {"secretName": "key"}}]}, ("Secret", "key"), id="secret volume"
        ),
        pytest.param(
            {"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]},
            ("PersistentVolumeClaim", "data"),
            id="claim",
        ),
        pytest.param(
            {"volumes": [{"projected": {"sources": [{"secret": {"name": "part"}}]}}]},
            ("Secret", "part"),
            id="projected",
        ),
        pytest.param(
            {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]},
            ("Secret", "s"),
            id="variable",
        ),
        pytest.param(
            {"initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]},
            ("ConfigMap", "c"),
            id="all variables, of an init container",
        ),
    ],
)
def test_references(spec: dict[str, Any], named: tuple[str, str]) -> None:
    assert list(podspec.references(spec)) == [named]


def test_what_is_no_reference_is_passed_over() -> None:
    spec: dict[str, Any] = {
        "volumes": [{"emptyDir": {}}, {"configMap": {"name": 7}}, "x"],
        "containers": None,
    }
    assert list(podspec.references(spec)) == []


def test_containers_come_in_the_order_in_which_they_start() -> None:
    spec = {"containers": [{"name": "b"}], "initContainers": [{"name": "a"}]}
    assert [c["name"] for c in podspec.containers(spec)] == ["a", "b"]
