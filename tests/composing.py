"""Whether this machine has Docker Compose, and an Engine for it."""

import functools
import subprocess


@functools.cache
def has_plugin() -> bool:
    """Whether `docker compose` is there; it needs no Engine to read files."""
    return _works("docker", "compose", "version")


@functools.cache
def has_engine() -> bool:
    """Whether `docker compose` is there, and an Engine with the base image."""
    return has_plugin() and _works("docker", "image", "inspect", BASE)


BASE = "localhost:5000/base/busybox:1"
WITHOUT = "no docker compose, no Docker Engine, or no base image: make base-images compose"


def _works(*argv: str) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
