"""An embedded cluster for one run: a process of its own, which ends with us however we end.

The cluster is started as a program and told to live as long as its standard input, the other end
of which only this process has: after an exception, a second Ctrl-C or a kill -9 the kernel closes
it, and the cluster takes away all that it made.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from typing import IO

from tilt_client.complaint import Complaint

COMMAND = (sys.executable, "-P", "-m", "tilt_cluster")
"""The program; it is asked for by its name, never imported."""
_READY = "export KUBECONFIG="
_MISSING = "missing: "
_STARTING, _ENDING = 30.0, 30.0
_POD = "KUBERNETES_SERVICE_HOST"


def is_missing_kubeconfig(environ: Mapping[str, str]) -> bool:
    """Whether nobody has said anything about a cluster.

    A `KUBECONFIG` that names a file which is not there is a mistake, and no invitation.
    """
    if environ.get("KUBECONFIG") or environ.get(_POD):
        return False
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib costs 5 ms
    return not os.path.exists(os.path.join(home, ".kube", "config"))  # noqa: PTH110, PTH118


@contextlib.contextmanager
def passing(say: Callable[[str], None], why: str = "") -> Generator[None]:
    """Have a cluster, and `KUBECONFIG` name it, for as long as the block lasts.

    Args:
        say: told, in a line, that there is one, and another if something of it stays.
        why: nobody asked for it, and there is one all the same.

    Raises:
        Complaint: it can't be started.
    """
    name, before = f"ci-{os.urandom(3).hex()}", os.environ.get("KUBECONFIG")
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own program
        [*COMMAND, "run", "--while-stdin", "--log", "--name", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            os.environ["KUBECONFIG"], missing = _kubeconfig(process)
            taken = time.monotonic() - began
            reason = f" ({why})" if why else ""
            say(f"Embedded cluster {name} for this run is up in {taken:.2f}s{reason}")
            for line in missing:
                say(line)
            yield
        finally:
            _restore(before)
            _end(process, name, say)


def _restore(before: str | None) -> None:
    os.environ.pop("KUBECONFIG", None)
    if before is not None:
        os.environ["KUBECONFIG"] = before


def _kubeconfig(process: subprocess.Popen[bytes]) -> tuple[str, list[str]]:
    """What the cluster says when it answers: the file, and what it lacks here, line by line."""
    said, deadline = "", time.monotonic() + _STARTING
    while True:
        lines = said.splitlines(keepends=True)
        for line in lines:
            if line.startswith(_READY) and line.endswith("\n"):
                missing = [one.rstrip("\n") for one in lines if one.startswith(_MISSING)]
                return line.removeprefix(_READY).rstrip("\n"), missing
        text = _more(process.stdout, deadline)
        if not text:
            why = "was not ready in time" if time.monotonic() > deadline else "has ended"
            hint = "name another cluster: --cluster current"
            raise Complaint(f"the embedded cluster {why} when it was started", hint, said.strip())
        said += text


def _more(stream: IO[bytes] | None, deadline: float) -> str:
    left = deadline - time.monotonic()
    if stream is None or left <= 0 or not select.select([stream], [], [], left)[0]:
        return ""
    return os.read(stream.fileno(), 65536).decode(errors="replace")


def _end(process: subprocess.Popen[bytes], name: str, say: Callable[[str], None]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        code = process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code:
        say(f"something of the embedded cluster stays: tilt-client cluster down --name {name}")
