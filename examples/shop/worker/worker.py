"""Ships orders, oldest first, one at a time."""

import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

ALIVE = Path("/tmp/alive")


def ship() -> str:
    """Ship the oldest order; its number, or nothing if all are shipped."""
    request = urllib.request.Request(
        f"{os.environ['API']}/ship",
        method="POST",
        headers={"Authorization": f"Bearer {os.environ['SHOP_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def main() -> None:
    """Ship for ever; while the API is away, wait and say so."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("the worker is waiting for orders")
    while True:
        try:
            number = ship()
        except OSError as error:  # urllib's errors are OSErrors
            ALIVE.unlink(missing_ok=True)
            print(f"the API does not help: {error}")
            time.sleep(1)
            continue
        ALIVE.touch()
        if number:
            print(f"shipped order {number}")
        else:
            time.sleep(0.2)


if __name__ == "__main__":
    main()
