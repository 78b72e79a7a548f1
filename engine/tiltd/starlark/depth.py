"""How deep calls may nest.

CPython's recursion limit belongs to the interpreter, not to a thread, and its default of 1000
is too low for programs that Tilt accepts.  It is only ever raised, to a depth at which the C
stack of a thread (8 MiB) was seen to hold: a frame called with *args costs about 400 bytes of it,
one called through a built-in about 600, and a plain call none.  A host must not lower the stack of
the threads that it runs programs on, nor call back from inside of C code (as in Python's own
`sorted(key=f)`), which costs several times as much.
"""

import sys

MAX_DEPTH = 10_000


def allow_depth() -> None:
    """Raise the interpreter's recursion limit, unless it is higher already."""
    if sys.getrecursionlimit() < MAX_DEPTH:
        sys.setrecursionlimit(MAX_DEPTH)
