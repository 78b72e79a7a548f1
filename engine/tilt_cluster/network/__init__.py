"""The cluster's network: the pods' bridge, names, service addresses and node ports.

`start` makes what pods join, and says what is missing without root; `run` then keeps names and
addresses as the objects say.  Everything listens on the host's loopback or on the bridge.
"""

from tilt_cluster.network.running import Facilities, run, start, stop

__all__ = ["Facilities", "run", "start", "stop"]
