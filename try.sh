#!/bin/sh
# The example app on an embedded cluster, with nothing but Python to begin with; as root on Debian.
# Installs what is missing, runs `tilt-client ci`, says its verdict, and ends what it has started.
#
#   ./try.sh          exit code 0: green
#   ./try.sh --keep   leaves the cluster running, with the app in it
#   ./try.sh --down   ends what --keep has left
cd "$(dirname "$0")" || exit
for python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" -B -m tools.first_run "$@"
  fi
done
echo "error: no Python 3.11 or newer on PATH: apt-get install python3; or set PYTHON to one" >&2
exit 1
