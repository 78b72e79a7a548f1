"""Addresses that the node gives, and interfaces that it makes: as the Engine would have done it."""

import ipaddress
import os
import shutil
import subprocess
import sys

import pytest

from tilt_cluster.network import bridge, joining, links

_SUBNET = ipaddress.IPv4Network("10.0.0.0/28")
_OWN = [ipaddress.IPv4Address(f"10.0.0.{last}") for last in (1, 2, 3, 4)]


@pytest.fixture
def three() -> joining.Joining:
    """Three addresses: one of the four is the gateway's."""
    return joining.Joining("none", _SUBNET, _OWN, "10.0.0.1")


def test_an_address_that_has_become_free_is_the_last_to_be_used_again(
    three: joining.Joining,
) -> None:
    first = three.take()
    three.release(first)

    assert [three.take() for _ in range(3)] == ["10.0.0.3", "10.0.0.4", first]


def test_nobody_gets_an_address_that_somebody_has(three: joining.Joining) -> None:
    three.hold("10.0.0.3")

    assert {three.take(), three.take()} == {"10.0.0.2", "10.0.0.4"}
    with pytest.raises(OSError, match="every address"):
        three.take()


async def test_what_an_engine_may_give_itself_is_left_to_it() -> None:
    whole = bridge.Bridge("n", "10.0.0.1", "10.0.0.0/28", engines=None)

    assert await joining.find("no-such-cluster", whole) is None


def test_a_bridge_that_is_elsewhere_is_no_bridge() -> None:
    code = "import sys; from tilt_cluster.network import links; print(links.trouble(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "no-such-bridge"], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip()


def test_a_process_that_is_not_the_sandboxs_is_left_alone() -> None:
    address = ipaddress.IPv4Interface("10.0.0.2/28")

    with pytest.raises(links.ElsewhereError):
        links.join("0123456789", os.getpid(), "no-such-bridge", address, "10.0.0.1")


_IN_A_NAMESPACE = """
import ipaddress, subprocess, threading
from tilt_cluster.network import links

def ip(*words, before=()):
    subprocess.run([*before, "ip", *words], check=True)

ip("link", "add", "bridge0", "type", "bridge")
ip("link", "set", "bridge0", "up")
assert links.trouble("bridge0") == ""
command = ["unshare", "--net", "sh", "-c", "echo; exec cat"]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pod:
    pod.stdout.readline()  # it is in its namespace
    address = ipaddress.IPv4Interface("10.9.0.7/24")
    links._recognize = lambda *_: None  # no container, and no control group
    given = ("0123456789", pod.pid, "bridge0", address, "10.9.0.1")
    work = threading.Thread(target=links.join, args=given)
    work.start()
    work.join()
    for what in ("address", "route"):
        ip("-br", what, before=["nsenter", "-n", "-t", str(pod.pid)])
    ip("-br", "link", "show", "master", "bridge0")
    pod.stdin.close()
"""
_NEEDED = ("ip", "unshare", "nsenter")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not all(map(shutil.which, _NEEDED)), reason=f"needs {_NEEDED}")
def test_a_pod_gets_an_interface_an_address_and_a_way_out() -> None:
    command = ["unshare", "--net", sys.executable, "-c", _IN_A_NAMESPACE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert links.interface("0123456789") == "tilt01234567"
    for part in ("10.9.0.7/24", "default via 10.9.0.1 dev eth0", "127.0.0.1/8", "tilt01234567@"):
        assert part in done.stdout
