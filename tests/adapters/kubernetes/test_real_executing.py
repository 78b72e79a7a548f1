"""Programs in a container of a real cluster: what goes in, what comes out, how they end."""

from typing import Any

import pytest

from tests.adapters.kubernetes.test_executing import Printed
from tests.adapters.kubernetes.test_real import pod_spec
from tests.adapters.kubernetes.worlds import Seen, World
from tiltd import ports
from tiltd.model.live_update import Target
from tiltd.runtime import archive

pytestmark = pytest.mark.cluster


def running(pod: Any) -> str:
    """The id of a pod's container, once it runs."""
    status: dict[str, Any] = pod["status"] if pod else {}
    for container in status.get("containerStatuses") or ():
        if "running" in container["state"]:
            return str(container["containerID"])
    return ""


async def test_files_go_in_programs_run_and_their_ends_are_told(real: World, tmp_path: Any) -> None:
    seen = Seen()
    real.cluster.follow(frozenset({real.scope("Pod")}), seen)
    spec = pod_spec("trap exit TERM; while :; do sleep 0.2; done")
    await real.apply(real.body("v1", "Pod", "web", spec=spec))
    await seen.until(lambda s: running(s.named("web")))
    target = Target(running(seen.named("web")), "main", "web", real.namespace)

    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 8192)
    packed = archive.packed([(str(large), "/srv/deep/large")])
    unpack = ("tar", "-C", "/", "-x", "-f", "-")
    assert await real.cluster.execute(target, unpack, Printed(), packed) == 0

    log = Printed()
    script = 'wc -c < /srv/deep/large; echo "to both" >&2; exit 7'
    assert await real.cluster.execute(target, ("sh", "-c", script), log) == 7
    assert sorted(log.text.split("\n")) == ["", str(256 * 8192), "to both"]

    log = Printed()
    assert await real.cluster.execute(target, ("no-such-program",), log) == 127, log.text
    assert "no-such-program" in log.text

    counted = ("sh", "-c", 'n=$1; shift; head -c "$n" | "$@"', "sh", "5", "cat")
    log = Printed()
    assert await real.cluster.execute(target, counted, log, b"12345") == 0
    assert log.text == "12345"

    for other in (Target("x", "other", "web", real.namespace), Target("x", "main", "w", "default")):
        with pytest.raises(ports.GoneError):
            await real.cluster.execute(other, ("true",), Printed())
