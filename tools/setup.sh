#!/usr/bin/env bash
# What `make test` and `make lint` need on a fresh machine: the virtual environment .venv with
# exactly what constraints.txt pins, and the project itself in editable form.
# With --runtime only what the programs need; without the hashes, which pip checks for all or none.
# An environment that is there is completed, never made anew. PYTHON names the interpreter (3.11+).
set -euo pipefail
cd "$(dirname "$0")/.."

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
  if "$python" -c "$new_enough" 2>/dev/null; then break; fi
  python=
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11 or newer on PATH; set PYTHON to one" >&2
  exit 1
fi

[ $# = 0 ] || [ "$*" = --runtime ] || { echo "usage: $0 [--runtime]" >&2; exit 2; }
runtime=${1-}
missing=()
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
[ -n "$runtime" ] || command -v node >/dev/null || missing+=(nodejs) # pyright runs on it
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: missing: ${missing[*]} (names of Debian packages); install them" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -yq --no-install-recommends "${missing[@]}" >&2
fi

# As pip does with what it installs: where Python may not write beside sources (a container's
# PYTHONDONTWRITEBYTECODE), it would compile all of them at each start, which is a third of that.
compiled() { .venv/bin/python -m compileall -q api cli engine; }

pins=$(cat constraints.txt pyproject.toml | sha256sum)
if [ "$(cat .venv/.installed 2>/dev/null)" = "$pins" ] ||
  { [ -n "$runtime" ] && [ "$(cat .venv/.runtime 2>/dev/null)" = "$pins" ]; }; then
  compiled
  exit 0
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
if [ -n "$runtime" ]; then
  .venv/bin/python -m pip install --quiet -c <(sed '/--hash=/d; s/ *\\$//' constraints.txt) -r <(
    "$python" -c 'import tomllib
given = tomllib.load(open("pyproject.toml", "rb"))
print(*given["project"]["dependencies"], *given["build-system"]["requires"], "editables", sep="\n")'
  )
else
  .venv/bin/python -m pip install --quiet --require-hashes -r constraints.txt
fi
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
if [ -n "$runtime" ]; then echo "$pins" > .venv/.runtime; else echo "$pins" > .venv/.installed; fi
compiled
