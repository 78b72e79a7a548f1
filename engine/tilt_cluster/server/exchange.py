"""One request and its answer: bodies in, JSON out, errors as Status objects."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from aiohttp import web

from tilt_cluster import catalog, decode, refusals, tables, wire
from tilt_cluster.objects import ApiError, Object
from tilt_cluster.schema import is_map

LARGEST = 3 * 1024 * 1024
"""The largest body of a request, in bytes (as the real API server's)."""
_WORTH_PACKING = 128 * 1024
Form = Literal["object", "table", "metadata"]


def dumps(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


async def body(request: web.BaseRequest) -> bytes:
    """The request's body.

    Raises:
        ApiError: 413, it is too large.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > LARGEST:
            text = f"Request entity too large: limit is {LARGEST}"
            raise ApiError(413, "RequestEntityTooLarge", text)
        pieces.append(piece)
    return b"".join(pieces)


def value_of(content: bytes, media: str) -> dict[str, Any]:
    """The object in a body.

    Raises:
        ApiError: it is none, or of a media type that isn't understood.
    """
    media = media.partition(";")[0].strip() or "application/json"
    try:
        if media == "application/json":
            value = decode.parse_json(content)
        elif media == "application/vnd.kubernetes.protobuf":
            value = wire.decode(content)
        elif media in ("application/yaml", "application/apply-patch+yaml"):
            value = decode.parse_yaml(content)
        else:
            text = (
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            )
            raise ApiError(415, "UnsupportedMediaType", text)
    except (decode.RefusedError, wire.WireError) as error:
        text = (
            "couldn't get version/kind; json parse error: " if media.endswith("json") else ""
        ) + str(error)
        raise refusals.bad_request(text) from error
    if not is_map(value):
        text = "couldn't get version/kind; json parse error: json: cannot unmarshal into an object"
        raise refusals.bad_request(text)
    return value


def options(content: bytes, media: str) -> Mapping[str, Any]:
    """The DeleteOptions in a body; empty for none."""
    if not content.strip():
        return {}
    return value_of(content, media)


def form(request: web.BaseRequest, *, many: bool | None = None) -> Form:
    """In which form a client wants objects.

    Args:
        request: the client's.
        many: whether the answer is a list (None: a watch, whose events are single objects).

    Raises:
        ApiError: 406, it accepts nothing that there is.
    """
    accept = request.headers.get("Accept", "*/*")
    for one in accept.split(","):
        parts = [part.strip() for part in one.split(";")]
        if parts[0] not in ("application/json", "*/*", "application/*"):
            continue
        said = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
        wanted = said.get("as", "")
        if not wanted:
            return "object"
        if (said.get("g"), said.get("v")) != ("meta.k8s.io", "v1"):
            continue
        if wanted == "Table":
            return "table"
        if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            _check_many(wanted, many)
            return "metadata"
    text = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", text)


def _check_many(wanted: str, many: bool | None) -> None:  # noqa: FBT001 - as it was asked
    is_list = wanted.endswith("List")
    if many is not None and many != is_list:
        what = "a list" if many else "not a list"
        text = f"you requested {wanted}, but the requested object is {what}"
        raise ApiError(406, "NotAcceptable", text)


def shaped(wanted: Form, include: str, kind: catalog.Kind, version: str, obj: Object) -> Any:
    """One object in the form that a client wants."""
    match wanted:
        case "table":
            found = tables.table(kind, version, [obj], include)
            found["metadata"]["resourceVersion"] = obj["metadata"].get("resourceVersion", "")
            return found
        case "metadata":
            return tables.partial(obj)
        case "object":
            return obj


def warning(text: str) -> str:
    """A Warning header's value."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def answer(
    request: web.BaseRequest, value: Any, code: int = 200, warnings: Sequence[str] = ()
) -> web.Response:
    """A JSON answer."""
    content = value if isinstance(value, bytes) else dumps(value)
    response = web.Response(status=code)
    if len(content) > _WORTH_PACKING and "gzip" in request.headers.get("Accept-Encoding", ""):
        content = gzip.compress(content, 1)
        response.headers["Content-Encoding"] = "gzip"
    response.body = content
    response.content_type = "application/json"
    for text in dict.fromkeys(warnings):
        response.headers.add("Warning", warning(text))
    return response


def refusal(request: web.BaseRequest, error: ApiError) -> web.Response:
    """A Status answer."""
    response = answer(request, refusals.status(error), error.code)
    if error.code == 429:  # noqa: PLR2004 - Too Many Requests
        response.headers["Retry-After"] = "1"
    return response


class Gone(web.StreamResponse):
    """Instead of an answer, where nobody is left to read one: the connection is closed.

    An exception would do so too, but aiohttp writes a traceback for each.
    """

    async def prepare(self, request: web.BaseRequest) -> None:
        """Begin the answer.

        Raises:
            ConnectionResetError: always.
        """
        del request
        raise ConnectionResetError("the client has gone")


def has_vanished(error: Exception) -> bool:
    """Whether an error says no more than that one side has gone (alone, or in a group)."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return group.split(ConnectionError)[1] is None
    return isinstance(error, ConnectionError)


def pack_continue(version: int, namespace: str, name: str) -> str:
    """A `continue` token."""
    value = {"v": "meta.k8s.io/v1", "rv": version, "start": f"{namespace}/{name}"}
    return base64.urlsafe_b64encode(dumps(value)).decode().rstrip("=")


def read_continue(text: str) -> tuple[int, tuple[str, str]]:
    """The version and the last key of a `continue` token.

    Raises:
        ApiError: 400, it is none of ours.
    """
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, _, name = str(value["start"]).partition("/")
        return int(value["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError) as error:
        raise refusals.bad_request("continue key is not valid: the token is not ours") from error
