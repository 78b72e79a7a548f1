"""From an HTTP request to the part that answers it; who may ask; errors as Status objects."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from tilt_cluster import api, fields, refusals, schema, tables, tokens
from tilt_cluster.objects import ApiError, Object, PodRuntime
from tilt_cluster.server import (
    documents,
    exchange,
    openapi2,
    proxy,
    special,
    streams,
    target,
    verbs,
    watching,
)
from tilt_cluster.server.query import Query
from tilt_cluster.server.target import Target

_LOG = logging.getLogger(__name__)
_HEALTH = frozenset({"/healthz", "/readyz", "/livez"})
_REVIEWS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
_STREAMS = frozenset({"log", "exec", "attach", "portforward"})


class Handler:
    """Answers every request.

    Args:
        objects: the objects.
        signer: checks bearer tokens.
    """

    def __init__(self, objects: api.Api, signer: tokens.Signer) -> None:
        self._api = objects
        self._signer = signer
        self._verbs = verbs.Verbs(objects)
        self.runtime: PodRuntime | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer; an error that nobody expected is a 500 and stays in the log."""
        try:
            self._authenticate(request)
            return await self._answer(request)
        except ApiError as error:
            return exchange.refusal(request, error)
        except Exception as error:  # noqa: BLE001 - one request's bug must not end the cluster
            if exchange.has_vanished(error):
                return exchange.Gone()
            _LOG.exception("%s %s failed", request.method, request.path)
            text = f"Internal error occurred: {type(error).__name__}: {error}"
            return exchange.refusal(request, ApiError(500, "InternalError", text))

    def _authenticate(self, request: web.BaseRequest) -> str:
        """The user's name.

        Raises:
            ApiError: 401.
        """
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport else None
        if certificate:
            subject = {key: value for part in certificate["subject"] for key, value in part}
            return str(subject.get("commonName", "unknown"))
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        user: str | None = None
        if kind == "Bearer":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                user = self._signer.read(token)
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return user

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")  # the Python client asks for `/version/` and `/apis/`
        if path.startswith(("/api/", "/apis/")):
            found = self._document(request, path)
            if found is not None:
                return exchange.answer(request, found)
            return await self._object(request, target.parse(path, self._api.catalog))
        return self._general(request, path)

    def _general(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise refusals.not_allowed()
        known = self._api.catalog
        if path in _HEALTH or path.startswith(("/readyz/", "/livez/", "/healthz/")):
            return web.Response(text="ok")
        if path == "/version":
            return exchange.answer(request, schema.recorded("version"))
        if path in ("/api", "/apis"):
            if "as=APIGroupDiscoveryList" in request.headers.get("Accept", ""):
                found = documents.aggregated(known, core=path == "/api")
                response = exchange.answer(request, found)
                response.headers["Content-Type"] = (
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                )
                return response
            if path == "/apis":
                return exchange.answer(request, documents.group_list(known))
            versions = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            return exchange.answer(request, versions)
        if path == "/openapi/v3":
            return exchange.answer(request, documents.openapi_index(known))
        if path == "/openapi/v2":
            if not openapi2.accepts(request.headers.get("Accept", "")):
                text = "only the following media types are accepted: application/json"
                raise ApiError(406, "NotAcceptable", text)
            return exchange.answer(request, openapi2.document(known))
        if path.startswith("/openapi/v3/"):
            group, version = _place(path.removeprefix("/openapi/v3"))
            document = documents.openapi(known, group, version)
            if document is not None:
                return exchange.answer(request, document)
        raise refusals.no_such_path()

    def _document(self, request: web.BaseRequest, path: str) -> Mapping[str, Any] | None:
        parts = path.strip("/").split("/")
        if request.method not in ("GET", "HEAD"):
            return None
        match parts:
            case ["api", version]:
                return documents.resource_list(self._api.catalog, "", version)
            case ["apis", group]:
                return documents.group(self._api.catalog, group)
            case ["apis", group, version]:
                return documents.resource_list(self._api.catalog, group, version)
            case _:
                return None

    async def _object(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        if at.resource.group in _REVIEWS:
            return await self._review(request, at)
        self._check_verb(request, at)
        if at.subresource in _STREAMS:
            self._verbs.current(at)
            if self.runtime is None:
                text = (
                    "the embedded cluster has no node: nothing runs, so there is nothing to reach"
                )
                raise ApiError(503, "ServiceUnavailable", text)
            return await streams.serve(self._api, self.runtime, request, at)
        if at.subresource == "proxy":
            return await proxy.serve(self._api, request, at)
        match request.method:
            case "GET" | "HEAD":
                return await self._read(request, at)
            case "POST":
                return await self._create(request, at)
            case "PUT" | "PATCH":
                return await self._change(request, at)
            case _:
                return await self._delete(request, at)

    def _check_verb(self, request: web.BaseRequest, at: Target) -> None:
        one = bool(at.name)
        verb = {
            "GET": "get" if one else "list",
            "HEAD": "get" if one else "list",
            "POST": "create",
            "PUT": "update" if one else "",
            "PATCH": "patch" if one else "",
            "DELETE": "delete" if one else "deletecollection",
        }.get(request.method, "")
        if at.subresource:
            part = at.kind.versions[at.version].subresources[at.subresource]
            allowed: Sequence[str] = part["verbs"]
        else:
            allowed = at.kind.verbs
            if request.method == "POST" and one:
                raise refusals.not_allowed()
        if verb not in allowed and at.subresource != "proxy":
            raise refusals.not_allowed()

    async def _review(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        if request.method != "POST":
            raise refusals.not_allowed()
        given = await self._given(request)
        if at.kind.kind == "TokenReview":
            user = None
            with contextlib.suppress(ValueError, KeyError, TypeError):
                user = self._signer.read(str(fields.get(given, "spec", "token", default="")))
            return exchange.answer(request, special.review_token(given, user), 201)
        user = self._authenticate(request)
        answer = special.review(at.kind.kind, at.kind.api_version(at.version), given, user)
        return exchange.answer(request, answer, 201)

    async def _given(self, request: web.BaseRequest) -> dict[str, Any]:
        content = await exchange.body(request)
        return exchange.value_of(content, request.headers.get("Content-Type", ""))

    async def _read(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        query = Query(request)
        if query.flag("watch") and not at.name:
            return await watching.Watch(self._api, self._verbs, request, at).run()
        if at.name:
            return self._shaped(request, at, self._verbs.get(at, query))
        found, metadata = self._verbs.listed(at, query)
        return exchange.answer(request, self._list(request, at, found, metadata))

    def _list(
        self,
        request: web.BaseRequest,
        at: Target,
        found: Sequence[Object],
        metadata: Mapping[str, Any],
    ) -> Any:
        include = Query(request).include
        match exchange.form(request, many=True):
            case "table":
                table = tables.table(at.kind, at.version, found, include)
                return {**table, "metadata": metadata}
            case "metadata":
                return {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "items": [tables.partial(obj) for obj in found],
                }
            case "object":
                kind = f"{at.kind.kind}List"
                if at.kind.custom is not None:
                    kind = at.kind.custom["names"].get("listKind") or kind
                    items: Sequence[Any] = found
                else:
                    # Items of built-in lists don't repeat what the list's kind says.
                    items = [
                        {key: obj[key] for key in obj if key not in ("apiVersion", "kind")}
                        for obj in found
                    ]
                return {
                    "kind": kind,
                    "apiVersion": at.kind.api_version(at.version),
                    "metadata": metadata,
                    "items": items,
                }

    def _shaped(
        self,
        request: web.BaseRequest,
        at: Target,
        obj: Object,
        code: int = 200,
        warnings: Sequence[str] = (),
    ) -> web.Response:
        if obj.get("kind") in ("Status", "Scale", "TokenRequest"):
            return exchange.answer(request, obj, code, warnings)
        include = Query(request).include
        value = exchange.shaped(
            exchange.form(request, many=False), include, at.kind, at.version, obj
        )
        return exchange.answer(request, value, code, warnings)

    async def _create(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        given = await self._given(request)
        query = Query(request)
        warnings: list[str] = []
        match at.subresource:
            case "":
                if at.resource.name == "bindings":
                    raise refusals.not_allowed()
                obj = self._verbs.create(at, given, query, warnings)
            case "eviction":
                options = fields.get(given, "deleteOptions", default={})
                how = self._verbs.deletion(at, query, options, warnings)
                obj = special.evict(self._api, at, given, how)
            case "binding":
                obj = special.bind(self._api, at, given)
            case "token":
                obj = special.issue(self._api, at, given)
            case _:
                raise refusals.not_allowed()
        return self._shaped(request, at, obj, 201, warnings)

    async def _change(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        content = await exchange.body(request)
        media = request.headers.get("Content-Type", "")
        query = Query(request)
        warnings: list[str] = []
        new = False
        if request.method == "PATCH":
            obj, new = self._verbs.patch(at, media, content, query, warnings)
        elif at.subresource == "finalize":
            obj = special.finalize(self._api, at, exchange.value_of(content, media))
        elif self._verbs.makes(at):
            obj = self._verbs.create(at, exchange.value_of(content, media), query, warnings)
            new = True
        else:
            obj = self._verbs.put(at, exchange.value_of(content, media), query, warnings)
        return self._shaped(request, at, obj, 201 if new else 200, warnings)

    async def _delete(self, request: web.BaseRequest, at: Target) -> web.StreamResponse:
        content = await exchange.body(request)
        body = exchange.options(content, request.headers.get("Content-Type", ""))
        query = Query(request)
        warnings: list[str] = []
        how = self._verbs.deletion(at, query, body, warnings)
        if at.name:
            return self._shaped(request, at, self._verbs.delete(at, how), 200, warnings)
        found, metadata = self._verbs.delete_all(at, query, how)
        # A client that deletes much at once shouldn't hold up the others.
        await asyncio.sleep(0)
        return exchange.answer(request, self._list(request, at, found, metadata), 200, warnings)


def _place(path: str) -> tuple[str, str]:
    """Group and version of `/api/v1` or `/apis/GROUP/VERSION`."""
    match path.strip("/").split("/"):
        case ["api", version]:
            return "", version
        case ["apis", group, version]:
            return group, version
        case _:
            raise refusals.no_such_path()
