"""Hypothesis warns if a test changes the recursion limit, so it is raised before any runs."""

import pytest

from tiltd.starlark import depth


@pytest.fixture(autouse=True, scope="session")
def _deep_enough() -> None:
    depth.allow_depth()
