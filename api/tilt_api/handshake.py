r"""How a starting daemon tells its starter that it is there.

The starter passes the writing end of a pipe (`--ready-fd N`).  The daemon writes one line and
closes it; so the starter waits for an event, not for a while, and an end without a line means
that the daemon died.

    ready unix:///run/user/1000/tiltd/0123456789abcdef/tiltd.sock\n    it answers calls
    running unix:///…\n      another daemon has the project's lock: use that one (this one exits)
    error {"message": "…", "hint": "…"}\n      it can't start, and this is why (it exits)
"""

import json
from typing import NamedTuple


class Ready(NamedTuple):
    """The daemon answers calls."""

    address: str


class Running(NamedTuple):
    """Another daemon of this project was there first, or is about to answer."""

    address: str


class Failed(NamedTuple):
    """The daemon can't start."""

    message: str
    hint: str = ""


Word = Ready | Running | Failed


def encode(word: Word) -> bytes:
    """The line for the pipe."""
    match word:
        case Ready(address):
            line = f"ready {address}"
        case Running(address):
            line = f"running {address}"
        case Failed(message, hint):
            line = "error " + json.dumps({"message": message, "hint": hint})
    return f"{line}\n".encode()


def decode(line: bytes) -> Word | None:
    """What the daemon said; `None` if that is no whole line of this protocol."""
    verb, _, rest = line.decode(errors="replace").partition(" ")
    if not rest.endswith("\n"):
        return None
    match verb:
        case "ready":
            return Ready(rest.strip())
        case "running":
            return Running(rest.strip())
        case "error":
            return _failed(rest)
        case _:
            return None


def _failed(text: str) -> Failed | None:
    try:
        said = json.loads(text)
        return Failed(str(said["message"]), str(said.get("hint", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
