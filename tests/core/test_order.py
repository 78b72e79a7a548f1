"""What goes before what, over the whole project."""

from typing import Any

import pytest

from tests.builders import project as build
from tiltd.core import order
from tiltd.model.desired import Manifest


def made(api: str, kind: str, name: str, *, namespace: str = "", **body: Any) -> Manifest:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return build.manifest({"apiVersion": api, "kind": kind, "metadata": meta, **body})


def web(namespace: str = "", **spec: Any) -> Manifest:
    labels = {"app": "web", "tier": "front"}
    pod = {"containers": [{"name": "main", "image": "web"}], **spec}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return made("apps/v1", "Deployment", "web", namespace=namespace, spec={"template": template})


RBAC = "rbac.authorization.k8s.io/v1"
ROBOT: dict[str, Any] = {"subjects": [{"kind": "ServiceAccount", "name": "robot"}]}
DEFINITION = {"group": "x.example", "names": {"kind": "Db"}}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(made("v1", "Namespace", "here"), web("here"), id="namespace"),
        pytest.param(made("v1", "Namespace", "default"), web(), id="the default namespace"),
        pytest.param(
            made("apiextensions.k8s.io/v1", "CustomResourceDefinition", "dbs", spec=DEFINITION),
            made("x.example/v1", "Db", "db"),
            id="definition",
        ),
        pytest.param(
            made("v1", "ServiceAccount", "robot"), web(serviceAccountName="robot"), id="account"
        ),
        pytest.param(
            made(RBAC, "RoleBinding", "may", **ROBOT),
            web(serviceAccountName="robot"),
            id="what an account may",
        ),
        pytest.param(
            made(RBAC, "Role", "r"),
            made(RBAC, "RoleBinding", "may", roleRef={"kind": "Role", "name": "r"}),
            id="role",
        ),
        pytest.param(
            made("v1", "ConfigMap", "c"), web(volumes=[{"configMap": {"name": "c"}}]), id="volume"
        ),
        pytest.param(
            made("v1", "Service", "web", spec={"selector": {"app": "web"}}), web(), id="service"
        ),
        pytest.param(made("v1", "ResourceQuota", "q"), web(), id="quota"),
        pytest.param(
            made("scheduling.k8s.io/v1", "PriorityClass", "high"),
            web(priorityClassName="high"),
            id="priority",
        ),
        pytest.param(
            made("storage.k8s.io/v1", "StorageClass", "fast"),
            made("v1", "PersistentVolumeClaim", "data", spec={"storageClassName": "fast"}),
            id="storage class",
        ),
        pytest.param(
            made("v1", "Service", "hook", namespace="h"),
            made(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "w",
                webhooks=[{"clientConfig": {"service": {"name": "hook", "namespace": "h"}}}],
            ),
            id="the service behind a webhook",
        ),
    ],
)
def test_first_and_then(first: Manifest, then: Manifest) -> None:
    for given in ([first, then], [then, first]):
        assert set(order.edges(given, "default")) == {(first.id, then.id)}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(made("v1", "ConfigMap", "c", namespace="b"), id="of another namespace"),
        pytest.param(
            made("v1", "Service", "w", spec={"selector": {"app": "web", "tier": "back"}}),
            id="a service that selects others",
        ),
        pytest.param(made("v1", "Service", "w", spec={}), id="a service that selects nothing"),
        pytest.param(made("v1", "Namespace", "b"), id="another namespace"),
    ],
)
def test_strangers_have_no_order(other: Manifest) -> None:
    mine = web("a", volumes=[{"configMap": {"name": "c"}}])
    assert order.edges([other, mine], "default") == []
