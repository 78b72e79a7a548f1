"""Putting a pod on the bridge: a pair of virtual interfaces that the node makes.

The Engine needs five times as much CPU to start a sandbox that joins a network as for one that has
none: it runs itself anew for each step inside the namespace, and programs of the packet filter.
The same is a handful of messages to the kernel.  So where this process may, a sandbox starts
without a network (`NetworkDisabled`), and gets its interface before the first of the pod's
containers is made.  Where it may not, or the bridge is in another network namespace than this
process (rootless engines, virtual machines), the Engine does it.

What is made here looks like the Engine's: `eth0` with a hardware address that follows from the IP
address (so whoever knew its last owner finds the next), no IPv6.  It goes with the namespace, that
is with the sandbox; there is nothing to take away.  rtnetlink(7), veth(4), namespaces(7).
"""

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

_CLONE_NEWNET = 0x40000000
_INTERFACES = Path("/sys/class/net")
_NO_IPV6 = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"

_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 17, 20, 24, 2
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_UP = 0x1
_LINK_ADDRESS, _LINK_NAME, _LINK_MASTER, _LINK_INFO, _LINK_PID = 1, 3, 10, 18, 19
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_ADDR_ADDRESS, _ADDR_LOCAL, _ADDR_BROADCAST = 1, 2, 4
_ROUTE_OIF, _ROUTE_GATEWAY = 4, 5
_MAIN, _BOOT, _UNICAST = 254, 3, 1
_LOOPBACK = 1
_ANSWER = 65536


class ElsewhereError(OSError):
    """The Engine counts its processes in another namespace than ours."""


def interface(sandbox: str) -> str:
    """The name of a pod's interface on the host, by the id of its sandbox (at most 15 long)."""
    return f"tilt{sandbox[:8]}"


def trouble(bridge: str) -> str:
    """Why pods can't be put on a bridge from here; empty if they can. Leaves nothing behind."""
    name = f"tilt{os.getpid():x}t"
    try:
        enter(os.getpid())  # our own: it is the right that counts
        with _rtnetlink() as host:
            _make_pair(host, name, bridge, f"{name}p", os.getpid(), None)
            _ask(host, _DELLINK, 0, _link(0) + _attribute(_LINK_NAME, _text(name)))
    except OSError as error:
        return str(error)
    return ""


def join(sandbox: str, pid: int, bridge: str, address: ipaddress.IPv4Interface, via: str) -> None:
    """Give a sandbox its network.  Call it in a thread that ends after it: it leaves its namespace.

    Args:
        sandbox: id of the container.
        pid: of its process.
        bridge: the interface of the bridge.
        address: of the pod, in the bridge's network.
        via: the gateway.

    Raises:
        ElsewhereError: that is not the sandbox's process here.
        OSError: the kernel refuses, or the process has ended.
    """
    _recognize(sandbox, pid)
    name = interface(sandbox)
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(_rtnetlink())
        _make_pair(host, name, bridge, "eth0", pid, b"\x02\x42" + address.ip.packed)
        # Pods reach themselves by their Services: bridge.reflect.
        with contextlib.suppress(OSError):
            (_INTERFACES / name / "brport" / "hairpin_mode").write_text("1")
        enter(pid)
        for which in ("all", "default"):
            with contextlib.suppress(OSError):  # a kernel without IPv6
                Path(_NO_IPV6.format(which)).write_text("1")
        inside = stack.enter_context(_rtnetlink())
        index = socket.if_nametoindex("eth0")
        for one in (_LOOPBACK, index):
            _ask(inside, _NEWLINK, 0, _link(one, up=True))
        _ask(inside, _NEWADDR, _CREATE | _EXCL, _address(index, address))
        _ask(inside, _NEWROUTE, _CREATE | _EXCL, _default_route(index, via))


