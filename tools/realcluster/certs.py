"""One certificate authority and what it signs, made with openssl at each fresh start.

Elliptic curve keys: a dozen of them take a tenth of a second. The administrator's kubeconfig
holds its key itself; all files are readable by root only, since the state folder is.
"""

import base64
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.realcluster import process, settings

_DAYS = "365"


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names.

    Args:
        file: the stem of the .crt and .key files.
        name: the common name; for Kubernetes the user.
        group: the organization; for Kubernetes the group.
        hosts: subject alternative names as openssl writes them; none for a client.
    """

    file: str
    name: str
    group: str = ""
    hosts: Sequence[str] = ()


_SUBJECTS = (
    Subject(
        "apiserver",
        "kube-apiserver",
        hosts=[
            *("IP:127.0.0.1", f"IP:{settings.NODE_IP}", f"IP:{settings.API_SERVICE_IP}"),
            *("DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default"),
            *("DNS:kubernetes.default.svc", "DNS:kubernetes.default.svc.cluster.local"),
        ],
    ),
    Subject("kubelet-server", settings.NODE, hosts=[f"IP:{settings.NODE_IP}"]),
    Subject("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Subject("admin", "kubernetes-admin", "system:masters"),
    Subject("controller-manager", "system:kube-controller-manager"),
    Subject("scheduler", "system:kube-scheduler"),
    Subject("proxy", "system:kube-proxy"),
    Subject("kubelet", f"system:node:{settings.NODE}", "system:nodes"),
)


def ensure(folders: settings.Folders) -> None:
    """Make the authority, the certificates and a kubeconfig for each client, once."""
    done = folders.certs / ".complete"
    if done.exists():
        return
    folders.certs.mkdir(parents=True, exist_ok=True)
    _key(folders.certs / "ca.key")
    process.run(
        *("openssl", "req", "-x509", "-new", "-days", _DAYS, "-subj", "/CN=tiltd-real"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        *("-key", folders.certs / "ca.key", "-out", folders.certs / "ca.crt"),
    )
    _key(folders.certs / "service-accounts.key")
    process.run(
        *("openssl", "ec", "-pubout", "-in", folders.certs / "service-accounts.key"),
        *("-out", folders.certs / "service-accounts.pub"),
    )
    for subject in _SUBJECTS:
        _sign(folders.certs, subject)
        if not subject.hosts:
            path = folders.certs / f"{subject.file}.kubeconfig"
            path.write_text(json.dumps(kubeconfig(folders.certs, subject.file), indent=1))
    folders.kubeconfig.write_text((folders.certs / "admin.kubeconfig").read_text())
    folders.kubeconfig.chmod(0o600)
    done.touch()


def kubeconfig(certs: Path, client: str) -> Mapping[str, object]:
    """A kubeconfig for this client, with its certificate and key inside."""

    def data(name: str) -> str:
        return base64.b64encode((certs / name).read_bytes()).decode()

    name = settings.CONTEXT
    cluster = {
        "server": f"https://127.0.0.1:{settings.API_PORT}",
        "certificate-authority-data": data("ca.crt"),
    }
    user = {
        "client-certificate-data": data(f"{client}.crt"),
        "client-key-data": data(f"{client}.key"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": user}],
    }


def _key(path: Path) -> None:
    process.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-out", path)  # fmt: skip
    path.chmod(0o600)


def _sign(certs: Path, subject: Subject) -> None:
    key, crt = certs / f"{subject.file}.key", certs / f"{subject.file}.crt"
    _key(key)
    group = f"/O={subject.group}" if subject.group else ""
    usage = "serverAuth" if subject.hosts else "clientAuth"
    extensions = [
        f"extendedKeyUsage={usage}",
        "keyUsage=digitalSignature",
        # Python's clients ask for it since 3.13.
        "authorityKeyIdentifier=keyid",
    ]
    if subject.hosts:
        extensions.append(f"subjectAltName={','.join(subject.hosts)}")
    with tempfile.NamedTemporaryFile("w", suffix=".ext") as extension_file:
        extension_file.write("\n".join(extensions))
        extension_file.flush()
        request = process.run(
            *("openssl", "req", "-new", "-key", key, "-subj", f"{group}/CN={subject.name}")
        )
        process.run(
            *("openssl", "x509", "-req", "-days", _DAYS, "-CAcreateserial"),
            *("-CA", certs / "ca.crt", "-CAkey", certs / "ca.key"),
            *("-extfile", extension_file.name, "-out", crt),
            stdin=request.encode(),
        )
