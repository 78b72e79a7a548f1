"""A folder of another machine, as far as the kernel can tell: seen through FUSE (bindfs).

What is written to the one side comes to the other without any event, as on NFS, SMB or a folder
that a virtual machine shares with its host.
"""

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Shared:
    """One folder and its two sides.

    Args:
        here: where this machine has mounted it.
        there: where the other machine has it.
    """

    here: Path
    there: Path


@contextmanager
def shared(folder: Path) -> Generator[Shared]:
    """Share a folder while the context lasts; skips the test where there is no FUSE."""
    program = shutil.which("bindfs")
    if program is None:
        pytest.skip("bindfs is not installed")
    made = Shared(folder / "here", folder / "there")
    made.here.mkdir()
    made.there.mkdir()
    mounting = [program, "--no-allow-other", str(made.there), str(made.here)]
    if (done := subprocess.run(mounting, capture_output=True, check=False)).returncode:
        pytest.skip(f"this machine allows no FUSE: {done.stderr.decode().strip()}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(made.here)], check=True)
