"""Namespaces, and the question whether there is a cluster at all."""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Generator
from pathlib import Path

CLIENT = str(Path(sys.executable).with_name("tilt-client"))


def required() -> None:
    """End with a sentence where no cluster is given."""
    if not os.environ.get("KUBECONFIG"):
        sys.exit("KUBECONFIG names no cluster: run `make bench`")


@contextlib.contextmanager
def namespace() -> Generator[str]:
    """A namespace for one cold run and what follows on it."""
    name = f"tiltd-bench-{uuid.uuid4().hex[:8]}"
    _kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        # Waited for, so that the clean-up of one run does not burden the next.
        _kubectl("delete", "namespace", name)


def ours(name: str, *flags: str) -> list[str]:
    """The command line of `tilt-client ci`."""
    return [CLIENT, "ci", "--namespace", name, *flags]


def theirs(name: str) -> list[str] | None:
    """The command line of `tilt ci`, where there is a tilt."""
    tilt = shutil.which("tilt")
    return [tilt, "ci", "--port=0", "--namespace", name] if tilt else None


def _kubectl(*args: str) -> None:
    subprocess.run(["kubectl", *args], check=True, capture_output=True)
