"""What the embedded cluster stores and doesn't act on is told; a real server has nothing to say."""

from typing import Any

import pytest

from tests.cluster.api.client import Client
from tests.cluster.api.test_patches import MAIN, deployment

ANTI: dict[str, Any] = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
        ]
    }
}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param({"runtimeClassName": "other"}, "runtimeClassName", id="runtime class"),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]},
            "volumes[0].emptyDir.medium",
            id="memory",
        ),
        pytest.param({"affinity": ANTI}, "affinity.podAntiAffinity", id="required anti-affinity"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_what_nobody_acts_on_is_told(
    api: Client, deployments: str, spec: dict[str, Any], field: str, *, is_real: bool
) -> None:
    body = deployment(MAIN)
    body["spec"]["template"]["spec"].update(spec)
    answer = api.call("POST", deployments, body, dryRun="All")
    assert answer.code == 201, answer
    said = answer.headers.get("Warning", "")
    assert (f"spec.template.spec.{field}:" in said) is (bool(field) and not is_real), said