def remove(sandbox: str) -> None:
    """Take a pod's interface away, for a namespace that outlives its processes; none is no error.

    Raises:
        OSError: the kernel refuses.
    """
    with _rtnetlink() as host:
        try:
            _ask(host, _DELLINK, 0, _link(0) + _attribute(_LINK_NAME, _text(interface(sandbox))))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def _recognize(sandbox: str, pid: int) -> None:
    """Look whether a process is the sandbox's: its control group has the container's id."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        groups = ""
    if sandbox not in groups:
        raise ElsewhereError(f"process {pid} is not that of container {sandbox[:12]} here")


def enter(pid: int) -> None:
    """Go into the network namespace of a process, with this thread only, which is lost by that.

    Raises:
        OSError: the kernel refuses, or the process has ended.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:  # noqa: PTH123 - a number is what it is for
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


async def in_thread(call: Callable[[], _T]) -> _T:
    """Call in a new thread that ends: the namespace that it enters must not be seen by others.

    Raises:
        Exception: whatever the call does.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_T] = loop.create_future()

    def tell(done: Callable[[], None]) -> None:
        if not answer.done():  # else nobody waits any more
            done()

    def run() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
                loop.call_soon_threadsafe(tell, partial(answer.set_exception, error))
            else:
                loop.call_soon_threadsafe(tell, partial(answer.set_result, result))

    threading.Thread(target=run, name="netns", daemon=True).start()
    return await answer


@contextlib.contextmanager
def _rtnetlink() -> Generator[socket.socket]:
    """A socket to the kernel's interfaces and addresses, of the namespace of this moment."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as made:
        made.bind((0, 0))
        yield made


def _ask(kernel: socket.socket, kind: int, flags: int, body: bytes) -> None:
    """One request and its answer.

    Raises:
        OSError: the kernel's refusal.
    """
    head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
    kernel.send(head + body)
    answer = kernel.recv(_ANSWER)
    answered, code = struct.unpack_from("=4xH10xi", answer)
    if answered != _ERROR:
        raise OSError(f"the kernel answers an rtnetlink request of type {kind} with {answered}")
    if code:
        raise OSError(-code, os.strerror(-code))


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(padding)


def _link(index: int, *, up: bool = False) -> bytes:
    """An ifinfomsg."""
    flags = _UP if up else 0
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _make_pair(
    host: socket.socket, name: str, bridge: str, peer: str, pid: int, hardware: bytes | None
) -> None:
    """A pair of interfaces: one on the bridge, its peer in the namespace of a process."""
    inner = _link(0) + _attribute(_LINK_NAME, _text(peer))
    inner += _attribute(_LINK_PID, struct.pack("=I", pid))
    if hardware is not None:
        inner += _attribute(_LINK_ADDRESS, hardware)
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, inner))
    body = _link(0, up=True) + _attribute(_LINK_NAME, _text(name))
    body += _attribute(_LINK_MASTER, struct.pack("=I", socket.if_nametoindex(bridge)))
    body += _attribute(_LINK_INFO, _attribute(_INFO_KIND, b"veth") + data)
    _ask(host, _NEWLINK, _CREATE | _EXCL, body)


def _address(index: int, address: ipaddress.IPv4Interface) -> bytes:
    """An ifaddrmsg."""
    network = address.network
    head = struct.pack("=BBBBI", socket.AF_INET, network.prefixlen, 0, 0, index)
    return (
        head
        + _attribute(_ADDR_LOCAL, address.ip.packed)
        + _attribute(_ADDR_ADDRESS, address.ip.packed)
        + _attribute(_ADDR_BROADCAST, network.broadcast_address.packed)
    )


def _default_route(index: int, via: str) -> bytes:
    """An rtmsg."""
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, _MAIN, _BOOT, 0, _UNICAST, 0)
    gateway = ipaddress.IPv4Address(via).packed
    return (
        head
        + _attribute(_ROUTE_GATEWAY, gateway)
        + _attribute(_ROUTE_OIF, struct.pack("=I", index))
    )
