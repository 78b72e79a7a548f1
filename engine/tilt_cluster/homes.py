"""Where the clusters of this user live by their names, and which of them are alive.

    $XDG_STATE_HOME/tilt-cluster/NAME/   lock · log · kubeconfig · keys · folders of pods

(`~/.local/state` where that is not set.)  A cluster holds the lock on `lock` while it runs, and its
process id stands in there.  The kernel lets go of the lock however the process ends; so a folder
whose lock is free is what a killed cluster has left behind, and whoever takes the lock may clear it
away.  The folder goes with its lock inside: who has locked a file that is no longer the one of that
name has locked nothing, and tries again.

A cluster without a node makes nothing outside of its folder, so its name need not be its own: it
has a folder among the temporary files, with a lock of the same meaning.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilt_cluster import engine, names, removal

LONGEST = 40
_AGAIN, _PATIENCE = 0.05, 10.0
_STUCK = "stuck"
"""There if the Engine keeps the network: nobody waits for it a second time."""
_STAYS = frozenset({"lock", "log", _STUCK})
_SCRATCH = "tilt-cluster-"


class TakenError(Exception):
    """Another process is the cluster of that name."""


class LeftError(Exception):
    """Something that the cluster has made could not be removed; the folder stays, for next time."""


class StuckError(LeftError):
    """It is its network only, which the Engine keeps until it is started anew."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one cluster."""

    name: str
    folder: Path

    @property
    def lock(self) -> Path:
        """Locked while the cluster runs; holds its process id."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        """What it has to say when nobody listens."""
        return self.folder / "log"

    @property
    def kubeconfig(self) -> Path:
        """With which clients reach it."""
        return self.folder / "kubeconfig"


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of all homes (XDG Base Directory Specification)."""
    given = environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return state / "tilt-cluster"


def home(name: str) -> Home:
    """The home of the cluster of that name, whether it exists or not.

    Raises:
        ValueError: no cluster can be called so.
    """
    wrong = [*names.label(name)]
    if not wrong and len(name) > LONGEST:
        wrong.append(f"must be no more than {LONGEST} characters")
    if wrong:
        raise ValueError(f"a cluster can't be called {name!r}: {', '.join(wrong)}")
    return Home(name, root() / name)


def known() -> Sequence[Home]:
    """All homes that there are, of the living and the dead."""
    folder = root()
    found = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    return [Home(name, folder / name) for name in found if not names.label(name)]


def process(here: Home) -> int:
    """The process that is the cluster of this home; 0: it doesn't run."""
    try:
        handle = os.open(here.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner(here)
    finally:
        os.close(handle)
    return 0


@contextlib.contextmanager
def claimed(here: Home) -> Generator[bool]:
    """Be the cluster of this home for as long as the block lasts.

    Yields:
        Whether the folder has anything of an earlier cluster.

    Raises:
        TakenError: another process is.
        OSError: the folder can't be written.
    """
    deadline = time.monotonic() + _PATIENCE
    while (handle := _lock(here, make=True)) is None:
        owner = _owner(here)
        if owner or time.monotonic() > deadline:
            raise TakenError(f"the cluster {here.name} runs already (process {owner or 'unknown'})")
        time.sleep(_AGAIN)  # somebody is just looking, or clearing away
    try:
        os.write(handle, f"{os.getpid()}\n".encode())
        yield any(one.name not in _STAYS for one in here.folder.iterdir())
    finally:
        os.close(handle)


async def sweep() -> None:
    """Remove what killed clusters have left behind.

    What can't be removed now stays for the next time: nobody has asked for it.
    """
    for one in known():
        handle = _lock(one, make=False)
        if handle is not None:
            try:
                with contextlib.suppress(LeftError):
                    await clear(one)
            finally:
                os.close(handle)


def scratch(name: str) -> Home:
    """A fresh folder for a cluster without a node; those of killed ones are removed.

    Raises:
        ValueError: no cluster can be called so.
        OSError: there is no room for temporary files.
    """
    home(name)
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*")):
        with contextlib.suppress(OSError, LeftError):  # another user's, or gone by now
            dead = Home(name, folder)
            if folder.stat().st_uid != os.getuid() or (handle := _lock(dead, make=False)) is None:
                continue
            try:
                _delete(folder)
            finally:
                os.close(handle)
    return Home(name, Path(tempfile.mkdtemp(prefix=_SCRATCH)))


def discard(here: Home) -> None:
    """Remove the folder of a cluster that has made nothing outside of it.

    Raises:
        LeftError: something stays.
    """
    with contextlib.suppress(FileNotFoundError):
        _delete(here.folder)


async def clear(here: Home) -> int:
    """Remove a cluster that doesn't run, from the Engine and from the disk; how many containers.

    Raises:
        LeftError: something stays.
    """
    count = await _empty(here)
    discard(here)
    return count


async def prepare(here: Home) -> None:
    """Likewise, but the folder stays, with its lock and log; a network that is stuck is used on.

    Raises:
        LeftError: something else stays.
    """
    with contextlib.suppress(StuckError):
        await _empty(here)


async def _empty(here: Home) -> int:
    count, path, stuck = 0, _socket(), here.folder / _STUCK
    failure: LeftError | None = None
    if path:
        patience = {"patience": 0.0} if stuck.exists() else {}
        try:
            async with engine.Engine(path) as client:
                count = await removal.remove(here.name, client, **patience)
            stuck.unlink(missing_ok=True)
        except removal.StuckNetworkError as error:
            stuck.touch()
            failure = StuckError(f"the network of the cluster {here.name} stays: {error}")
        except (engine.EngineAwayError, engine.EngineError, TimeoutError, OSError) as error:
            what = f"what the cluster {here.name} has in the Docker Engine can't be removed"
            raise LeftError(f"{what}: {str(error) or 'it takes too long'}") from error
    if here.folder.is_dir():
        for one in here.folder.iterdir():
            if one.name not in _STAYS:
                _delete(one)
    if failure is not None:
        raise failure
    return count


def _socket() -> str:
    """Where the Engine is; empty if there is none that a node of this user could have used."""
    try:
        path = engine.socket_path()
    except ValueError:
        return ""
    return path if os.access(path, os.R_OK | os.W_OK) else ""


def _delete(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = ""
        if isinstance(error, PermissionError) and os.geteuid() != 0:
            hint = f" (containers have written there as root: sudo rm -r {path})"
        raise LeftError(f"{path} can't be removed: {error}{hint}") from error


def _lock(here: Home, *, make: bool) -> int | None:
    """A descriptor that holds the lock, of an empty file; None: not now."""
    if make:
        here.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(here.lock, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), here.lock.stat()):
            os.ftruncate(handle, 0)
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _owner(here: Home) -> int:
    try:
        text = here.lock.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
