"""The controllers: every kind of object that the cluster itself acts on, besides running pods.

`run` is the whole of it: one loop that follows every change, turns it into the keys of what has to
be looked at (`wiring`), and gives those to the controllers (generators, see `plan`).
"""

from tilt_cluster.controllers.loop import run

__all__ = ["run"]
