"""The forms in which `k8s_resource(port_forwards=)` and `port_forward()` name ports."""

import pytest

from tests.tiltfile.conftest import POD, Workspace
from tests.tiltfile.test_builtins import kubernetes
from tiltd.model.desired import PortForward

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - nothing listens here


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("8080", [PortForward(8080)]),
        ("0", [PortForward(0)]),
        ("'8080'", [PortForward(8080)]),
        ("'8080:80'", [PortForward(8080, 80)]),
        ("'0:80'", [PortForward(0, 80)]),
        ("'8080:0'", [PortForward(8080)]),
        ("'elastic.local:8080:80'", [PortForward(8080, 80, "elastic.local")]),
        (f"'{ALL_ADDRESSES}:8080:80'", [PortForward(8080, 80, ALL_ADDRESSES)]),
        (
            "[8080, '9090:90', port_forward(1)]",
            [PortForward(8080), PortForward(9090, 90), PortForward(1)],
        ),
        ("port_forward(8080)", [PortForward(8080)]),
        ("port_forward(8080, 80)", [PortForward(8080, 80)]),
        ("port_forward(8080, name='app')", [PortForward(8080, name="app")]),
        ("port_forward(8080, link_path='/v1?a=b')", [PortForward(8080, link_path="/v1?a=b")]),
        ("port_forward(8080, host='a.b')", [PortForward(8080, host="a.b")]),
        ("port_forward(8080, host='')", [PortForward(8080)]),
        ("port_forward(8080, host='[::1]')", [PortForward(8080, host="[::1]")]),
        ("port_forward(8080, host='::1')", [PortForward(8080, host="[::1]")]),
        ("[]", []),
        ("None", []),
    ],
)
async def test_the_forms_of_port_forwards(
    workspace: Workspace, given: str, expected: list[PortForward]
) -> None:
    loaded = await workspace.load(POD + f"k8s_resource('p', port_forwards={given})")
    assert list(kubernetes(loaded).port_forwards) == expected
