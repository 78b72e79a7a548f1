"""Who the user is at a registry, by the Docker configuration.

The order is Docker's: a credential helper for this registry, the helper for all, an entry that
`docker login` left in the file.  A helper is a program `docker-credential-NAME` that gets the
registry on its input and answers in JSON (the protocol of docker-credential-helpers).  Cloud
helpers take up to a second, and ten images of one registry ask at the same moment: an answer is
therefore kept for a while, and asked for only once.

A helper that is missing or broken is a warning and not an error: many a configuration names a
helper of another machine, and a registry on this machine needs none.
"""

import asyncio
import base64
import binascii
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

from tiltd import ports
from tiltd.adapters.images import dockerconfig, programs
from tiltd.core import reference

HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 - the protocol's word for "the secret is a token"
_KEPT_SECONDS = 120.0
_HELPER_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, or an identity token; never shown.

    Args:
        server: the key under which Docker knows the registry.
    """

    server: str
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)

    def auth_config(self) -> dict[str, str]:
        """As the Engine API's AuthConfig."""
        if self.identity_token:
            return {"identitytoken": self.identity_token, "serveraddress": self.server}
        return {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
        }


@dataclasses.dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    until: float = 0.0
    credential: Credential | None = None


class Credentials:
    """Looks credentials up, and keeps what helpers said for two minutes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    async def get(
        self, host: str, config: dockerconfig.Config, env: Mapping[str, str], log: ports.Log
    ) -> Credential | None:
        """The credential for a registry's host; `None` is "anonymous"."""
        server = HUB_KEY if host == reference.HUB else host
        helper = _helper(host, config)
        if not helper:
            return from_file(host, config)
        kept = self._kept.setdefault((helper, server, str(config.folder)), _Kept())
        async with kept.lock:
            if time.monotonic() >= kept.until:
                kept.credential = await _ask(helper, server, env, log)
                kept.until = time.monotonic() + _KEPT_SECONDS
        return kept.credential or from_file(host, config)


def from_file(host: str, config: dockerconfig.Config) -> Credential | None:
    """The entry of `auths` for a host, however its key is spelled."""
    for key, entry in config.auths.items():
        if _host_of(key) != host:
            continue
        username, password = entry.get("username", ""), entry.get("password", "")
        if entry.get("auth"):
            username, password = _decode(entry["auth"])
        token = entry.get("identitytoken", "")
        if username or token:
            return Credential(key, username, password, token)
    return None


def _helper(host: str, config: dockerconfig.Config) -> str:
    return next(
        (name for key, name in config.helpers.items() if _host_of(key) == host), config.store
    )


def _host_of(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return reference.HUB if host in {"index.docker.io", "registry-1.docker.io"} else host


def _decode(auth: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    username, _, password = text.partition(":")
    return username, password.rstrip("\0")


async def _ask(
    helper: str, server: str, env: Mapping[str, str], log: ports.Log
) -> Credential | None:
    name = f"docker-credential-{helper}"
    program = programs.find(name, env)
    if not program:
        log.write(
            f"{name} is not on the PATH: {server} is used without credentials\n", level="warn"
        )
        return None
    try:
        async with asyncio.timeout(_HELPER_SECONDS):
            answer = await programs.ask([program, "get"], f"{server}\n", env)
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no answer within {_HELPER_SECONDS:g} s"
        log.write(f"{name} failed: {reason}; {server} is used without credentials\n", level="warn")
        return None
    if answer.code:
        if "credentials not found" not in answer.text:
            said = answer.text.strip().rpartition("\n")[2] or f"exit code {answer.code}"
            log.write(f"{name} failed for {server}: {said}\n", level="warn")
        return None
    return _parse(name, server, answer.text, log)


def _parse(name: str, server: str, text: str, log: ports.Log) -> Credential | None:
    try:
        # A helper may print warnings before its answer.
        answer: Any = json.loads(text[text.index("{") :])
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        # What it printed may hold a secret: it is not shown.
        log.write(f"{name} gave no credentials in JSON for {server}\n", level="warn")
        return None
    if username == _TOKEN_USER:
        return Credential(server, identity_token=secret)
    return Credential(server, username, secret)
