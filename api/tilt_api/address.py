"""Where a daemon listens, and where it keeps what belongs to one running daemon.

One tiltd serves one project folder: the folder that holds the Tiltfile, with symbolic links
resolved, so that two ways to one folder lead to one daemon.  All its files lie in a folder of its
own, named by a digest of that path, under the user's runtime folder:

    $XDG_RUNTIME_DIR/tiltd/<16 hex digits>/tiltd.sock · tiltd.log · tiltd.lock · start.lock

Where there is no usable runtime folder (not set, relative, or another user's, as after `su`), it
is `/tmp/tiltd-<uid>/`.  /tmp is everybody's, so each folder below it is created for its owner
alone and refused if someone else made it first: who owns the folder could swap the socket.

`TILTD_ADDRESS` (`unix:///path`, or `host:port` on the loopback) moves the socket, and nothing
else: the lock stays the project's, so there is never a second daemon for it.

Used by clients and daemon alike; imports no grpc, because a client asks for the address before
it can afford that.
"""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

ENVIRONMENT = "TILTD_ADDRESS"
LONGEST_PATH = 107
"""Bytes in the path of a unix socket: `sun_path` has 108, the last is a NUL (unix(7))."""

_LOOPBACK = re.compile(r"localhost|::1|127(\.[0-9]{1,3}){3}")


class AddressError(Exception):
    """There is no place for a daemon, or its address can't be used.

    Args:
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Unix(NamedTuple):
    """A unix socket, by its absolute path."""

    path: str

    def __str__(self) -> str:
        """`unix:///path`, as gRPC takes it."""
        return f"unix://{self.path}"


class Tcp(NamedTuple):
    """A port on the loopback."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`, as gRPC takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = Unix | Tcp


class Home(NamedTuple):
    """The files of one project's daemon.

    Args:
        root: the user's folder for daemons (mode 0700).
        folder: this daemon's, inside `root` (mode 0700).
        address: where it listens.
        log: what it writes itself (mode 0600).
        lock: locked (flock) by the daemon while it lives; holds its process id.
        start_lock: locked by a client while it starts a daemon.
    """

    root: str
    folder: str
    address: Address
    log: str
    lock: str
    start_lock: str


def project_dir(tiltfile: str) -> str:
    """The project folder of a Tiltfile; the Tiltfile may itself be a link to elsewhere."""
    return os.path.realpath(os.path.dirname(os.path.abspath(tiltfile)))  # noqa: PTH100, PTH120


def home(project: str, env: Mapping[str, str] | None = None) -> Home:
    """The files of the daemon of a project folder; touches nothing.

    Args:
        project: as `project_dir` gives it.
        env: in place of the process's environment.

    Raises:
        AddressError: `TILTD_ADDRESS` can't be used.
    """
    env = os.environ if env is None else env
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    root = _root(env, digest)
    folder = f"{root}/{digest}"
    given = env.get(ENVIRONMENT, "")
    return Home(
        root=root,
        folder=folder,
        address=parse(given) if given else Unix(f"{folder}/tiltd.sock"),
        log=f"{folder}/tiltd.log",
        lock=f"{folder}/tiltd.lock",
        start_lock=f"{folder}/start.lock",
    )


def parse(text: str) -> Address:
    """An address as people write it.

    Raises:
        AddressError: it is none, its path is too long, or it is not on this machine.
    """
    scheme, colon, path = text.partition("unix:")
    if colon and not scheme:
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise AddressError(f"{text!r} needs an absolute path", "for example unix:///run/t.sock")
        return Unix(_short(path))
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:  # ports have 16 bits
        raise AddressError(
            f"{text!r} is no address of a daemon", "write unix:///path, or 127.0.0.1:port"
        )
    if not _LOOPBACK.fullmatch(host):
        raise AddressError(
            f"{host} is not this machine's loopback", "a daemon listens on 127.0.0.1 or a socket"
        )
    return Tcp(host, int(port))


def ensure_folder(place: Home) -> None:
    """Make the daemon's folder, for its owner alone.

    Raises:
        AddressError: it can't be made, or can't be trusted.
    """
    for path in (place.root, place.folder):
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except FileExistsError:
            _trust(path)
        except OSError as error:
            raise AddressError(
                f"can't make the folder {path}: {error.strerror}",
                "set XDG_RUNTIME_DIR to a folder of your own",
            ) from error


def _root(env: Mapping[str, str], digest: str) -> str:
    runtime = env.get("XDG_RUNTIME_DIR", "")
    root = f"{runtime.rstrip('/')}/tiltd"
    fits = len(os.fsencode(f"{root}/{digest}/tiltd.sock")) <= LONGEST_PATH
    if runtime.startswith("/") and fits and _own(runtime):
        return root
    return f"/tmp/tiltd-{os.getuid()}"  # noqa: S108 - `ensure_folder` refuses what others made


def _own(path: str) -> bool:
    """As the XDG Base Directory Specification asks: a folder, the user's."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _trust(path: str) -> None:
    found = os.lstat(path)
    hint = "remove it, or set XDG_RUNTIME_DIR to a folder of your own"
    if not stat.S_ISDIR(found.st_mode):
        raise AddressError(f"{path} is not a folder", hint)
    if found.st_uid != os.getuid():
        raise AddressError(f"{path} belongs to another user (id {found.st_uid})", hint)
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise AddressError(f"{path} is open to other users", f"chmod 700 {path}")


def _short(path: str) -> str:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise AddressError(
            f"{path} is longer than the {LONGEST_PATH} bytes that a socket's path may have"
        )
    return path
