"""Where things are kept that outlive a daemon: the user's state folder.

`$XDG_STATE_HOME/tiltd`, else `~/.local/state/tiltd` (XDG Base Directory Specification).  All that
is in there can be made again; so where no folder of the user's own can be had, there is none, and
the daemon works without.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def state(env: Mapping[str, str]) -> Path | None:
    """The folder, made for its owner alone; `None` if it can't be had or can't be trusted.

    Args:
        env: the daemon's environment.
    """
    given, home = env.get("XDG_STATE_HOME", ""), env.get("HOME", "")
    if not given.startswith("/"):
        if not home.startswith("/"):
            return None
        given = f"{home}/.local/state"
    folder = Path(given) / "tiltd"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if own and not stat.S_IMODE(found.st_mode) & 0o022 else None
