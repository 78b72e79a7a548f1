"""What every cluster has besides its servers: DNS, the API's endpoints, the registry's address.

The registry is announced as KEP-1755 says: ConfigMap `local-registry-hosting` in `kube-public`.
"""

import ipaddress
import string
from pathlib import Path

from tools.realcluster import binaries, process, settings

_WAIT = "--timeout=90s"


def ensure(folders: settings.Folders) -> None:
    """Apply them and wait until pods can be made and names resolve.

    Raises:
        console.Failure: the cluster refuses them, or they are not ready in 90 s.
    """
    kubectl = (binaries.kubectl(folders), f"--kubeconfig={folders.kubeconfig}")
    process.run(*kubectl, "wait", "--for=create", "namespace/kube-public", _WAIT)
    process.run(*kubectl, "apply", "-f", "-", stdin=manifests().encode())
    process.run(*kubectl, "wait", "--for=condition=Ready", f"node/{settings.NODE}", _WAIT)
    process.run(*kubectl, "wait", "--for=create", "serviceaccount/default", _WAIT)
    process.run(
        *(*kubectl, "--namespace=kube-system", "wait", "--for=condition=Available"),
        *("deployment/coredns", _WAIT),
    )


def manifests() -> str:
    """The objects, as YAML."""
    template = string.Template((settings.MANIFESTS / "system.yaml").read_text())
    return template.substitute(
        api_port=settings.API_PORT,
        coredns=settings.COREDNS_IMAGE,
        dns_ip=settings.DNS_SERVICE_IP,
        forward=_forward(),
        node_ip=settings.NODE_IP,
        registry=settings.REGISTRY,
    )


def _forward() -> str:
    """Where CoreDNS asks for names of the outside: nowhere, if this machine asks only itself.

    A pod that forwards to a resolver on its own loopback would ask itself, endlessly.
    """
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return ""
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    usable = [ip for ip in servers if not ipaddress.ip_address(ip.partition("%")[0]).is_loopback]
    return f"forward . {' '.join(usable)}" if usable else ""
