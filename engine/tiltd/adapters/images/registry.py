"""Asks a registry whether it has an image (OCI distribution specification, `HEAD` a manifest).

A registry that asks who we are says how: `Basic`, or `Bearer` with the address of a token
service (the distribution project's token specification).  On this machine a registry may speak
plain HTTP; elsewhere plain HTTP is tried only with a server that speaks no TLS, and then without
credentials.

"Can't tell" is an answer: a registry may hide what one may not pull (Docker Hub says 401 for a
repository that does not exist), or be reachable for the engine only.  The push then shows.
"""

import asyncio
import dataclasses
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tiltd.adapters.images import credentials, web
from tiltd.core import reference

_HUB_HOST = "registry-1.docker.io"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = ", ".join(_INDEXES + _MANIFESTS)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_PAUSES = (0.2, 0.6)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = (
    200,
    400,
    401,
    404,
    429,
    500,
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Present:
    """The registry has it."""

    digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Absent:
    """The registry does not have it (or not for the platform that was asked for)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """The registry could not be asked, or would not say."""

    reason: str


Answer = Present | Absent | Unknown


@dataclasses.dataclass(frozen=True, slots=True)
class _Base:
    """One way to reach a registry."""

    url: str
    verify: bool = True
    trusted: bool = True


async def has(
    image: reference.Reference,
    platform: str,
    credential: credentials.Credential | None,
    env: Mapping[str, str],
) -> Answer:
    """Whether the registry of `image` has its tag.

    Args:
        image: with a tag.
        platform: as `linux/arm64`, or several with commas; empty: any will do.
        credential: who asks; `None` is anonymous.
        env: names the proxies.
    """
    answer: Answer = Unknown("")
    for base in _bases(image.domain):
        client = _Client(base, image, credential if base.trusted else None, env)
        try:
            answer = await client.look(platform)
        except web.PlainServerError as error:
            answer = Unknown(str(error))
            continue
        except (web.WebError, ValueError, KeyError, TypeError) as error:
            return Unknown(str(error))
        if answer != Unknown(_TLS_WANTED):
            return answer
    return answer


_TLS_WANTED = "the registry wants TLS"


def _bases(domain: str) -> Iterator[_Base]:
    host = _HUB_HOST if domain == reference.HUB else domain
    if web.is_loopback(host):
        yield _Base(f"http://{host}")
        yield _Base(f"https://{host}", verify=False)
    else:
        yield _Base(f"https://{host}")
        yield _Base(f"http://{host}", trusted=False)


class _Client:
    """One image at one registry."""

    def __init__(
        self,
        base: _Base,
        image: reference.Reference,
        credential: credentials.Credential | None,
        env: Mapping[str, str],
    ) -> None:
        self._base, self._image, self._credential, self._env = base, image, credential, env
        self._authorization = ""

    async def look(self, platform: str) -> Answer:
        tag = self._image.digest or self._image.tag or "latest"
        reply = await self._ask("HEAD", f"manifests/{tag}")
        if reply.status == _NOT_FOUND:
            return Absent()
        if reply.status == _BAD_REQUEST and self._base.url.startswith("http:"):
            return Unknown(_TLS_WANTED)
        if reply.status != _OK:
            return Unknown(f"the registry answered {reply.status}")
        digest = reply.headers.get("docker-content-digest", "")
        if platform and not await self._fits(f"manifests/{digest or tag}", platform):
            return Absent()
        return Present(digest)

    async def _fits(self, path: str, platform: str) -> bool:
        manifest = _json(await self._ask("GET", path))
        if "manifests" in manifest:
            found = [m.get("platform", {}) for m in manifest["manifests"]]
        elif "config" in manifest:
            found = [_json(await self._ask("GET", f"blobs/{manifest['config']['digest']}"))]
        else:
            return True  # an old manifest that names no platform
        return all(
            any(fits(p["os"], p["architecture"], p.get("variant", ""), each) for p in found)
            for each in platform.split(",")
        )

    async def _ask(self, method: str, path: str) -> web.Reply:
        """One request, with what it takes: a token, a redirect, another try."""
        for pause in (*_PAUSES, None):
            try:
                reply = await self._authorized(method, path)
            except (web.PlainServerError, web.SilentServerError):
                raise
            except web.WebError:
                if pause is None:
                    raise
            else:
                busy = reply.status == _TOO_MANY or reply.status >= _SERVER_ERROR
                if not busy or pause is None:
                    return reply
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _authorized(self, method: str, path: str) -> web.Reply:
        url = f"{self._base.url}/v2/{self._image.path}/{path}"
        reply = await self._send(method, url)
        challenge = reply.headers.get("www-authenticate", "")
        if reply.status == _UNAUTHORIZED and challenge and not self._authorization:
            self._authorization = await self._answer(challenge)
            if self._authorization:
                reply = await self._send(method, url)
        return reply

    async def _send(self, method: str, url: str) -> web.Reply:
        headers = {"Accept": _ACCEPT}
        if self._authorization:
            headers["Authorization"] = self._authorization
        for _ in range(_MOST_REDIRECTS):
            reply = await web.request(
                method, url, env=self._env, headers=headers, verify=self._base.verify
            )
            if reply.status not in _REDIRECTS:
                return reply
            # A storage service must not see our token.
            url = urllib.parse.urljoin(url, reply.headers.get("location", ""))
            if urllib.parse.urlsplit(url).netloc != urllib.parse.urlsplit(self._base.url).netloc:
                headers.pop("Authorization", None)
        raise web.WebError(f"{self._image.domain} redirects in circles")

    async def _answer(self, challenge: str) -> str:
        """The `Authorization` that a challenge asks for; empty if we have none."""
        scheme, _, rest = challenge.partition(" ")
        known = self._credential
        if scheme.lower() == "basic":
            return web.basic(known.username, known.password) if known and known.username else ""
        if scheme.lower() != "bearer":
            return ""
        token = await self._token(dict(_PARAMETER.findall(rest)))
        return f"Bearer {token}" if token else ""

    async def _token(self, parameters: Mapping[str, str]) -> str:
        realm = parameters["realm"]
        scope = parameters.get("scope") or f"repository:{self._image.path}:pull"
        query = {"service": parameters.get("service", ""), "scope": scope}
        known = self._credential if self._may_know(realm) else None
        headers: dict[str, str] = {}
        if known and known.identity_token:
            form = query | {
                "grant_type": "refresh_token",
                "client_id": "tiltd",
                "refresh_token": known.identity_token,
            }
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            method, url, body = "POST", realm, urllib.parse.urlencode(form).encode()
        else:
            if known and known.username:
                headers["Authorization"] = web.basic(known.username, known.password)
            mark = "&" if "?" in realm else "?"
            method, url, body = "GET", f"{realm}{mark}{urllib.parse.urlencode(query)}", b""
        reply = await web.request(
            method, url, env=self._env, headers=headers, body=body, verify=self._base.verify
        )
        if reply.status != _OK:
            return ""
        answer = _json(reply)
        return str(answer.get("token") or answer.get("access_token") or "")

    def _may_know(self, realm: str) -> bool:
        """Whether a token service may see the password: never over a network in the clear."""
        parts = urllib.parse.urlsplit(realm)
        return parts.scheme == "https" or web.is_loopback(parts.netloc)


def fits(system: str, architecture: str, variant: str, platform: str) -> bool:
    """Whether an image of this system, architecture and variant is one for `platform`."""
    wanted: Sequence[str] = (*platform.lower().split("/"), "", "")
    if len(platform.split("/")) == 1:
        wanted = (system, platform.lower(), "")  # `arm64` alone names the architecture
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(wanted[1], wanted[1])
    same = (system, architecture) == (wanted[0], arch)
    return same and (not wanted[2] or not variant or wanted[2] == variant)


def _json(reply: web.Reply) -> dict[str, Any]:
    if reply.status != _OK:
        raise web.WebError(f"the registry answered {reply.status}")
    document: Any = json.loads(reply.body)
    if not isinstance(document, dict):
        raise web.WebError("the registry gave no JSON object")
    return cast("dict[str, Any]", document)
