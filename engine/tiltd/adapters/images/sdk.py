"""The Docker SDK's home: what is asked of the Engine, as blocking calls.

Imported on first use and in a thread (0.2 s); `engine` is its face on the event loop.

A long request (build, push) has a client of its own, so that it can be stopped: the SDK gives no
handle on a request, but requests' own hook sees the response as soon as its headers are there,
and shutting its socket down ends the read.  The Engine takes the closed connection for a cancel.
Before the headers the request's body is being sent, and the body stops by itself.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, cast

import docker
import requests
import urllib3
from docker import errors, tls

from tiltd.adapters.images import endpoint as endpoints
from tiltd.adapters.images import events, stoppable

_SECONDS = 30
_SILENT_PUSH_SECONDS = 300


class Engine:
    """One Docker Engine."""

    def __init__(self, endpoint: endpoints.Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._shared: docker.APIClient | None = None
        self._version: str | None = None

    def image(self, ref: str) -> events.EngineImage | None:
        """The image of this name, if the engine has it."""
        try:
            found = self._call(lambda client: client.inspect_image(ref))
        except events.EngineError as error:
            if error.status == requests.codes.not_found:
                return None
            raise
        return events.image(found)

    def platform(self) -> str:
        """What the engine runs on."""
        return events.platform(self._call(lambda client: client.version()))

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name."""
        repository, _, tag = target.rpartition(":")
        self._call(lambda client: client.tag(source, repository, tag, force=True))

    def untag(self, ref: str) -> None:
        """Take a name from its image, which goes with its last one."""
        try:
            self._call(lambda client: client.remove_image(ref))
        except events.EngineError as error:
            if error.status != requests.codes.not_found:
                raise

    def push(
        self, ref: str, auth: Mapping[str, str], request: stoppable.Request
    ) -> Iterator[events.Event]:
        """Push, event by event."""
        # An empty auth config is "anonymous"; None would make the SDK read its own files.
        return self._stream(
            request,
            _SILENT_PUSH_SECONDS,
            lambda client: client.push(ref, stream=True, decode=True, auth_config=dict(auth)),
        )

    def build(
        self,
        body: IO[bytes],
        options: Mapping[str, Any],
        registries: Callable[[requests.PreparedRequest], requests.PreparedRequest],
        request: stoppable.Request,
    ) -> Iterator[events.Event]:
        """Build by the classic builder, event by event.

        Args:
            body: the context as a tar stream.
            options: arguments of the SDK's `build`.
            registries: puts the credentials for base images on the request.
            request: to stop it.
        """

        def call(client: Any) -> Iterable[Any]:
            client.auth = registries
            chunks = cast("IO[bytes]", request.chunks(body))
            answer: Iterable[Any] = client.build(
                fileobj=chunks, custom_context=True, decode=True, **options
            )
            return answer

        return self._stream(request, _SECONDS, call)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()

    def _call(self, call: Callable[[Any], Any]) -> Any:
        try:
            with self._lock:
                if self._shared is None:
                    self._shared = self._client(_SECONDS)
            return call(self._shared)
        except (errors.DockerException, requests.RequestException) as error:
            raise self._translated(error) from error

    def _stream(
        self,
        request: stoppable.Request,
        seconds: int,
        call: Callable[[Any], Iterable[Any]],
    ) -> Iterator[events.Event]:
        try:
            with self._client(seconds) as client:
                client.hooks["response"].append(request.started)
                yield from call(client)
        except (
            errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
        ) as error:
            raise self._translated(error) from error
        finally:
            request.ended()

    def _client(self, seconds: int) -> docker.APIClient:
        endpoints.probe(self._endpoint)
        client = docker.APIClient(
            base_url=self._endpoint.url,
            version=self._version,
            timeout=seconds,
            tls=_tls(self._endpoint.tls),
        )
        client.trust_env = False  # neither the daemon's proxies nor its netrc
        self._version = client.api_version
        return client

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, errors.APIError) and error.response is not None:
            return events.EngineError(str(error.explanation or error), error.response.status_code)
        if isinstance(error, errors.APIError | errors.StreamParseError):
            return events.EngineError(str(error), 0)
        cause = _os_error(error)
        if isinstance(error, errors.DockerException) and cause is None:
            return endpoints.unreachable(self._endpoint, str(error))
        if isinstance(cause, ConnectionRefusedError | PermissionError | FileNotFoundError):
            return endpoints.unreachable(self._endpoint, cause)
        return endpoints.broken(self._endpoint, cause or error)


def _tls(settings: endpoints.Tls | None) -> tls.TLSConfig | bool:
    if settings is None:
        return False
    pair = (settings.cert, settings.key) if settings.cert and settings.key else None
    return tls.TLSConfig(client_cert=pair, ca_cert=settings.ca or None, verify=settings.verify)


def _os_error(error: BaseException) -> OSError | None:
    """The system's own error, which three libraries have wrapped."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError) and not isinstance(each, requests.RequestException):
            return each
        pending += [*each.args, each.__cause__, each.__context__]
    return None
