"""`tilt-client daemon status|stop|logs`: the daemon of a project, whoever started it."""

import contextlib
import sys
import time
from collections.abc import Sequence

from tilt_client import arguments, connect, spawn
from tilt_client.complaint import Complaint

_SUMMARY = """\
Look after the tiltd of a project.

  status   whether it runs, and what it does; exit code 1: it does not run
  stop     end its session and itself
  logs     what it wrote itself (not the app's logs)"""
_ENDING = 10.0


def run(argv: Sequence[str]) -> int:
    """Do one of the three; the exit code."""
    parser = arguments.Parser("daemon", _SUMMARY)
    parser.add_argument("what", choices=("status", "stop", "logs"))
    arguments.add(parser, arguments.FILE, arguments.LINES)
    found = parser.parse_intermixed_args(argv)
    if found.what == "logs":
        return _logs(found.file, found.lines)
    with connect.existing(found.file) as link:
        if link is None:
            sys.stdout.write("no tiltd runs for this project\n")
            return 1 if found.what == "status" else 0
        return _status(link) if found.what == "status" else _stop(link)


def _status(link: connect.Link) -> int:
    info, home = link.info, link.home
    idle = f"{info.idle_timeout:g}s" if info.idle_timeout >= 0 else "never"
    session = "none" if not info.session_id else f"{info.session_id} (over)"
    rows = (
        ("version", info.version),
        ("process", str(info.pid)),
        ("project", info.project_dir),
        ("up for", f"{max(time.time() - info.started_at, 0):.0f}s"),
        ("session", info.session_id if info.session_active else session),
        ("ends idle after", idle),
        ("address", str(home.address)),
        ("log", home.log),
    )
    sys.stdout.write("".join(f"{name:<17}{value}\n" for name, value in rows))
    return 0


def _stop(link: connect.Link) -> int:
    from tilt_api.client import CallError  # noqa: PLC0415 - only with a daemon is grpc needed

    with contextlib.suppress(CallError):  # it may be gone before it has answered
        link.client.shutdown()
    if not connect.await_end(link.info.pid, _ENDING):
        raise Complaint(
            f"tiltd (process {link.info.pid}) has not ended after {_ENDING:g}s",
            f"its whole log: {link.home.log}",
        )
    sys.stdout.write(f"tiltd (process {link.info.pid}) has ended\n")
    return 0


def _logs(tiltfile: str, lines: int) -> int:
    _, place = connect.locate(tiltfile)
    text = spawn.log_tail(place.log, count=lines)
    sys.stdout.write(f"{text}\n" if text else f"{place.log} is empty\n")
    return 0
