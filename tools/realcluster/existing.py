"""The user's own local cluster, if KUBECONFIG names one: then nothing needs to be started.

Only what is surely a cluster of this machine is taken: its context's name is one that a local
cluster's tool gives, and its server is on loopback. Tests create and delete namespaces there.
"""

import ipaddress
import json
import os
import urllib.parse
from collections.abc import Mapping
from typing import Any

from tools.realcluster import binaries, console, process, settings

_PREFIXES = ("kind-", "k3d-", "minikube")
_NAMES = ("docker-desktop", "docker-for-desktop", "rancher-desktop", "orbstack", "colima")


def usable(folders: settings.Folders) -> str | None:
    """The value of KUBECONFIG if it names a reachable local cluster that isn't ours, or None."""
    value = os.environ.get("KUBECONFIG", "")
    if not value or value == str(folders.kubeconfig):
        return None
    kubectl = binaries.kubectl(folders)
    try:
        view = json.loads(process.run(kubectl, "config", "view", "--minify", "--output=json"))
    except console.Failure as failure:
        console.say(f"KUBECONFIG={value} is not used: {failure}")
        return None
    if not is_local(view):
        console.say(f"KUBECONFIG={value} is not used: not a local cluster of a known kind")
        return None
    if not process.succeeds(kubectl, "get", "--raw=/readyz", "--request-timeout=5s"):
        console.say(f"KUBECONFIG={value} is not used: its cluster does not answer")
        return None
    return value


def is_local(view: Mapping[str, Any]) -> bool:
    """Whether a minified kubeconfig names a local cluster, on loopback, by its context."""
    context = str(view.get("current-context", ""))
    if not (context.startswith(_PREFIXES) or context in _NAMES):
        return False
    servers = [str(entry["cluster"]["server"]) for entry in view.get("clusters") or ()]
    return bool(servers) and all(_on_loopback(server) for server in servers)


def _on_loopback(server: str) -> bool:
    host = urllib.parse.urlsplit(server).hostname or ""
    if host in ("localhost", "kubernetes.docker.internal"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
