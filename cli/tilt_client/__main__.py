"""`tilt-client VERB`: imports the verb's module, runs it, and turns complaints into exit codes."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from tilt_client import arguments, terminal
from tilt_client.complaint import Complaint, Exit

if TYPE_CHECKING:
    from types import ModuleType

VERBS = {
    "ci": "build, deploy, wait until everything is healthy, and say so",
    "up": "build and deploy, and again whenever a file changes, until Ctrl-C",
    "down": "delete what this project applied, in reverse order",
    "plan": "tell what ci would do, and why, and do nothing",
    "diff": "tell which fields of live objects ci would change",
    "keys": "print the digests that decide whether work is due",
    "why": "tell why an image or object is due: which input changed",
    "graph": "print what waits for what: text, dot, json, mermaid",
    "status": "how the session of a running daemon stands",
    "get": "list its resources: -o name, wide, json, yaml",
    "describe": "all that is known about resources",
    "wait": "until resources are ready: --for=condition=Ready",
    "logs": "its log, of all resources or some",
    "trigger": "update a resource now",
    "daemon": "status, stop or logs of this project's tiltd",
    "cluster": "up, down, status, kubeconfig or list: embedded clusters, or kind ones",
    "lint": "tell the Tiltfile's errors and warnings, and do nothing",
    "alpha": "tiltfile-result: print all that the Tiltfile asks for, as JSON",
    "doctor": "check what tiltd needs on this machine",
    "version": "print the version of this program",
}


_OBJECTS_BETWEEN_COLLECTIONS = 10_000
_OPENSSL = ("_ssl", "_hashlib")


class _Verb(Protocol):
    def run(self, argv: Sequence[str]) -> int: ...


def main() -> int:
    """Run the command line of this process; the exit code."""
    terminal.open_closed()
    _do_without_openssl()
    # What is imported stays: to look for garbage in it 60 times takes a twentieth of a short run.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        _here()
        return _run(sys.argv[1:])
    except Complaint as complaint:
        return complaint.code if _complain(complaint) else Exit.CLOSED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        terminal.abandon()
        return Exit.CLOSED
    finally:
        gc.freeze()  # else the interpreter's end looks for circles in all of grpc: 0.04 s


def _do_without_openssl() -> None:
    """Keep OpenSSL out of this process, as where Python was built without it.

    asyncio (which gRPC imports) and hashlib would load it: 5 MiB and some milliseconds.  But a
    client speaks with a daemon of this machine only, and the daemon with all others.
    """
    for module in _OPENSSL:
        sys.modules.setdefault(module, cast("ModuleType", None))  # importlib: no such module


def _here() -> None:
    """Make sure that there is a working folder: every path on the command line starts there."""
    try:
        os.stat(".")  # noqa: PTH116 - pathlib costs 5 ms of start-up
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise Complaint("the current folder is gone", "go to another one") from error


def _run(argv: Sequence[str]) -> int:
    verb, rest = arguments.verb_first(argv)
    if verb == "help" or (not verb and {"-h", "--help"} & set(rest)):
        sys.stdout.write(_help())
        return 0
    if not verb and rest == ["--version"]:
        verb, rest = "version", []
    if verb not in VERBS:
        message = f"there is no verb {verb!r}" if verb else "what to do? A verb is missing"
        raise Complaint(message, f"one of {', '.join(VERBS)}; tilt-client --help", code=Exit.USAGE)
    module = cast("_Verb", importlib.import_module(f"tilt_client.commands.{verb}"))
    return module.run(rest)


def _help() -> str:
    verbs = "".join(f"  {name:<10}{summary}\n" for name, summary in VERBS.items())
    return (
        "usage: tilt-client VERB [flags] [args of the Tiltfile] [-- args]\n\n"
        "Do all the servers of this app start, and stay up?\n\n"
        f"{verbs}\ntilt-client VERB --help tells the flags of a verb.\n\n"
        "environment: NO_COLOR=1 for no colours; TILTD_ADDRESS=unix:///path or 127.0.0.1:port\n"
        "for a tiltd elsewhere; XDG_RUNTIME_DIR is where the sockets are, else /tmp/tiltd-UID.\n"
    )


def _complain(complaint: Complaint) -> bool:
    """Print a complaint to standard error; whether somebody could read it."""
    try:
        sys.stdout.flush()
        sys.stderr.write(f"tilt-client: {complaint}\n")
    except BrokenPipeError:
        terminal.abandon()
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
