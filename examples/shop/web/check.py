"""The check, run as a Job: buys an apple at the front and waits until the worker has shipped it.

It runs in the cluster, so that it works with any, and needs no program and no free port outside.
"""

import sys
import time
import urllib.request
from collections.abc import Callable

FRONT = "http://web"
PATIENCE = 15


def get(path: str) -> str:
    """Ask the front."""
    with urllib.request.urlopen(f"{FRONT}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def eventually(ask: Callable[[], str], complaint: str) -> str:
    """What `ask` says, once it says something and doesn't raise; if that takes long, complain."""
    end = time.monotonic() + PATIENCE
    why = ""
    while time.monotonic() < end:
        try:
            if said := ask():
                return said
        except OSError as error:  # urllib's errors are OSErrors
            why = f": {error}"
        time.sleep(0.2)
    sys.exit(f"{complaint}{why}")


def main() -> None:
    """Buy one."""
    order = eventually(lambda: get("/buy?item=apple"), "the front sells nothing")
    print(f"ordered: {order}")
    wanted = f"{order} apple shipped"
    eventually(
        lambda: wanted if wanted in get("/orders").splitlines() else "",
        f"order {order} was not shipped in time",
    )
    print(f"order {order} was shipped")


if __name__ == "__main__":
    main()
