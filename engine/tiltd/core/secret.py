"""Secrets of a build, as `docker build --secret` names them, and what a key may say of them.

A key is public: it is an image's tag.  Whoever knows all other inputs could try values of a secret
until the tag comes out.  Therefore the digest of a secret is a slow one (scrypt, RFC 7914): 20 ms
a guess make a password of a few words safe, and a token of a service is so anyway.
"""

import csv
import hashlib
import posixpath
from dataclasses import dataclass

_SALT = b"tiltd: a secret of a build"
_COST, _BLOCK, _LENGTH = 1 << 13, 8, 16


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret comes from: a file or a variable of the environment."""

    id: str
    path: str = ""
    env: str = ""


def parse(text: str) -> Secret:
    """Read `id=token,src=/home/me/token`, by buildx's rules.

    Without a source it is the variable of that name, or else the file; that `env` is set says the
    first may be so, `path` the second.  What has no id, which no builder takes, is called by its
    source: a path differs between machines.
    """
    row = next(csv.reader([text]), list[str]())
    parts = (field.partition("=") for field in row)
    fields = {name.strip().lower(): value for name, _, value in parts}
    path = fields.get("src") or fields.get("source") or ""
    env = fields.get("env", "")
    if fields.get("type") == "env" and not env:
        path, env = "", path
    name = fields.get("id") or posixpath.basename(path or env or text)
    return Secret(name, path, env) if path or env else Secret(name, name, name)


def digest(content: bytes) -> str:
    """What a key says of a secret's content; hex, the same on every machine. Takes 20 ms."""
    found = hashlib.scrypt(
        content, salt=_SALT, n=_COST, r=_BLOCK, p=1, maxmem=64 << 20, dklen=_LENGTH
    )
    return found.hex()
