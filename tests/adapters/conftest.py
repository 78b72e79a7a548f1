"""What the tests of several adapters need."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate of a host that is not ours, and its key."""
    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=else.where"),
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key
