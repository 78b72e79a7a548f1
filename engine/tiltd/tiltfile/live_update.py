"""The order and the paths of `live_update` steps, checked when the Tiltfile is read.

The rules are those of the Live Update reference: `initial_sync` first and once, then
`fall_back_on`, then `sync`, then `run`, and `restart_container` last.  Local paths must lie inside
what the build watches, else no change to them would ever be seen.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence

from tiltd.model.desired import LiveUpdateStep
from tiltd.tiltfile.mistakes import Mistake

_ORDER = {"initial_sync": 0, "fall_back_on": 1, "sync": 2, "run": 3, "restart_container": 4}
_ONCE = frozenset({"initial_sync", "restart_container"})
_LATE = {
    "initial_sync": "initial_sync() must be the first step, and the only one of its kind",
    "fall_back_on": "fall_back_on() steps must come before all other steps",
    "sync": "all sync() steps must come before all run() steps",
    "run": "restart_container() must be the last step",
    "restart_container": "restart_container() must be the last step, and the only one of its kind",
}


def check_order(steps: Sequence[LiveUpdateStep]) -> None:
    """Refuse steps in the wrong order, and container paths that are not absolute.

    Raises:
        Mistake: with the place of the step.
    """
    seen = -1
    for step in steps:
        rank = _ORDER[step.kind]
        if rank < seen or (rank == seen and step.kind in _ONCE):
            raise Mistake(f"live_update: {_LATE[step.kind]}", place=step.place)
        seen = rank
        if step.kind == "sync" and not step.remote.startswith("/"):
            raise Mistake(
                f"live_update: the container path {step.remote!r} of sync() is not absolute",
                hint="begin it with a slash",
                place=step.place,
            )


def check_paths(
    steps: Iterable[LiveUpdateStep], watched: Sequence[str], shown: Callable[[str], str]
) -> None:
    """Refuse local paths outside of `watched`.

    Args:
        steps: in any order.
        watched: absolute folders and files.
        shown: writes a path as messages do.

    Raises:
        Mistake: with the place of the step.
    """
    for step in steps:
        if step.kind not in {"sync", "fall_back_on"}:
            continue
        for path in step.paths:
            if not any(inside(path, folder) for folder in watched):
                raise Mistake(
                    f"{step.kind}() names {shown(path)}, which is not in what the build watches",
                    hint=f"it watches: {', '.join(map(shown, watched)) or 'nothing'}",
                    place=step.place,
                )


def inside(path: str, folder: str) -> bool:
    """Whether an absolute `path` is `folder` or below it."""
    return path == folder or path.startswith(posixpath.join(folder, ""))
