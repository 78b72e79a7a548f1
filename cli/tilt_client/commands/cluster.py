"""`tilt-client cluster up|down|status|kubeconfig|list`: clusters that stay.

An embedded cluster is a program beside this one; what it prints and how it ends is passed on.
With `--kind` they are kind clusters, each with a registry.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from tilt_client import arguments, embedded, kind
from tilt_client.complaint import Complaint

_SUMMARY = """\
A small Kubernetes cluster whose pods are containers of the Docker Engine.

  up           start one, and tell how to reach it
  down         end it, and remove all that it made
  status       whether it runs; exit code 1: it does not
  kubeconfig   the path of its kubeconfig
  list         all clusters, and what is left of killed ones"""
_READY = "export KUBECONFIG="


def run(argv: Sequence[str]) -> int:
    """Do one of them; the exit code."""
    parser = arguments.Parser("cluster", _SUMMARY)
    parser.add_argument("what", choices=tuple(_KIND))
    help_ = f"the cluster's name (default: embedded; with --kind: {kind.DEFAULT})"
    parser.add_argument("--name", metavar="NAME", help=help_)
    help_ = "a kind cluster with a registry instead; needs kind and docker"
    parser.add_argument("--kind", action="store_true", help=help_)
    found = parser.parse_intermixed_args(argv)
    if found.kind:
        here = kind.home(found.name or kind.DEFAULT)
        kind.require()
        return _KIND[found.what](here)
    command = [*embedded.COMMAND, found.what, "--name", found.name or "embedded"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program


def _up(here: kind.Home) -> int:
    kind.sweep()
    if here.begun.exists() and not kind.exists(here):
        _down(here)  # somebody has taken the cluster away, and left the registry
    with kind.locked(here) as held:
        if kind.exists(here):
            _say(f"kind cluster {here.name} runs already")
        else:
            _make(here, held)
            _say(f"kind cluster {here.name} is up")
    _say(f"{_READY}{here.kubeconfig}")
    return 0


def _make(here: kind.Home, held: int) -> None:
    try:
        kind.make(here, held)
        here.kept.touch()
    except BaseException:
        kind.remove(here)
        raise


def _down(here: kind.Home) -> int:
    was_there = here.begun.exists()
    with kind.locked(here):
        kind.remove(here)
    _say(f"kind cluster {here.name} is {'gone' if was_there else 'not there'}")
    return 0


def _status(here: kind.Home) -> int:
    if not kind.exists(here):
        left = "; what is left of it is removed by down" if here.begun.exists() else ""
        _say(f"kind cluster {here.name} does not run{left}")
        return 1
    rows = {"cluster": here.name, "context": f"kind-{here.name}", "kubeconfig": here.kubeconfig}
    for name, value in {**rows, "registry": here.registry}.items():
        _say(f"{name:<12}{value}")
    return 0


def _kubeconfig(here: kind.Home) -> int:
    if not kind.exists(here):
        hint = f"tilt-client cluster up --kind --name {here.name}"
        raise Complaint(f"the kind cluster {here.name} does not run", hint)
    _say(str(here.kubeconfig))
    return 0


def _list(_here: kind.Home) -> int:
    for one in kind.known():
        _say(f"{one.name:<20}{'kept' if kind.exists(one) else 'of a run, or left behind'}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_KIND: Mapping[str, Callable[[kind.Home], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "list": _list,
}
