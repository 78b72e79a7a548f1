"""What is at a path; nothing, for one that nobody may look at or that can't be.

`pathlib` asks the system and raises what it answers, but for "there is none".
"""

from pathlib import Path


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def is_folder(path: str) -> bool:
    """Whether there is a folder."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: str) -> bool:
    """Whether there is a file."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
