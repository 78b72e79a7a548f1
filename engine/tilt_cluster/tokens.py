"""Bearer tokens of service accounts: JSON Web Tokens, signed with a secret of this cluster.

Only this cluster reads them, so a symmetric signature (HS256) is enough; what a pod sees is a JWT
with the claims that client libraries look at.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tilt_cluster.objects import Object, Token

_ISSUER = "https://kubernetes.default.svc.cluster.local"


class Signer:
    """Makes and checks tokens.

    Args:
        secret: the cluster's own; a token of another cluster doesn't pass.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(
        self,
        namespace: str,
        account: str,
        *,
        seconds: int,
        audiences: Sequence[str] = (),
        pod: Object | None = None,
    ) -> Token:
        """A token for a service account, good for some seconds."""
        now = int(time.time())
        known: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": account}}
        if pod is not None:
            metadata: Mapping[str, Any] = pod["metadata"]
            known["pod"] = {"name": metadata["name"], "uid": metadata["uid"]}
        claims = {
            "aud": list(audiences) or [_ISSUER],
            "exp": now + seconds,
            "iat": now,
            "iss": _ISSUER,
            "kubernetes.io": known,
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{account}",
        }
        head = _packed({"alg": "HS256", "typ": "JWT"}) + b"." + _packed(claims)
        return Token((head + b"." + self._sign(head)).decode(), float(now + seconds))

    def read(self, text: str) -> str | None:
        """The user of a token; None if it isn't one of this cluster, or has expired."""
        head, _, signature = text.rpartition(".")
        if not hmac.compare_digest(self._sign(head.encode()), signature.encode()):
            return None
        body = head.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["sub"]) if claims["exp"] > time.time() else None

    def _sign(self, head: bytes) -> bytes:
        digest = hmac.new(self._secret, head, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _packed(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")
