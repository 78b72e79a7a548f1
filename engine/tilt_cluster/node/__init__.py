"""Pods as containers on the Docker Engine.

`run` is the node: it waits for an Engine, makes the pods' network, and looks after the pods that
the scheduler binds to it.  Without an Engine the API works, and pods stay Pending with the reason.
"""

from tilt_cluster.node.running import run

__all__ = ["run"]
