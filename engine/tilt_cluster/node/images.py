"""Images: whether the Engine has one, and pulling it if the policy wants that.

An image that the Engine already has is never pulled for `IfNotPresent`.  With `Always`, one that
was built in this Engine and never came from (or went to) a registry is used as it is: nobody could
answer a pull of it.  Pulls of one image at the same time are one pull.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster import engine as engines
from tilt_cluster import fields
from tilt_cluster.objects import SECRETS, Cluster, Object

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"^(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?"
    r"(?:@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})?$"
)
_GONE = 404
_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Image:
    """What the node must know of an image.

    Args:
        id: its digest in the Engine.
        user: that it names.
        size: in bytes.
        remote: it is known under a registry's digest.
        entrypoint: what it runs.
        arguments: of that, by default.
    """

    id: str
    user: str
    size: int
    remote: bool
    entrypoint: Sequence[str] = ()
    arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PullError(Exception):
    """A pull failed; `text` is the kubelet's message."""

    text: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """A pull that succeeded, and the seconds that it took."""

    image: Image
    seconds: float


def valid(reference: str) -> bool:
    """Whether it can be the name of an image."""
    return bool(_REFERENCE.match(reference)) and not re.fullmatch(r"[0-9a-f]{64}", reference)


def policy(container: Object) -> str:
    """`imagePullPolicy`; without one, `Always` for `latest`."""
    found = container.get("imagePullPolicy")
    if found:
        return str(found)
    reference = str(container.get("image", ""))
    last = reference.rpartition("/")[2]
    fixed = "@" in last or (":" in last and not last.endswith(":latest"))
    return "IfNotPresent" if fixed else "Always"


def registry(reference: str) -> str:
    """The registry of a reference."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named else _HUB


def credentials(cluster: Cluster, pod: Object, reference: str) -> Mapping[str, str] | None:
    """What the pod's pull secrets say for an image's registry."""
    where = registry(reference)
    for one in fields.get(pod, "spec", "imagePullSecrets", default=()):
        secret = cluster.find(SECRETS, str(one.get("name", "")), fields.namespace(pod))
        if secret is None:
            continue
        data: Mapping[str, str] = fields.get(secret, "data", default={})
        text = data.get(".dockerconfigjson") or data.get(".dockercfg")
        if not text:
            continue
        config: Mapping[str, Any] = json.loads(base64.b64decode(text))
        auths: Mapping[str, Any] = config.get("auths", config)
        for key, entry in auths.items():
            host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
            if host == where or (where == _HUB and host.endswith("docker.io")):
                return _login(entry, key)
    return None


def _login(entry: Mapping[str, str], server: str) -> Mapping[str, str]:
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        decoded = base64.b64decode(entry["auth"]).decode()
        user, _, password = decoded.partition(":")
    return {"username": user, "password": password, "serveraddress": server}


class Images:
    """The images of one Engine.

    Args:
        engine: the Engine.
    """

    def __init__(self, engine: engines.Engine) -> None:
        self._engine = engine
        self._pulls: dict[str, asyncio.Future[Pulled]] = {}

    async def find(self, reference: str) -> Image | None:
        """The image, if the Engine has it."""
        try:
            found = await self._engine.call("GET", f"/images/{engines.name(reference)}/json")
        except engines.EngineError as error:
            if error.status == _GONE:
                return None
            raise
        return Image(
            id=str(found["Id"]),
            user=str(fields.get(found, "Config", "User", default="")),
            size=int(found.get("Size") or 0),
            remote=bool(found.get("RepoDigests")),
            entrypoint=tuple(fields.get(found, "Config", "Entrypoint", default=())),
            arguments=tuple(fields.get(found, "Config", "Cmd", default=())),
        )

    async def pull(self, reference: str, login: Mapping[str, str] | None) -> Pulled:
        """Pull an image.

        Raises:
            PullError: the registry or the Engine refuses.
            EngineAwayError: the Engine doesn't answer.
        """
        key = f"{reference} {json.dumps(login)}"
        running = self._pulls.get(key)
        if running is not None:
            return await asyncio.shield(running)
        future: asyncio.Future[Pulled] = asyncio.get_running_loop().create_future()
        self._pulls[key] = future
        try:
            pulled = await self._pull(reference, login)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # seen: nobody else may be waiting
            raise
        else:
            future.set_result(pulled)
            return pulled
        finally:
            del self._pulls[key]

    async def _pull(self, reference: str, login: Mapping[str, str] | None) -> Pulled:
        began = time.monotonic()
        name, tag = _split(reference)
        path = f"/images/create?fromImage={engines.name(name)}&tag={engines.name(tag)}"
        headers: dict[str, str] = {}
        if login is not None:
            encoded = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
            headers["X-Registry-Auth"] = encoded
        try:
            async for step in self._engine.stream("POST", path, headers=headers):
                if step.get("error"):
                    raise PullError(_explain(reference, str(step["error"])))
        except engines.EngineError as error:
            raise PullError(_explain(reference, str(error))) from error
        found = await self.find(reference)
        if found is None:
            raise PullError(_explain(reference, "not found after the pull"))
        return Pulled(found, time.monotonic() - began)


def _split(reference: str) -> tuple[str, str]:
    """Name and tag (or digest) as the Engine wants them."""
    name, at, digest = reference.partition("@")
    if at:
        return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name, digest
    head, slash, last = reference.rpartition("/")
    base, _, tag = last.partition(":")
    return head + slash + base, tag or "latest"


def _explain(reference: str, message: str) -> str:
    lower = message.lower()
    head = f'failed to pull and unpack image "{reference}": '
    resolve = f'{head}failed to resolve reference "{reference}": '
    if "manifest unknown" in lower or ("not found" in lower and "manifest" in lower):
        return f"rpc error: code = NotFound desc = {resolve}{reference}: not found"
    if "denied" in lower or "unauthorized" in lower or "authentication" in lower:
        text = (
            f"{resolve}pull access denied, repository does not exist or may require authorization"
        )
        return f"rpc error: code = Unknown desc = {text}: {message}"
    return f"rpc error: code = Unknown desc = {resolve}{message}"
