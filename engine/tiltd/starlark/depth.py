"""How deep calls may nest.

CPython's recursion limit belongs to the interpreter, not to a thread, and its default of 1000
is too low for programs that Tilt accepts.  It is only ever raised, to a depth at which the C
stack of a thread (8 MiB) was seen to hold with a wide margin: a frame called with *args costs
about 400 bytes of it, one called through a built-in about 600.
"""

import sys

MAX_DEPTH = 10_000


def allow_depth() -> None:
    """Raise the interpreter's recursion limit, unless it is higher already."""
    if sys.getrecursionlimit() < MAX_DEPTH:
        sys.setrecursionlimit(MAX_DEPTH)
