"""What a machine may lack; a test that needs it is skipped there."""

import os
import shutil

import pytest

SERVICES = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"
)
"""Cluster IPs of embedded clusters: an address and a port that are nobody's."""
