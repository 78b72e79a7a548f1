"""What a builder's or a registry's words mean: the sentence, the hint, and whether to try again.

The words are those of moby's classic builder, of BuildKit and of the distribution registry; they
are no interface, so what is not recognised is passed on as it is.
"""

import dataclasses
import posixpath
import re
from contextlib import suppress
from pathlib import Path

from tiltd import ports
from tiltd.adapters.images import context, events, steps
from tiltd.core import dockerfile, reference
from tiltd.model.names import ImageName
from tiltd.model.problems import Code, Place, Problem

_EXIT_CODES = (
    re.compile(
        r"[Tt]he command '(?P<command>.*)' returned a non-zero code: (?P<code>\d+)", re.DOTALL
    ),
    re.compile(
        r'process "(?P<command>.*)" did not complete successfully: exit code: (?P<code>\d+)',
        re.DOTALL,
    ),
    re.compile(r"executor failed running \[(?P<command>.*)\]: exit code: (?P<code>\d+)", re.DOTALL),
)
_SHELL = "/bin/sh -c "
_KILLED = 137
_MISSING = (
    re.compile(r"(?:COPY|ADD) failed: (?:.*?: )?stat (?P<path>.+?): file does not exist"),
    re.compile(
        r'failed to (?:compute cache key|calculate checksum)[^"]*"(?P<path>[^"]+)":? not found'
    ),
    re.compile(r'^"(?P<path>/[^"]+)":? not found'),
)
_NO_MATCH = re.compile(r"(?:COPY|ADD) failed: no source files were specified")
_BASE_MISSING = (
    re.compile(r"pull access denied for (?P<image>[^\s,]+)"),
    re.compile(r"manifest for (?P<image>\S+) not found"),
    re.compile(r"(?P<image>\S+): pull access denied"),
    re.compile(r"(?:^|\s)(?P<image>\S+): not found"),
    re.compile(r"(?P<image>)manifest unknown"),
)
_PARSE_LINE = re.compile(r"(?:dockerfile )?parse error (?:on )?line (\d+): (.*)", re.IGNORECASE)
_WRAPPING = re.compile(
    r"^(?:failed to build: |failed to solve: |rpc error: code = \w+ desc = "
    r"|failed to solve with frontend \S+: |failed to create LLB definition: )+"
)
_NO_SPACE = "no space left on device"
_TRANSIENT = re.compile(
    r"connection reset|broken pipe|i/o timeout|TLS handshake timeout|Client\.Timeout"
    r"|context deadline exceeded|unexpected EOF|: EOF$|connection refused|connection timed out"
    r"|server misbehaving|[Tt]emporary failure in name resolution|network is unreachable"
    r"|too many requests|toomanyrequests|\b429\b|\b50[0234]\b|unexpected HTTP status: 5\d\d"
    r"|Service Unavailable|Bad Gateway|Gateway Timeout|Internal Server Error"
    r"|net/http: request canceled"
    # A layer that did not arrive whole, or not yet: two images with one base are pushed at once.
    r"|digest invalid|blob upload (?:unknown|invalid)|blob unknown to registry",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"denied|unauthorized|authentication required|no basic auth credentials"
    r"|insufficient_scope|forbidden",
    re.IGNORECASE,
)
_UNKNOWN_NAME = re.compile(
    r"name unknown|NAME_UNKNOWN|repository .*(?:does not exist|not found)", re.IGNORECASE
)


def is_transient(message: str) -> bool:
    """Whether a registry's failure may heal by itself."""
    return bool(_TRANSIENT.search(message))


@dataclasses.dataclass(frozen=True, slots=True)
class _Finding:
    """The clause after "building X failed: ", and what to do."""

    clause: str
    hint: str = ""
    line: int = 0
    retry: bool = False


def build(
    prepared: context.Prepared, message: str, output: str, line: int
) -> ports.PermanentError | ports.TransientError:
    """The error for a build that failed.

    Args:
        prepared: what was built.
        message: the builder's words.
        output: the last lines that the failing step printed.
        line: of the Dockerfile; 0: not known.
    """
    message = _WRAPPING.sub("", message.strip())
    finding = _find(prepared, message, output, line)
    number = finding.line or line
    within = f" (line {number} of dockerfile_contents)" if prepared.build.inline and number else ""
    problem = Problem(
        Code.BUILD,
        f"building {prepared.image.name} failed{within}: {finding.clause}",
        place=prepared.at(number),
        hint=finding.hint,
        detail=output if message in output else f"{output}\n{message}".strip(),
    )
    return ports.TransientError(problem) if finding.retry else ports.PermanentError(problem)


