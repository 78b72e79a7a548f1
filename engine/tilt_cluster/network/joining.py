"""How pods get on the bridge where this process may do it: an address each, and the interface.

The Engine has the upper half of the bridge's addresses, for the few pods that it joins itself
(`spec.joined_by_engine`); this is the owner of the lower half.  Addresses are given in turn, so
that one that has just become free is the last to be used again: others may still talk to it.
"""

import ipaddress
import logging
import os
import platform
from collections.abc import Sequence

from tilt_cluster.network import bridge, links

_LOG = logging.getLogger(__name__)


class Joining:
    """The addresses that this process gives, and the way to the bridge.

    Args:
        interface: the bridge's, in the kernel.
        subnet: all its addresses.
        own: those that the Engine doesn't give.
        gateway: the host's.

    Attributes:
        usable: False once it has turned out that the Engine must do it after all.
    """

    def __init__(
        self,
        interface: str,
        subnet: ipaddress.IPv4Network,
        own: Sequence[ipaddress.IPv4Address],
        gateway: str,
    ) -> None:
        self._interface, self._subnet, self._gateway = interface, subnet, gateway
        self._own = [str(one) for one in own if str(one) != gateway]
        self._next = 0
        self._taken: set[str] = set()
        self.usable = True

    def take(self) -> str:
        """An address that no pod has.

        Raises:
            OSError: all are taken.
        """
        for _ in self._own:
            found = self._own[self._next]
            self._next = (self._next + 1) % len(self._own)
            if found not in self._taken:
                self._taken.add(found)
                return found
        raise OSError("every address of the pods' network is taken")

    def hold(self, address: str) -> None:
        """A pod of an earlier run has this one."""
        self._taken.add(address)

    def release(self, address: str) -> None:
        """The pod that had it is gone."""
        self._taken.discard(address)

    async def join(self, sandbox: str, pid: int, address: str) -> None:
        """Give a sandbox its network.

        Raises:
            links.ElsewhereError: the sandbox's processes can't be seen from here.
            OSError: the kernel refuses, or the sandbox has ended.
        """
        place = self.place(address)
        await links.in_thread(lambda: links.join(sandbox, pid, *place))

    def place(self, address: str) -> tuple[str, ipaddress.IPv4Interface, str]:
        """The interface of the bridge, an address with its mask, and the gateway."""
        with_mask = ipaddress.IPv4Interface(f"{address}/{self._subnet.prefixlen}")
        return self._interface, with_mask, self._gateway


async def find(cluster: str, made: bridge.Bridge) -> Joining | None:
    """The way to a cluster's bridge; None where it is left to the Engine."""
    if platform.system() != "Linux" or os.geteuid() != 0 or made.engines is None:
        return None
    interface = bridge.interface(cluster)
    if trouble := await links.in_thread(lambda: links.trouble(interface)):
        _LOG.info("the Engine gives pods their network: %s", trouble)
        return None
    subnet, engines = ipaddress.IPv4Network(made.subnet), ipaddress.IPv4Network(made.engines)
    own = [one for one in subnet.hosts() if one not in engines]
    return Joining(interface, subnet, own, made.gateway)
