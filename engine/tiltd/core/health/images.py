"""Why an image could not be pulled, and whether trying again can help.

The kubelet passes on whatever its runtime got from the registry, so there is no code to look at,
only text: containerd, Docker and CRI-O word it differently, and so do registries.  The table below
goes from what may pass (a throttled or unreachable registry) to what will not, because a message
that names both ("429 … unauthenticated pull rate limit") is about the former.  Names of images and
URLs are taken out before: `registry/not-found-page:1` must not decide anything.

Sources: the CRI's gRPC codes, the error codes of the OCI distribution specification
(`MANIFEST_UNKNOWN`, `NAME_UNKNOWN`, `DENIED`, `UNAUTHORIZED`, `TOOMANYREQUESTS`), and messages
reported in public issues.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a pull failed.

    Args:
        id: part of the rule's id, `not-found`.
        permanent: no retry of the same pull can succeed.
        words: for a sentence, "the image … {words}".
        hint: what to do about it.
    """

    id: str
    permanent: bool
    words: str
    hint: str = ""


THROTTLED = Cause(
    "throttled",
    permanent=False,
    words="could not be pulled yet: the registry limits the rate",
    hint="sign in to the registry (imagePullSecrets), use a mirror, or wait",
)
UNREACHABLE = Cause(
    "unreachable",
    permanent=False,
    words="could not be pulled yet: the registry does not answer as it should",
    hint="check that the node reaches the registry: address, DNS, proxy, firewall",
)
DISK = Cause(
    "no-space",
    permanent=False,
    words="could not be stored: the node's disk is full",
    hint="free space on the node, or give it a larger disk",
)
INVALID = Cause(
    "invalid-reference",
    permanent=True,
    words="has a name that is no valid image reference",
    hint="repository names are lower case; one colon before the tag, none after",
)
PLATFORM = Cause(
    "platform",
    permanent=True,
    words="does not exist for the node's platform",
    hint="build the image for the node's CPU architecture (docker build --platform)",
)
NOT_FOUND = Cause(
    "not-found",
    permanent=True,
    words="does not exist in its registry",
    hint="check name and tag for typing errors, and that the image was pushed to this registry",
)
UNAUTHORIZED = Cause(
    "unauthorized",
    permanent=True,
    words="may not be pulled: the registry asks for other credentials, or has no such repository",
    hint="check the image's name first, then imagePullSecrets of the pod or its service account",
)
TLS = Cause(
    "tls",
    permanent=True,
    words="could not be pulled: node and registry disagree about TLS",
    hint="configure the node's runtime for this registry: its CA, or plain HTTP",
)
SIGNATURE = Cause(
    "signature",
    permanent=True,
    words="is refused: its signature does not satisfy the node's policy",
    hint="sign the image, or change the policy",
)
UNKNOWN = Cause("failed", permanent=False, words="could not be pulled")

_TABLE: Final[Sequence[tuple[Cause, tuple[str, ...]]]] = [
    (
        THROTTLED,
        (
            "toomanyrequests",
            "too many requests",
            r"\b429\b",
            "pull qps exceeded",
            "rate.?limit",
            "throttl",
            "quota exceeded",
            "resourceexhausted",
        ),
    ),
    (
        TLS,
        (
            "x509:",
            "server gave http response to https client",
            "certificate signed by unknown",
            "first record does not look like a tls handshake",
            "tls: (unknown certificate|bad certificate)",
        ),
    ),
    (
        UNREACHABLE,
        (
            "i/o timeout",
            "timed? ?out",
            "timeout",
            "deadline.?exceeded",
            "connection re(fused|set)",
            "reset by peer",
            "broken pipe",
            r"\beof\b",
            "no such host",
            "no route to host",
            "network is unreachable",
            "server misbehaving",
            "temporary failure",
            "request canceled",
            "context canceled",
            "operation was canceled",
            r"\b50[0234]\b",
            "bad gateway",
            "service unavailable",
            "internal server error",
            "code = unavailable",
            "stream error",
            "http2:",
            "connection closed",
            "proxyconnect",
        ),
    ),
    (
        DISK,
        (
            "no space left on device",
            "disk quota exceeded",
        ),
    ),
    (
        SIGNATURE,
        (
            "signature ?(validation|verification|required)",
            "source image rejected",
        ),
    ),
    (
        INVALID,
        (
            "invalid reference",
            "couldn't parse image",
            "could not parse reference",
            "invalid tag format",
            "must be lowercase",
            "unsupported digest",
            "invalid checksum digest",
        ),
    ),
    (
        PLATFORM,
        (
            "no match for platform",
            "no matching manifest",
            "no image found in (manifest list|image index)",
            "image operating system .* cannot be used",
            "does not match the (specified|detected) platform",
            "cannot be used on this platform",
        ),
    ),
    (
        NOT_FOUND,
        (
            "manifest.?unknown",
            "name.?unknown",
            r"manifest( for)?\b.* not found",
            "code = notfound",
            r"\b404\b",
            ": not found",
            "repository .*not found",
            "no such image",
            "image not found",
            "tag .*not found",
            "does not exist or no pull access",
            "object with name .* not found",
        ),
    ),
    (
        UNAUTHORIZED,
        (
            "unauthori[sz]ed",
            r"\b40[13]\b",
            "forbidden",
            "access denied",
            r"\bdenied\b",
            "authentication required",
            "authorization failed",
            "insufficient_scope",
            "no basic auth credentials",
            "may require authori[sz]ation",
            "may require 'docker login'",
            "failed to fetch (anonymous|oauth) token",
            "invalid username/password",
            "authorization token has expired",
            "incorrect username or password",
            "permissiondenied",
        ),
    ),
]
_ROWS = [(cause, re.compile("|".join(any_of), re.IGNORECASE)) for cause, any_of in _TABLE]

_QUOTED = re.compile(r"\\?\"[^\"]*\"")
_URL = re.compile(r"https?://[^\s\"]+?(?=:?[\s\"]|:?$)")
_PREFIX = re.compile(
    r"^(?:rpc error: code = \w+ desc = |Error response from daemon: |ErrImagePull: )"
)
_BACK_OFF = re.compile(r"^Back-off pulling image \"[^\"]*\"(?:: )?")


def says_why(message: str) -> bool:
    """Whether `message` has more to it than that the kubelet backs off (before Kubernetes 1.31)."""
    return bool(_BACK_OFF.sub("", message).strip())


def classify(message: str, image: str) -> Cause:
    """The cause of a failed pull.

    Args:
        message: of the waiting state, or of the `Failed` event.
        image: as the pod asks for it.
    """
    rest = _URL.sub(" ", _QUOTED.sub(" ", message))
    for name in (image, image.removeprefix("docker.io/").removeprefix("library/")):
        rest = rest.replace(name, " ") if name else rest
    rest = re.sub(r"docker\.io/(library/)?\s", " ", rest)
    return next((cause for cause, pattern in _ROWS if pattern.search(rest)), UNKNOWN)


def detail(message: str) -> str:
    """`message` without what the kubelet and gRPC put before it, in one line."""
    rest = _BACK_OFF.sub("", " ".join(message.split()))
    while (shorter := _PREFIX.sub("", rest)) != rest:
        rest = shorter
    return rest