def _find(prepared: context.Prepared, message: str, output: str, line: int) -> _Finding:
    if _NO_SPACE in message or _NO_SPACE in output:
        return _Finding(
            "the disk of the Docker Engine is full",
            "free some of it: see `docker system df`, then `docker system prune`",
        )
    for pattern in _EXIT_CODES:
        if match := pattern.search(message):
            return _exit(match["command"], int(match["code"]))
    for pattern in _MISSING:
        if match := pattern.search(message):
            return _missing(prepared, match["path"], line)
    if _NO_MATCH.search(message):
        return _Finding(
            "COPY names files that match nothing in the context", _left_out_hint(prepared)
        )
    if match := _PARSE_LINE.search(message):
        return _Finding(f"the Dockerfile is wrong: {match[2]}", line=int(match[1]))
    return _base(prepared, message)


def _exit(command: str, code: int) -> _Finding:
    shown = command.removeprefix(_SHELL).strip()
    hint = "exit code 137 is a kill: often it ran out of memory" if code == _KILLED else ""
    return _Finding(f"`{shown}` exited with code {code}", hint)


def _missing(prepared: context.Prepared, path: str, line: int) -> _Finding:
    relative = posixpath.normpath(path.lstrip("/"))
    if origin := steps.copied_from(prepared.dockerfile, line):
        return _Finding(f"/{relative} was not found in {origin}, which --from= names")
    build = prepared.build
    if not Path(build.context, relative).exists():
        return _Finding(
            f"{relative!r} is not in the build context {build.context}",
            "paths in COPY and ADD are relative to the context",
        )
    if prepared.left_out.filter.excludes(relative):
        return _Finding(
            f"{relative!r} is in the folder {build.context}, but left out of the build context",
            _left_out_hint(prepared),
        )
    return _Finding(f"{relative!r} was not found")


def _left_out_hint(prepared: context.Prepared) -> str:
    sources = [
        source
        for source, used in (
            (prepared.left_out.file, bool(prepared.left_out.file)),
            ("ignore=", bool(prepared.build.ignore)),
            ("only=", bool(prepared.build.only)),
        )
        if used
    ]
    return f"see what {' and '.join(sources)} leave out" if sources else ""


def _base(prepared: context.Prepared, message: str) -> _Finding:
    line = _base_line(prepared, message)
    for pattern in _BASE_MISSING:
        if match := pattern.search(message):
            named = f"the base image {match['image']}" if match["image"] else "a base image"
            return _Finding(
                f"{named} does not exist, or needs credentials",
                "check its name and tag; for a private one, `docker login` at its registry",
                line,
            )
    if _DENIED.search(message):
        hint = "a base image needs credentials: `docker login` at its registry"
        return _Finding(message, hint, line)
    if "no such host" in message:
        return _Finding(
            message, "check the name of the base image's registry, and the network", line
        )
    return _Finding(message, line=line, retry=is_transient(message))


def _base_line(prepared: context.Prepared, message: str) -> int:
    """The line that names the base image that a message speaks of; 0 if it speaks of none."""
    build = prepared.build
    with suppress(dockerfile.DockerfileError, reference.InvalidReferenceError):
        for base in dockerfile.base_images(
            prepared.dockerfile, prepared.build_args, build.target, build.platform
        ):
            host = reference.parse(base.reference).domain
            if base.reference in message or f"//{host}/" in message:
                return base.line
    return 0


def push(image: ImageName, ref: str, message: str) -> ports.PermanentError | ports.TransientError:
    """The error for a push that failed."""
    host = reference.parse(ref).domain
    if is_transient(message) and not _DENIED.search(message):
        return ports.TransientError(
            Problem(
                Code.PUSH,
                f"pushing {image} to {ref} failed: {message}",
                hint=f"check that the registry {host} is up",
            )
        )
    hint = ""
    if _DENIED.search(message):
        hint = f"`docker login {host}`, and check that you may push there"
    elif _UNKNOWN_NAME.search(message):
        hint = "create the repository at the registry, or correct default_registry()"
    elif "HTTP response to HTTPS client" in message:
        hint = f"add {host} to insecure-registries in the Docker Engine's configuration"
    elif "x509" in message:
        hint = f"put the registry's CA into /etc/docker/certs.d/{host}/ca.crt"
    elif "no such host" in message:
        hint = f"{host} does not resolve: correct default_registry() or the image's name"
    return ports.PermanentError(
        Problem(Code.PUSH, f"pushing {image} to {ref} failed: {message}", hint=hint)
    )


def engine(
    image: ImageName, place: Place | None, error: events.EngineError
) -> ports.PermanentError | ports.TransientError:
    """The error for an engine that refused a simple question."""
    problem = Problem(
        Code.BUILD, f"the Docker Engine refused, for {image}: {error.message}", place=place
    )
    server = 500
    kind = ports.TransientError if error.status >= server else ports.PermanentError
    return kind(problem)
