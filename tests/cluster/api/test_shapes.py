"""What the types refuse that kinds are made of, and what Go's encoder leaves out of them.

`refusals.yaml` has a real server's answers; nothing there is ever stored (`dryRun`).
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api.client import APPLY, Client
from tests.cluster.api.test_validation import changed

_RECORDED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text())
_TEXTS: dict[str, str] = _RECORDED["texts"]
_RESOURCES: dict[str, Any] = _RECORDED["resources"]


@pytest.mark.parametrize("resource", list(_RESOURCES))
def test_a_fault_is_refused_where_it_stands(api: Client, namespace: str, resource: str) -> None:
    recorded = _RESOURCES[resource]
    place = f"/{recorded['api']}/namespaces/{namespace}/{resource}"
    valid = {**recorded["valid"], "metadata": {"name": "x"}}
    assert api.call("POST", place, valid, dryRun="All").code == 201
    for path, value, expected in recorded["cases"]:
        answer = api.call("POST", place, changed(valid, path, value), dryRun="All")
        said = answer.body["message"].partition(" is invalid: ")[2]
        for name, text in _TEXTS.items():
            said = said.replace(text, f"{{{name}}}")
        assert (answer.code, path, said) == (422, path, expected)


MAIN: dict[str, Any] = {
    "name": "main",
    "image": "none:1",
    "tty": False,
    "workingDir": "",
    "terminationMessagePath": "",
    "env": [{"name": "A", "value": ""}, {"name": "B", "value": None}],
    "ports": [{"containerPort": 80, "name": "", "hostPort": 0}],
    "livenessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 0, "initialDelaySeconds": 0},
}
POD: dict[str, Any] = {
    "containers": [MAIN],
    "hostNetwork": False,
    "hostname": "",
    "restartPolicy": "",
    "automountServiceAccountToken": False,
    "priorityClassName": "",
    "nodeSelector": {"a": None},
    "securityContext": {"runAsUser": 0},
}


def test_empty_values_vanish_unless_they_are_pointers(api: Client, namespace: str) -> None:
    place = f"/api/v1/namespaces/{namespace}/pods"
    spec = api.create(place, {"metadata": {"name": "p"}, "spec": POD}, dryRun="All")["spec"]
    assert {"hostNetwork", "hostname", "priorityClassName"} & set(spec) == set()
    assert spec["restartPolicy"] == "Always"
    assert spec["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"a": ""}
    assert spec["securityContext"] == {"runAsUser": 0}
    main = spec["containers"][0]
    assert {"tty", "workingDir"} & set(main) == set()
    assert main["env"] == [{"name": "A"}, {"name": "B"}]
    assert main["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert main["terminationMessagePath"] == "/dev/termination-log"
    assert main["livenessProbe"]["periodSeconds"] == 10
    assert "initialDelaySeconds" not in main["livenessProbe"]


def test_who_applies_an_empty_value_owns_it_as_on_a_real_server(
    api: Client, namespace: str
) -> None:
    place = f"/api/v1/namespaces/{namespace}/services/s"
    wanted = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80}], "publishNotReadyAddresses": False, "clusterIP": ""},
    }
    answer = api.call("PATCH", place, wanted, media=APPLY, fieldManager="a")
    assert answer.code == 201, answer
    assert "publishNotReadyAddresses" not in answer.body["spec"]
    assert answer.body["spec"]["clusterIP"]
    owned = answer.body["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    assert "f:publishNotReadyAddresses" in owned


def test_text_that_is_no_base64_is_refused(api: Client, namespace: str) -> None:
    place = f"/api/v1/namespaces/{namespace}/secrets"
    for text, byte in (("BAD_!", 3), ("1", 0), ("dg=", 3), ("d g=", 1)):
        answer = api.call("POST", place, {"metadata": {"name": "s"}, "data": {"k": text}})
        said = (
            'Secret in version "v1" cannot be handled as a Secret: '
            f"illegal base64 data at input byte {byte}"
        )
        assert (answer.code, text, answer.body["message"]) == (400, text, said)
