"""`tilt-client cluster up|down|status|kubeconfig|list`: embedded clusters that stay.

The cluster is a program beside this one; what it prints and how it ends is passed on.
"""

import subprocess
from collections.abc import Sequence

from tilt_client import arguments, embedded

_SUMMARY = """\
A small Kubernetes cluster whose pods are containers of the Docker Engine.

  up           start one, and tell how to reach it
  down         end it, and remove all that it made
  status       whether it runs; exit code 1: it does not
  kubeconfig   the path of its kubeconfig
  list         all clusters, and what is left of killed ones"""
_WHAT = ("up", "down", "status", "kubeconfig", "list")


def run(argv: Sequence[str]) -> int:
    """Do one of them; the exit code."""
    parser = arguments.Parser("cluster", _SUMMARY)
    parser.add_argument("what", choices=_WHAT)
    help_ = "the cluster's name (default: embedded)"
    parser.add_argument("--name", metavar="NAME", default="embedded", help=help_)
    found = parser.parse_intermixed_args(argv)
    command = [*embedded.COMMAND, found.what, "--name", found.name]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program
