"""Runs programs in containers: the subresource `exec`, over a WebSocket.

Each message begins with the number of its channel; the last one, on channel 3, is a `Status` with
the exit code.  With `v5` the end of the standard input can be said, which a program that reads to
its end waits for.  Servers before Kubernetes 1.30 know only `v4`; there the program gets its input
through `head`, which ends after so many bytes.

Sources: KEP-4006; `k8s.io/apimachinery/pkg/util/remotecommand` (channels and protocols).
"""

import asyncio
import codecs
import json
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, NoReturn, cast
from urllib.parse import quote, urlencode

from tiltd import ports
from tiltd.adapters.kubernetes.faults import Refused
from tiltd.adapters.kubernetes.wire import NoAnswer, Request, Tube, Wire
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.live_update import Target
from tiltd.model.problems import Code, Problem
from tiltd.runtime.reading import unwrapped

_STDIN, _STDOUT, _STDERR, _STATUS = 0, 1, 2, 3
_END_OF_STDIN = bytes((255, _STDIN))
_V5, _V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_BLOCK: Final = 32 * 1024 - 1
_SECONDS = 15.0
_NOT_FOUND, _FORBIDDEN, _BAD_REQUEST = 404, 403, 400
_BUSY = frozenset({408, 429, 502, 503, 504})
_NO_PROGRAM: Final = 127
_MISSING = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)
_GONE = re.compile(r"container not found|is not valid for pod|not running|not found", re.IGNORECASE)
_BY_HEAD = 'n=$1; shift; head -c "$n" | "$@"'


async def execute(
    wire: Wire, target: Target, argv: Sequence[str], log: ports.Log, stdin: bytes | None
) -> int:
    """See `ports.Cluster`."""
    try:
        with unwrapped():
            if stdin is None:
                async with _tube(wire, target, argv, (_V5, _V4), stdin=False) as tube:
                    return await _followed(tube, target, log)
            code = await _fed(wire, target, argv, log, stdin)
            if code is not None:
                return code
            shell = ("sh", "-c", _BY_HEAD, "sh", str(len(stdin)), *argv)
            async with _tube(wire, target, shell, (_V4,), stdin=True) as tube:
                return await _exchanged(tube, target, log, stdin)
    except Refused as refused:
        _raise_refused(refused, target)
    except NoAnswer as error:
        message = f"no program can be run in {target}: {error}"
        raise ports.TransientError(Problem(Code.CLUSTER_UNREACHABLE, message)) from error


async def _fed(
    wire: Wire, target: Target, argv: Sequence[str], log: ports.Log, stdin: bytes
) -> int | None:
    """With an input that ends; `None` if the server does not know how to."""
    try:
        async with _tube(wire, target, argv, (_V5,), stdin=True) as tube:
            if tube.protocol == _V5:
                return await _exchanged(tube, target, log, stdin)
    except Refused as refused:
        if refused.reply.status not in {_BAD_REQUEST, _FORBIDDEN} or "protocol" not in (
            refused.words.lower()
        ):
            raise
    return None


def _tube(
    wire: Wire, target: Target, argv: Sequence[str], protocols: Sequence[str], *, stdin: bool
) -> AbstractAsyncContextManager[Tube]:
    pod = f"/api/v1/namespaces/{quote(target.namespace)}/pods/{quote(target.pod)}"
    query = [("container", target.name), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin else []
    query += [("command", part) for part in argv]
    return wire.tube(Request("GET", f"{pod}/exec?{urlencode(query)}", seconds=_SECONDS), protocols)


async def _exchanged(tube: Tube, target: Target, log: ports.Log, stdin: bytes) -> int:
    """Feed the input, and at the same time take what is printed, so that neither waits."""
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(tube, stdin), name="stdin")
        code = await _followed(tube, target, log)
        feeding.cancel()  # it may have ended without reading all
    return code


async def _feed(tube: Tube, stdin: bytes) -> None:
    """Send it all, as far as somebody takes it: why nobody does is what the other side tells."""
    with suppress(NoAnswer):
        for start in range(0, len(stdin), _BLOCK):
            await tube.send(bytes((_STDIN,)) + stdin[start : start + _BLOCK])
        if tube.protocol == _V5:
            await tube.send(_END_OF_STDIN)


async def _followed(tube: Tube, target: Target, log: ports.Log) -> int:
    """Pass on what is printed, to the end; the exit code."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while message := await tube.receive():
        channel, content = message[0], message[1:]
        if channel in {_STDOUT, _STDERR} and content:
            log.write(decode(content))
        elif channel == _STATUS:
            return _exit_code(_status(content), target, log)
    message_ = f"the end of a program in {target} was not told"
    raise ports.TransientError(Problem(Code.CLUSTER_UNREACHABLE, message_))


def _status(content: bytes) -> JSON:
    try:
        found = cast("object", json.loads(content))
    except ValueError:
        found = None
    known = cast("JSON", found) if isinstance(found, dict) else None
    return known or {"message": content.decode(errors="replace")}


def _exit_code(status: JSON, target: Target, log: ports.Log) -> int:
    """What the end of a program says.

    Raises:
        GoneError: the container has ended.
        PermanentError: the program could not be started, for another reason than its absence.
    """
    if status.get("status") == "Success":
        return 0
    for cause in podspec.rows(podspec.section(status, "details").get("causes")):
        if cause.get("reason") == "ExitCode" and str(cause.get("message")).isdecimal():
            return int(str(cause["message"]))
    words = str(status.get("message") or "without a word")
    if _MISSING.search(words):
        log.write(f"{words}\n")
        return _NO_PROGRAM
    message = f"no program can be run in {target}: {words}"
    problem = Problem(Code.COMMAND, message)
    raise ports.GoneError(problem) if _GONE.search(words) else ports.PermanentError(problem)


def _raise_refused(refused: Refused, target: Target) -> NoReturn:
    status, words = refused.reply.status, refused.words
    message = f"no program can be run in {target}: {words}"
    if status == _NOT_FOUND or (status != _FORBIDDEN and _GONE.search(words)):
        raise ports.GoneError(Problem(Code.COMMAND, message)) from refused
    if status == _FORBIDDEN:
        hint = "ask for the right to create pods/exec (live_update needs it)"
        raise ports.PermanentError(Problem(Code.CLUSTER_FORBIDDEN, message, hint=hint)) from refused
    problem = Problem(Code.CLUSTER_UNREACHABLE, message)
    if status in _BUSY:
        raise ports.TransientError(problem) from refused
    raise ports.PermanentError(problem) from refused
