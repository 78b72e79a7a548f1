"""What a kubeconfig says by itself: the server, certificates, tokens, passwords.

A field that ends in `-data` holds base64 and counts before its brother that names a file; a file
is beside the kubeconfig that names it.  What OpenSSL reads has to be a file, so what stands in the
kubeconfig is written to a folder that the caller gives, and deletes.

Source: "kubeconfig (v1)", Cluster and AuthInfo, in the reference of kubernetes.io.
"""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from tiltd.adapters.kubernetes.kubeconfig import Entry
from tiltd.model.desired import JSON


class WrongError(Exception):
    """It can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Login:
    """A server, and what proves who we are.

    Args:
        authorization: the header's value; empty for none.
        ca: a file with the server's authorities; the machine's own without it.
        certificate: a file with ours; `key` is the one with its key.
        verify: whether the server's certificate has to be right.
        server_name: the name in it, if not the host's.
        proxy: its URL.
    """

    server: str
    authorization: str = field(default="", repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    server_name: str = ""
    proxy: str = ""


def read(cluster: Entry, user: Entry, authorization: str | None, folder: Path) -> Login:
    """The login of a user at a cluster.

    Args:
        cluster: an entry of a kubeconfig.
        user: likewise.
        authorization: what somebody else has found out; `None`: what the entry says.
        folder: for what has to be a file.

    Raises:
        WrongError: a certificate or key is not where it should be, or no base64.
        OSError: a file can't be read.
    """
    about = cluster.value
    return Login(
        server=str(about["server"]).rstrip("/"),
        authorization=_authorization(user) if authorization is None else authorization,
        ca=_file(cluster, "certificate-authority", folder),
        certificate=_file(user, "client-certificate", folder),
        key=_file(user, "client-key", folder),
        verify=not about.get("insecure-skip-tls-verify"),
        server_name=str(about.get("tls-server-name") or ""),
        proxy=str(about.get("proxy-url") or ""),
    )


def bearer(token: object) -> str:
    """The header's value for a token."""
    return f"Bearer {str(token).strip()}"


def _authorization(user: Entry) -> str:
    said = user.value
    if said.get("token"):
        return bearer(said["token"])
    if said.get("tokenFile"):
        return bearer(_beside(user, said["tokenFile"]).read_text())
    if said.get("username") and "password" in said:
        pair = f"{said['username']}:{said['password']}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _file(entry: Entry, name: str, folder: Path) -> str | None:
    said = entry.value
    if data := said.get(f"{name}-data"):
        path = folder / name
        path.write_bytes(_decoded(name, data))
        return str(path)
    if not said.get(name):
        return None
    path = _beside(entry, said[name])
    if not path.is_file():
        raise WrongError(f"{name}: there is no file {path}")
    return str(path)


def _beside(entry: Entry, path: object) -> Path:
    return Path(entry.file).parent / str(path)


def _decoded(name: str, data: object) -> bytes:
    try:
        return base64.b64decode("".join(str(data).split()), validate=True)
    except binascii.Error as error:
        raise WrongError(f"{name}-data is no base64: {error}") from error


def with_status(user: Entry, status: JSON) -> Entry:
    """A user whose credential plugin has answered: with what it says in place of the rest."""
    said = dict(user.value)
    if status.get("token"):
        said["token"] = status["token"]
    for name, key in (
        ("client-certificate", "clientCertificateData"),
        ("client-key", "clientKeyData"),
    ):
        if status.get(key):  # plain PEM, other than in the kubeconfig
            said[f"{name}-data"] = base64.b64encode(str(status[key]).encode()).decode()
    return Entry(user.name, said, user.file)
