"""Finds the project's daemon, or starts one, and makes sure that it fits.

A daemon is there if its socket takes a connection; a socket file that a crash left behind does
not.  Clients that start at once take turns at `start.lock`: the first starts a daemon, the others
wait for the lock, which is an event, and then find it.  The daemon's own lock decides against
daemons that were started by other means.

The daemon's process is started before grpc is imported here: the two take about as long as each
other, and on two cores that is half the time.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, NamedTuple

from tilt_api import address, handshake
from tilt_api.address import Home
from tilt_api.version import VERSION
from tilt_client.complaint import Complaint
from tilt_client.spawn import ENDING, Spawned, Start, log_tail

if TYPE_CHECKING:
    from tilt_api.client import CallError, Client
    from tilt_api.v1 import tilt_pb2 as pb

QUIET = ("GRPC_VERBOSITY", "NONE")
"""Without it grpc tells the terminal about every daemon that ends (read when it is imported)."""

_ATTEMPTS = 3
_PAUSE = 0.02
_OTHERS = 10.0
"""Seconds for a daemon that somebody else is starting."""
_ANSWER = 5.0


class Link(NamedTuple):
    """A daemon that fits, and a client of it.

    Args:
        own: its process, if it was started for this client.
    """

    client: "Client"
    info: "pb.GetInfoResponse"
    home: Home
    own: Spawned | None


def locate(tiltfile: str) -> tuple[str, Home]:
    """The project folder of a Tiltfile, and where its daemon is.

    Raises:
        Complaint: `TILTD_ADDRESS` can't be used, or there is no safe place.
    """
    os.environ.setdefault(*QUIET)
    project = address.project_dir(tiltfile)
    try:
        place = address.home(project)
        address.ensure_folder(place)
    except address.AddressError as error:
        raise Complaint(str(error), error.hint) from error
    return project, place


@contextlib.contextmanager
def existing(tiltfile: str) -> Generator[Link | None]:
    """The daemon that runs, whatever its version; `None` if there is none."""
    _, place = locate(tiltfile)
    if not listens(place.address):
        yield None
        return
    with _connected(place) as client:
        info = _info(client)
        yield None if info is None else Link(client, info, place, None)


@contextlib.contextmanager
def ensured(
    tiltfile: str, start: Start, meanwhile: Callable[[], object], say: Callable[[str], None]
) -> Generator[Link]:
    """The project's daemon, started if there is none.

    On the way out, one that was started here to live only for now is ended.

    Args:
        tiltfile: of the project.
        start: how to start a daemon.
        meanwhile: what to do while it starts.
        say: told what takes time.

    Raises:
        Complaint: there is no daemon, or not one that fits.
    """
    project, place = locate(tiltfile)
    with contextlib.ExitStack() as stack:
        for _ in range(_ATTEMPTS):
            own = _find_or_start(project, place, start, meanwhile, say)
            link = _fitting(stack, project, place, own, say)
            if link is not None:
                break
        else:
            raise Complaint(
                f"the daemon at {place.address} keeps vanishing", f"its whole log: {place.log}"
            )
        passing = link.own if start.passing else None
        try:
            yield link
            if passing is not None:
                stop(link.client, passing)
        except BaseException:
            if passing is not None:
                passing.end()
            raise


def listens(where: address.Address) -> bool:
    """Whether somebody takes connections there."""
    family = socket.AF_UNIX if isinstance(where, address.Unix) else socket.AF_INET
    if isinstance(where, address.Tcp) and ":" in where.host:
        family = socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER)
        try:
            probe.connect(where.path if isinstance(where, address.Unix) else tuple(where))
        except OSError:
            return False
    return True


def gone(place: Home, own: Spawned | None) -> Complaint:
    """What to say when the daemon broke off."""
    tail = log_tail(place.log, own.log_start if own is not None else 0)
    return Complaint("tiltd has ended unexpectedly", f"its whole log: {place.log}", tail)


def stop(client: "Client", own: Spawned) -> None:
    """End a daemon that was started here; by force if it does not listen."""
    from tilt_api.client import CallError  # noqa: PLC0415 - see the module

    with contextlib.suppress(CallError):
        client.shutdown(timeout=ENDING)
        own.wait()
    own.end(patience=0)


def await_end(pid: int, seconds: float) -> bool:
    """Whether a process that is no child of ours ended within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(_PAUSE)
    return False


