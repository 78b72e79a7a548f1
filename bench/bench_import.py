"""How long until the client says something, and until a daemon takes calls?

`client`: from the start of `tilt-client version` to the first byte that it prints.  `daemon`: from
the start of `python -m tiltd` to its ready line.  Limits: 150 ms and 400 ms on an idle core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench import cluster
from tilt_api import handshake

_LIMITS = {"client": 150, "daemon": 400}


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    result: dict[str, object] = {"bench": "import", "runs": runs}
    for name, once in (("client", _client), ("daemon", _daemon)):
        once()  # the files of the interpreter come into the page cache
        took = [once() * 1000 for _ in range(runs)]
        middle = round(statistics.median(took), 1)
        result[name] = {
            "median_ms": middle,
            "fastest_ms": round(min(took), 1),
            "limit_ms": _LIMITS[name],
            "within": middle <= _LIMITS[name],
        }
    print(json.dumps(result, indent=2))
    return 0


def _client() -> float:
    reading, writing = os.pipe()
    began = time.perf_counter()
    with subprocess.Popen([cluster.CLIENT, "version"], stdout=writing) as process:
        os.close(writing)
        first = os.read(reading, 1)
        took = time.perf_counter() - began
    os.close(reading)
    if not first or process.returncode:
        sys.exit("tilt-client version did not print its version")
    return took


def _daemon() -> float:
    with tempfile.TemporaryDirectory(prefix="tiltd-bench-") as folder:
        reading, writing = os.pipe()
        began = time.perf_counter()
        command = [sys.executable, "-P", "-m", "tiltd", "--project-dir", folder]
        with subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=[writing]) as daemon:
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                word = handshake.decode(pipe.readline())
            took = time.perf_counter() - began
            daemon.terminate()
        if not isinstance(word, handshake.Ready):
            sys.exit(f"tiltd did not start: {word}")
    return took


if __name__ == "__main__":
    sys.exit(main())
