"""The migration, run as a Job: asks the API, which has the database, to make its tables."""

import os
import time
import urllib.error
import urllib.request

PATIENCE = 15


def main() -> None:
    """Ask until somebody answers; any answer but success raises, and the Job fails.

    A Service takes a moment to lead to a pod that has just become ready.
    """
    request = urllib.request.Request(
        f"{os.environ['API']}/migrate",
        method="POST",
        headers={"Authorization": f"Bearer {os.environ['SHOP_TOKEN']}"},
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                print(answer.read().decode())
                return
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            if time.monotonic() > end:
                raise
            print(f"the API does not answer yet: {error}")
            time.sleep(0.5)


if __name__ == "__main__":
    main()
