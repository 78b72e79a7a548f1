"""Image references: parse, normalise, print, and match what was declared against what is used.

The grammar and the short forms are those of the `distribution/reference` library, which the
Docker Engine, containerd and Tilt share: a first part with a dot, a colon or an upper-case
letter, or `localhost`, is a registry; everything else lives on Docker Hub, single words in its
`library`.  Two spellings of one image are therefore one value here (`busybox` is
`docker.io/library/busybox`), and everything that compares images compares these values.
"""

import dataclasses
import functools
import re

HUB = "docker.io"
_HUB_LEGACY = "index.docker.io"
_HUB_OFFICIAL = "library/"
_PATH_LIMIT = 255  # distribution: the path, without the registry

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")


class InvalidReferenceError(ValueError):
    """Text that names no image.

    Args:
        text: what was written.
        reason: one clause that says what is wrong with it.
        hint: what to write instead.
    """

    def __init__(self, text: str, reason: str, hint: str) -> None:
        super().__init__(f"invalid image reference {text!r}: {reason}; {hint}")
        self.text = text
        self.reason = reason
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An image's full name: registry, path, and a tag, a digest, both or neither."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return self.repository + self._suffix()

    @property
    def repository(self) -> str:
        """The canonical name, without tag and digest: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def familiar_repository(self) -> str:
        """The shortest name that means the same repository: `busybox`."""
        if self.domain != HUB:
            return self.repository
        rest = self.path.removeprefix(_HUB_OFFICIAL)
        # `library/a/b` is no official image: only a single word may lose its `library`.  And
        # `docker.io/0.0/a` has no shorter name that means the same: `0.0/a` is on a host.
        short = self.path if "/" in rest else rest
        return short if _split_domain(short) == (HUB, self.path) else self.repository

    def familiar(self) -> str:
        """The shortest text that parses to this value, as people and Docker write it."""
        return self.familiar_repository + self._suffix()

    def with_tag(self, tag: str) -> "Reference":
        """The same repository at `tag`; a digest is dropped, since it would outrank the tag.

        Raises:
            InvalidReferenceError: `tag` is no tag.
        """
        _check_tag(f"{self.familiar_repository}:{tag}", tag)
        return Reference(self.domain, self.path, tag)

    def without_tag(self) -> "Reference":
        """The repository alone."""
        return Reference(self.domain, self.path)

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Reference:
    """Read a reference in any form that `docker pull` takes.

    Raises:
        InvalidReferenceError: with the reason, and what to write instead.
    """
    if not text:
        raise InvalidReferenceError(text, "it is empty", "name an image, such as busybox:1.36")
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReferenceError(
            text, "64 hex digits are an image's ID, not its name", "name the image and its tag"
        )
    _check_shape(text)
    domain, rest = _split_domain(text)
    rest, at, digest = rest.partition("@")
    path, colon, tag = rest.partition(":")
    _check_domain(text, domain)
    _check_path(text, path)
    if colon:
        _check_tag(text, tag)
    if at:
        _check_digest(text, digest)
    return Reference(domain, path, tag or None, digest or None)


def matches(declared: Reference, image: Reference) -> bool:
    """Whether `image`, found in a manifest or a Dockerfile, is the one that a build declares.

    A declared tag must be met exactly; without one, every tag and digest of the repository is
    meant (Tilt's rule for `docker_build` and `custom_build`).
    """
    if declared.tag is None:
        return (declared.domain, declared.path) == (image.domain, image.path)
    return declared == image


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return HUB, _HUB_OFFICIAL + text
    if first in {HUB, _HUB_LEGACY}:
        return HUB, rest if "/" in rest else _HUB_OFFICIAL + rest
    if "." in first and not _DOMAIN.fullmatch(first) and re.fullmatch(_PART, first):
        return "", text  # `a_b.c/d`: too odd for a host, yet a name; it has no registry at all
    if first == "localhost" or "." in first or ":" in first or first.lower() != first:
        return first, rest
    return HUB, text


def _check_shape(text: str) -> None:
    if "://" in text:
        raise InvalidReferenceError(
            text, "a reference has no scheme", f"write {text.split('://', 1)[1]!r}"
        )
    if text.startswith("/"):
        raise InvalidReferenceError(text, "it begins with a slash", f"write {text.lstrip('/')!r}")
    if any(character.isspace() for character in text):
        raise InvalidReferenceError(text, "it contains a space", "remove it")


def _check_domain(text: str, domain: str) -> None:
    if domain and not _DOMAIN.fullmatch(domain):
        raise InvalidReferenceError(
            text,
            f"{domain!r} is no registry host",
            "a registry is a host name with an optional port, such as localhost:5000",
        )


def _check_path(text: str, path: str) -> None:
    shown = path.removeprefix(_HUB_OFFICIAL) or path
    if len(path) > _PATH_LIMIT:
        raise InvalidReferenceError(
            text, f"its name has {len(path)} characters", f"use at most {_PATH_LIMIT}"
        )
    if _PATH.fullmatch(path):
        return
    if path.lower() != path:
        raise InvalidReferenceError(
            text, f"the name {shown!r} has upper-case letters", f"write {shown.lower()!r}"
        )
    raise InvalidReferenceError(
        text,
        f"{shown!r} is no image name" if shown else "no name follows the registry",
        "use lower-case letters and digits, separated by single '/', '.', '_' or '-'",
    )


def _check_tag(text: str, tag: str) -> None:
    if not _TAG.fullmatch(tag):
        raise InvalidReferenceError(
            text,
            f"{tag!r} is no tag",
            "a tag has 1 to 128 letters, digits, '_', '.' or '-', and begins with no '.' or '-'",
        )


def _check_digest(text: str, digest: str) -> None:
    algorithm, _, value = digest.partition(":")
    length = _DIGEST_LENGTHS.get(algorithm)
    if length != len(value) or not _HEX.fullmatch(value):
        raise InvalidReferenceError(
            text,
            f"{digest!r} is no digest",
            "write sha256: and 64 lower-case hex digits (or sha384, sha512)",
        )
