"""What is filled in where an object says nothing: as the real server, field by field."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api.client import Client

SELECTOR = {"matchLabels": {"a": "b"}}
_UNLIKE = ("uid", "resourceVersion", "creationTimestamp", "namespace", "managedFields")


def template(**spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "none:1",
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "readinessProbe": {"tcpSocket": {"port": 80}},
        "startupProbe": {"grpc": {"port": 80}},
        "env": [
            {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        "resources": {"limits": {"cpu": "1"}},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
    }
    token = {"serviceAccountToken": {"path": "t"}}
    labels = {"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}
    volumes = [
        {"name": "e"},
        {"name": "c", "configMap": {"name": "x"}},
        {"name": "s", "secret": {"secretName": "x"}},
        {"name": "h", "hostPath": {"path": "/x"}},
        {"name": "d", "downwardAPI": {"items": [labels]}},
        {"name": "p", "projected": {"sources": [token, {"configMap": {"name": "x"}}]}},
    ]
    return {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [container], "volumes": volumes, **spec},
    }


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
PATH = {
    "path": "/",
    "pathType": "Prefix",
    "backend": {"service": {"name": "x", "port": {"number": 80}}},
}
WORKLOAD = {"replicas": 0, "selector": SELECTOR}
OBJECTS: list[tuple[str, str, dict[str, Any]]] = [
    ("apis/apps/v1", "deployments", {"spec": {**WORKLOAD, "template": template()}}),
    (
        "apis/apps/v1",
        "statefulsets",
        {
            "spec": {
                **WORKLOAD,
                "serviceName": "x",
                "template": template(),
                "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": CLAIM}],
            }
        },
    ),
    ("apis/apps/v1", "replicasets", {"spec": {**WORKLOAD, "template": template()}}),
    (
        "apis/batch/v1",
        "jobs",
        {"spec": {"suspend": True, "template": template(restartPolicy="Never")}},
    ),
    (
        "apis/batch/v1",
        "cronjobs",
        {
            "spec": {
                "schedule": "0 0 1 1 *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": template(restartPolicy="Never")}},
            }
        },
    ),
    ("api/v1", "pods", template(schedulerName="none")),
    ("api/v1", "services", {"spec": {"ports": [{"port": 80}]}}),
    (
        "api/v1",
        "services",
        {"spec": {"type": "NodePort", "ports": [{"port": 80}], "sessionAffinity": "ClientIP"}},
    ),
    ("api/v1", "services", {"spec": {"type": "ExternalName", "externalName": "example.com"}}),
    ("api/v1", "services", {"spec": {"clusterIP": "None", "selector": {"a": "b"}}}),
    ("api/v1", "services", {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}),
    ("api/v1", "persistentvolumeclaims", {"spec": {**CLAIM, "storageClassName": "none"}}),
    ("api/v1", "replicationcontrollers", {"spec": {"replicas": 0, "template": template()}}),
    ("api/v1", "secrets", {}),
    ("api/v1", "serviceaccounts", {}),
    ("api/v1", "podtemplates", {"template": template()}),
    (
        "api/v1",
        "endpoints",
        {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]},
    ),
    (
        "apis/networking.k8s.io/v1",
        "networkpolicies",
        {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
    ),
    (
        "apis/networking.k8s.io/v1",
        "ingresses",
        {"spec": {"rules": [{"host": "a.b", "http": {"paths": [PATH]}}]}},
    ),
    (
        "apis/autoscaling/v2",
        "horizontalpodautoscalers",
        {
            "spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"},
            }
        },
    ),
    ("apis/policy/v1", "poddisruptionbudgets", {"spec": {"minAvailable": 1, "selector": SELECTOR}}),
    (
        "apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
        {
            "roleRef": {"kind": "Role", "name": "x", "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "name": "u"}],
        },
    ),
    (
        "apis/discovery.k8s.io/v1",
        "endpointslices",
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.1.1"]}],
            "ports": [{"port": 80}],
        },
    ),
    ("apis/coordination.k8s.io/v1", "leases", {"spec": {"holderIdentity": "x"}}),
]


@pytest.fixture(scope="module")
def embedded(
    embedded_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    client = Client(embedded_kubeconfig, tmp_path_factory.mktemp("keys"))
    with client.session:
        yield client


def comparable(obj: Any) -> Any:
    """Without what is never the same twice: ids, times, addresses, random names."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _UNLIKE}
    text = json.dumps({**obj, "metadata": metadata})
    text = re.sub(r"kube-api-access-\w{5}", "kube-api-access", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "uid", text)
    text = re.sub(r'"10\.\d+\.\d+\.\d+"', '"address"', text)
    return json.loads(re.sub(r'"nodePort": \d+', '"nodePort": 0', text))


@pytest.mark.cluster
@pytest.mark.parametrize("api", ["real"], indirect=True)
@pytest.mark.parametrize(("group", "resource", "body"), OBJECTS)
def test_both_servers_fill_in_the_same(
    api: Client, embedded: Client, namespace: str, group: str, resource: str, body: dict[str, Any]
) -> None:
    obj = {**body, "metadata": {**body.get("metadata", {}), "name": "x"}}
    other = f"tilt-suite-{uuid.uuid4().hex[:8]}"
    embedded.create("/api/v1/namespaces", {"metadata": {"name": other}})

    real = api.create(f"/{group}/namespaces/{namespace}/{resource}", obj)
    ours = embedded.create(f"/{group}/namespaces/{other}/{resource}", obj)

    assert comparable(ours) == comparable(real)


def test_a_service_gets_an_address(api: Client, namespace: str) -> None:
    services = f"/api/v1/namespaces/{namespace}/services"

    made = api.create(services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})

    spec = made["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["clusterIP"].startswith("10.")
    assert {key: spec[key] for key in spec if not key.startswith("clusterIP")} == {
        "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }


def test_a_deployments_defaults(api: Client, deployments: str) -> None:
    pod = {"containers": [{"name": "main", "image": "none"}]}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": SELECTOR,
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
        },
    }

    spec = api.create(deployments, body)["spec"]

    assert spec == {
        "replicas": 0,
        "selector": SELECTOR,
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "none",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "imagePullPolicy": "Always",
                    }
                ],
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        },
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
        },
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