def _find_or_start(
    project: str,
    place: Home,
    start: Start,
    meanwhile: Callable[[], object],
    say: Callable[[str], None],
) -> Spawned | None:
    if listens(place.address):
        return None
    if isinstance(place.address, address.Tcp):
        raise Complaint(
            f"no tiltd listens on {place.address}",
            f"start one there, or unset {address.ENVIRONMENT}",
        )
    with _turn(place):
        if listens(place.address):
            return None
        say(f"Starting tiltd for {project}")
        own = Spawned(place, project, start)
        try:
            meanwhile()
            word = own.word()
        except BaseException:
            own.end()
            own.close()
            raise
    return _heard(word, place, own)


def _heard(word: handshake.Word, place: Home, own: Spawned) -> Spawned | None:
    if isinstance(word, handshake.Ready):
        return own
    own.end()
    own.close()
    if isinstance(word, handshake.Failed):
        raise Complaint(f"tiltd can't start: {word.message}", word.hint)
    # Another one has the lock.  It says nothing to us, so there is nothing to wait on but time.
    deadline = time.monotonic() + _OTHERS
    while not listens(place.address) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return None


@contextlib.contextmanager
def _turn(place: Home) -> Generator[None]:
    """One client at a time starts a daemon; the kernel lets go when a client dies."""
    handle = os.open(place.start_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _connected(place: Home) -> Generator["Client"]:
    from tilt_api.client import connect  # noqa: PLC0415 - see the module

    with connect(str(place.address)) as client:
        yield client


def _info(client: "Client") -> "pb.GetInfoResponse | None":
    from tilt_api.client import CallError  # noqa: PLC0415 - see the module

    try:
        return client.info(_ANSWER)
    except CallError as error:
        if error.lost:
            return None
        raise Complaint(*refusal(error)) from error


def _fitting(
    stack: contextlib.ExitStack,
    project: str,
    place: Home,
    own: Spawned | None,
    say: Callable[[str], None],
) -> Link | None:
    """A link to the daemon; `None` if it has gone away, or has been sent away."""
    with contextlib.ExitStack() as local:
        if own is not None:
            local.callback(own.close)
        client = local.enter_context(_connected(place))
        try:
            info = _info(client)
            if own is None and (info is None or _replaced(client, info, say)):
                return None
            fitting = _checked(info, project, place, own)
        except BaseException:
            if own is not None:
                own.end()
            raise
        stack.push(local.pop_all())
        return Link(client, fitting, place, own)


def refusal(error: "CallError") -> tuple[str, str]:
    """Sentence and hint for a call that the daemon did not answer well."""
    if error.code == "UNIMPLEMENTED":
        return "the daemon speaks another version", "tilt-client daemon stop"
    if error.code == "DEADLINE_EXCEEDED":
        return "the daemon does not answer", "see tilt-client daemon logs"
    return str(error), error.problem.hint


def _replaced(client: "Client", info: "pb.GetInfoResponse", say: Callable[[str], None]) -> bool:
    """End a daemon of another version, unless somebody is using it."""
    if info.version == VERSION:
        return False
    if info.session_active:
        raise Complaint(
            f"tiltd {info.version} (process {info.pid}) runs a session in {info.project_dir}, "
            f"and this is tilt-client {VERSION}",
            "end that session first, or: tilt-client daemon stop",
        )
    say(f"Replacing tiltd {info.version} by {VERSION}")
    client.shutdown()
    if not await_end(info.pid, _OTHERS):
        raise Complaint(f"tiltd {info.version} (process {info.pid}) does not end")
    return True


def _checked(
    info: "pb.GetInfoResponse | None", project: str, place: Home, own: Spawned | None
) -> "pb.GetInfoResponse":
    if info is None:
        raise gone(place, own)
    if info.version != VERSION:
        raise Complaint(
            f"tiltd has version {info.version}, and this is tilt-client {VERSION}",
            "install both from one package",
        )
    if info.project_dir != project:
        raise Complaint(
            f"the tiltd at {place.address} serves {info.project_dir}, not {project}",
            f"unset {address.ENVIRONMENT}",
        )
    return info
