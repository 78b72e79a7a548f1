"""etcd and the three servers of the control plane, on 127.0.0.1.

Pods must reach the API server too, and can't reach the machine's 127.0.0.1: a relay listens at
the node's address, and the endpoints of the Service `kubernetes` name it (`addons`).
"""

import http
import ssl
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.realcluster import binaries, packages, process, settings

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
RELAY = "apiserver-relay"
API_URL = f"https://127.0.0.1:{settings.API_PORT}"


def services(folders: settings.Folders) -> Sequence[process.Service]:
    """The control plane in the order of its start."""
    bin_folder = binaries.built(folders, binaries.KUBERNETES)
    return (
        etcd(folders),
        apiserver(folders, bin_folder),
        relay(folders),
        controllers(folders, bin_folder),
        scheduler(folders, bin_folder),
    )


def etcd(folders: settings.Folders) -> process.Service:
    """The store. Its data is for tests: not forced to disk, gone with the cluster."""
    client = f"http://127.0.0.1:{settings.ETCD_PORT}"
    peer = f"http://127.0.0.1:{settings.ETCD_PEER_PORT}"
    argv = [
        binaries.etcd(folders),
        f"--data-dir={folders.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return process.Service(ETCD, argv, ready=answers(f"{client}/health"))


def apiserver(folders: settings.Folders, bin_folder: Path) -> process.Service:
    """The API server; RBAC and node authorization as in any cluster."""
    certs = folders.certs
    argv = [
        str(bin_folder / APISERVER),
        f"--etcd-servers=http://127.0.0.1:{settings.ETCD_PORT}",
        "--bind-address=127.0.0.1",
        f"--secure-port={settings.API_PORT}",
        f"--advertise-address={settings.NODE_IP}",
        # Its own reconciler would publish an address of this machine; `addons` publishes ours.
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={settings.SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--tls-cert-file={certs / 'apiserver.crt'}",
        f"--tls-private-key-file={certs / 'apiserver.key'}",
        f"--client-ca-file={certs / 'ca.crt'}",
        f"--kubelet-certificate-authority={certs / 'ca.crt'}",
        f"--kubelet-client-certificate={certs / 'kubelet-client.crt'}",
        f"--kubelet-client-key={certs / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certs / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={certs / 'service-accounts.key'}",
        "--profiling=false",
    ]
    return process.Service(APISERVER, argv, ready=answers(f"{API_URL}/readyz", certs / "ca.crt"))


def relay(folders: settings.Folders) -> process.Service:
    """What pods connect to when they call the API server."""
    address = f"{settings.NODE_IP},reuseaddr,fork"
    argv = [
        packages.find("socat") or "socat",
        f"TCP-LISTEN:{settings.API_PORT},bind={address}",
        f"TCP:127.0.0.1:{settings.API_PORT}",
    ]
    url = f"https://{settings.NODE_IP}:{settings.API_PORT}/readyz"
    return process.Service(RELAY, argv, ready=answers(url, folders.certs / "ca.crt"))


def controllers(folders: settings.Folders, bin_folder: Path) -> process.Service:
    """The controllers: Deployments, Jobs, endpoints, garbage collection …"""
    certs = folders.certs
    argv = [
        str(bin_folder / CONTROLLERS),
        f"--kubeconfig={certs / 'controller-manager.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={settings.CONTROLLER_PORT}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={certs / 'ca.crt'}",
        f"--service-account-private-key-file={certs / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={certs / 'ca.crt'}",
        f"--cluster-signing-key-file={certs / 'ca.key'}",
    ]
    url = f"https://127.0.0.1:{settings.CONTROLLER_PORT}/healthz"
    return process.Service(CONTROLLERS, argv, ready=answers(url))


def scheduler(folders: settings.Folders, bin_folder: Path) -> process.Service:
    """The scheduler."""
    argv = [
        str(bin_folder / SCHEDULER),
        f"--kubeconfig={folders.certs / 'scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={settings.SCHEDULER_PORT}",
        "--leader-elect=false",
    ]
    url = f"https://127.0.0.1:{settings.SCHEDULER_PORT}/healthz"
    return process.Service(SCHEDULER, argv, ready=answers(url))


def answers(url: str, authority: Path | None = None) -> Callable[[], bool]:
    """A check that an HTTP address answers 200.

    Args:
        url: http or https.
        authority: whose certificates are believed; without it, any certificate is (a health
            check of a server on this machine that has only a certificate of its own making).
    """

    def check() -> bool:
        try:
            if authority is None:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            else:
                context = ssl.create_default_context(cafile=str(authority))
            with urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            ).open(url, timeout=5) as reply:
                return bool(reply.status == http.HTTPStatus.OK)
        except OSError:
            return False

    return check
