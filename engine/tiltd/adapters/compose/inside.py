"""What is done in a running container, by the Docker Engine: files go in, programs run.

Files are unpacked by the Engine itself, so an image needs no `tar`.  A program's output comes as
the answer to its start; its exit code is asked for afterwards.

Source: the Docker Engine API (`PutContainerArchive`, `ContainerExec`, `ExecStart`, `ExecInspect`,
`ContainerRestart`).
"""

import codecs
import json
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tiltd import ports
from tiltd.adapters.compose.engine import (
    CONFLICT,
    NOT_FOUND,
    Content,
    Engine,
    RefusedError,
    frames,
)
from tiltd.model.live_update import Target
from tiltd.model.problems import Code, Problem

_TAR = "application/x-tar"
_NO_PROGRAM = 127
_MISSING = re.compile(r"executable file not found|no such file or directory", re.IGNORECASE)


async def unpack(engine: Engine, target: Target, packed: bytes) -> None:
    """Unpack a tar archive at the container's root. See `ports.Composes`."""
    with _translated(target):
        path = f"/containers/{target.id}/archive"
        await engine.send("PUT", path, Content(packed, _TAR), {"path": "/"})


async def execute(engine: Engine, target: Target, argv: Sequence[str], log: ports.Log) -> int:
    """Run a program to its end; its exit code. See `ports.Composes`."""
    with _translated(target):
        asked = {"Cmd": list(argv), "AttachStdout": True, "AttachStderr": True}
        made = await engine.send("POST", f"/containers/{target.id}/exec", _json(asked))
        path = f"/exec/{json.loads(made)['Id']}"
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        start = _json({"Detach": False, "Tty": False})
        try:
            async with engine.stream(f"{path}/start", method="POST", content=start) as blocks:
                async for part in frames(blocks):
                    log.write(decode(part))
        except RefusedError as error:
            if not _MISSING.search(str(error)):
                raise
            log.write(f"{error}\n")
            return _NO_PROGRAM
        seen = await engine.get(f"{path}/json")
        return int(seen.get("ExitCode") or 0)


async def restart(engine: Engine, target: Target) -> None:
    """Restart the container. See `ports.Composes`."""
    with _translated(target):
        await engine.send("POST", f"/containers/{target.id}/restart", Content(b""), {"t": "0"})


def _json(value: object) -> Content:
    return Content(json.dumps(value).encode())


@contextmanager
def _translated(target: Target) -> Generator[None]:
    """A refusal as the engine knows it: the container has gone, or it is for good."""
    try:
        yield
    except RefusedError as error:
        message = f"{target} can't be updated: {error}"
        problem = Problem(Code.ENGINE_UNREACHABLE, message)
        gone = error.status in {NOT_FOUND, CONFLICT} and "container" in str(error).lower()
        raise (ports.GoneError if gone else ports.PermanentError)(problem) from error
