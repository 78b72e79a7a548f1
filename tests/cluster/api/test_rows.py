"""What `kubectl get` prints of kinds that people list now and then."""

from typing import Any

import pytest

from tests.cluster.api.client import TABLE, Client

SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}
CPU = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
ROLE = {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}
ROWS = [
    (
        "apis/policy/v1",
        "poddisruptionbudgets",
        {"spec": {"minAvailable": "50%", "selector": SELECTOR}},
        {"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": 0},
    ),
    (
        "apis/autoscaling/v2",
        "horizontalpodautoscalers",
        {
            "spec": {
                "scaleTargetRef": REFERENCE,
                "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": CPU}],
            }
        },
        {
            "Reference": "Deployment/d",
            "Targets": "cpu: <unknown>/50%",
            "MinPods": "1",
            "MaxPods": 3,
            "Replicas": 0,
        },
    ),
    (
        "apis/networking.k8s.io/v1",
        "networkpolicies",
        {"spec": {"podSelector": SELECTOR}},
        {"Pod-Selector": "a=b,c"},
    ),
    (
        "apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
        {
            "roleRef": ROLE,
            "subjects": [
                {"kind": "User", "name": "u"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
            ],
        },
        {"Role": "Role/r", "Users": "u", "Groups": "", "ServiceAccounts": "n/s"},
    ),
    (
        "apis/discovery.k8s.io/v1",
        "endpointslices",
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.1.1"]}],
            "ports": [{"port": 80}],
        },
        {"AddressType": "IPv4", "Ports": "80", "Endpoints": "10.1.1.1"},
    ),
    (
        "apis/coordination.k8s.io/v1",
        "leases",
        {"spec": {"holderIdentity": "me"}},
        {"Holder": "me"},
    ),
]


@pytest.mark.parametrize(
    ("base", "resource", "body", "expected"), [pytest.param(*row, id=row[1]) for row in ROWS]
)
def test_a_row_has_the_cells_of_its_kind(
    api: Client,
    namespace: str,
    base: str,
    resource: str,
    body: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    path = f"/{base}/namespaces/{namespace}/{resource}"
    made = {"metadata": {"name": "x"}, **body}
    answer = api.call("POST", path, made, accept=TABLE, dryRun="All")
    names = [column["name"] for column in answer.body["columnDefinitions"]]
    cells = dict(zip(names, answer.body["rows"][0]["cells"], strict=True))
    assert {name: cells[name] for name in expected} == expected
