"""The cluster's certificates, its secret and its kubeconfig.

A CA of this cluster alone signs one certificate for the server (valid for loopback and the names
by which pods call it) and one for the user; nobody without one of them, or a token, is served.
With a folder they are made once; keys are readable by their owner only.
"""

import base64
import datetime as dt
import ipaddress
import json
import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DAYS = 3650
_PROVIDER = "dev.tilt.cluster"
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that lets the server and its user trust each other (PEM), and the token secret."""

    ca: str
    server_certificate: str
    server_key: str
    client_certificate: str
    client_key: str
    secret: bytes


def load(folder: Path, addresses: Sequence[str]) -> Access:
    """What the folder has; made and written there if it has none.

    Args:
        folder: where the files are, or will be.
        addresses: IP addresses beside loopback for which the server's certificate is good.
    """
    path = folder / "access.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text())
        secret = bytes.fromhex(kept.pop("secret"))
        return Access(**kept, secret=secret)
    access = make(addresses)
    write_private(path, json.dumps({**_texts(access), "secret": access.secret.hex()}))
    return access


def _texts(access: Access) -> dict[str, str]:
    names = ("ca", "server_certificate", "server_key", "client_certificate", "client_key")
    return {name: getattr(access, name) for name in names}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def make(addresses: Sequence[str]) -> Access:
    """Fresh keys and certificates (elliptic curves: they take a millisecond)."""
    # Imported here: a start with kept certificates does without.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    now = dt.datetime.now(dt.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tilt-cluster")])

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=_DAYS))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=not signs,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=signs,
            encipher_only=False,
            decipher_only=False,
        )

    def pem(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )

    def signed(
        name: x509.Name, use: x509.ObjectIdentifier, extra: x509.SubjectAlternativeName | None
    ) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            builder(name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        )
        if extra is not None:
            made = made.add_extension(extra, critical=False)
        return pem(made.sign(ca_key, hashes.SHA256())), key_pem(key)

    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    numbers = [ipaddress.ip_address(one) for one in ("127.0.0.1", "::1", *addresses)]
    alternatives = x509.SubjectAlternativeName(
        [*map(x509.DNSName, _NAMES), *map(x509.IPAddress, numbers)]
    )
    server = signed(server_name, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)
    user_name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes-admin"),
        ]
    )
    client = signed(user_name, ExtendedKeyUsageOID.CLIENT_AUTH, None)
    return Access(pem(ca), *server, *client, secrets.token_bytes(32))


def server_context(access: Access, folder: Path) -> ssl.SSLContext:
    """TLS for the server: a client may show a certificate, which must then be of this CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL reads keys from files only.
    path = folder / "server.pem"
    write_private(path, access.server_certificate + access.server_key)
    context.load_cert_chain(path)
    context.load_verify_locations(cadata=access.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def kubeconfig(access: Access, name: str, server: str, engine: str) -> str:
    """A kubeconfig with one context, as JSON (which is YAML).

    Its cluster is signed, so that tools know what it is whatever it is called.

    Args:
        access: for whom.
        name: the cluster's.
        server: where it listens.
        engine: the Docker Engine (`unix://…`) whose images its node runs; empty for no node.
    """
    context = f"tilt-{name}"
    signature = {"provider": _PROVIDER, **({"engine": engine} if engine else {})}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _coded(access.ca),
                    "extensions": [{"name": "tilt-cluster", "extension": signature}],
                },
            }
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _coded(access.client_certificate),
                    "client-key-data": _coded(access.client_key),
                },
            }
        ],
        "contexts": [
            {
                "name": context,
                "context": {"cluster": context, "user": context, "namespace": "default"},
            }
        ],
        "current-context": context,
    }
    return json.dumps(config, indent=2) + "\n"


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
