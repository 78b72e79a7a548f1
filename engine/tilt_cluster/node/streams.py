"""Logs, exec, attach and port-forward of the node's pods: what the API gives its clients.

A log is read from the Engine, which keeps it while the container is there: the newest instance and
the one before.  A forwarded connection goes to the pod's address; what listens only on the pod's
own loopback is reached by opening the socket inside the pod's network namespace, which needs root.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from urllib.parse import urlencode

from tilt_cluster import engine, fields
from tilt_cluster.network import links
from tilt_cluster.node import containers
from tilt_cluster.node.containers import Run, Slot
from tilt_cluster.node.pod import Pod
from tilt_cluster.objects import (
    ApiError,
    Connection,
    ExecOptions,
    LogOptions,
    NotFoundError,
    Object,
    Terminal,
)


def _bad(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


class Streams:
    """The node's answer to `tilt_cluster.objects.PodRuntime`.

    Args:
        find: the pod of a uid on this node, if it has it.
        client: the Engine.
    """

    def __init__(self, find: Callable[[str], Pod | None], client: engine.Engine) -> None:
        self._find = find
        self._engine = client

    def _slot(self, pod: Object, name: str) -> tuple[Pod | None, Slot | None]:
        found = self._find(fields.uid(pod))
        slot = found.slot(name) if found else None
        if found is not None and slot is None:
            raise _bad(f"container {name} is not valid for pod {fields.name(pod)}")
        return found, slot

    async def logs(self, pod: Object, options: LogOptions) -> AsyncGenerator[bytes]:
        """The log of a container's newest instance, or of the one before."""
        run = self._logged(pod, options)
        path = f"/containers/{run.id}/logs?{urlencode(_query(options))}"
        left = options.limit
        try:
            info = await self._engine.call("GET", f"/containers/{run.id}/json")
            frames = self._engine.frames(path, tty=bool(info["Config"]["Tty"]))
            async with contextlib.aclosing(frames) as pieces:
                async for stream, data in pieces:
                    if options.stream is not None and stream != options.stream.lower():
                        continue
                    piece = data if left is None else data[:left]
                    yield piece
                    if left is not None:
                        left -= len(piece)
                        if left <= 0:
                            return
        except engine.EngineError as error:
            raise _bad(
                f"unable to retrieve container logs for docker://{run.id}: {error}"
            ) from error
        except engine.EngineAwayError as error:
            raise ApiError(500, "InternalError", str(error)) from error

    def _logged(self, pod: Object, options: LogOptions) -> Run:
        name = fields.name(pod)
        _, slot = self._slot(pod, options.container)
        run = slot.current if slot else None
        if options.previous:
            before = slot.last if slot else None
            if slot is not None and slot.waiting is not None and slot.exited is not None:
                before = slot.exited  # it waits for its restart: the last one is the one before
            if before is None:
                raise _bad(
                    f'previous terminated container "{options.container}" in pod "{name}" not found'
                )
            return before
        if run is None or (run.exited and run.reason == "StartError" and not run.started):
            waiting = slot.waiting.reason if slot and slot.waiting else "ContainerCreating"
            start = _waits(waiting)
            raise _bad(f'container "{options.container}" in pod "{name}" is {start}')
        return run

    def _running(self, pod: Object, container: str) -> Run:
        _, slot = self._slot(pod, container)
        if slot is None or slot.current is None or not slot.running:
            raise _bad(f'container not found ("{container}")')
        return slot.current

    async def exec(self, pod: Object, options: ExecOptions, terminal: Terminal) -> int:
        """Run a command; its exit code."""
        run = self._running(pod, options.container)
        body = {
            "Cmd": list(options.command),
            "AttachStdin": options.stdin,
            "AttachStdout": options.stdout,
            "AttachStderr": options.stderr and not options.tty,
            "Tty": options.tty,
        }
        try:
            made = await self._engine.call("POST", f"/containers/{run.id}/exec", body)
            identity = str(made["Id"])
            start = {"Detach": False, "Tty": options.tty}
            raw = await self._engine.hijack(f"/exec/{identity}/start", start, tty=options.tty)
            first = await self._pump(raw, options, terminal, f"/exec/{identity}/resize")
            seen = await self._engine.call("GET", f"/exec/{identity}/json")
        except engine.EngineError as error:
            raise ApiError(
                500, "InternalError", f"error executing command in container: {error}"
            ) from error
        except engine.EngineAwayError as error:
            raise ApiError(500, "InternalError", str(error)) from error
        code = int(seen.get("ExitCode") or 0)
        if code in {126, 127} and b"OCI runtime exec failed" in first:
            text = first.decode(errors="replace").strip()
            message = f"error executing command in container: failed to exec in container: {text}"
            raise ApiError(500, "InternalError", message)
        return code

    async def attach(self, pod: Object, options: ExecOptions, terminal: Terminal) -> None:
        """Join a container's main process until it ends or the client leaves."""
        run = self._running(pod, options.container)
        query = {"stream": 1, "stdin": int(options.stdin), "stdout": 1, "stderr": 1}
        path = f"/containers/{run.id}/attach?{urlencode(query)}"
        try:
            raw = await self._engine.hijack(path, None, tty=options.tty)
        except (engine.EngineError, engine.EngineAwayError) as error:
            raise ApiError(500, "InternalError", str(error)) from error
        # Whoever closes stdin of the Engine's side loses the output, unless stdin ends with it.
        _, slot = self._slot(pod, options.container)
        once = slot is not None and containers.spec_of(pod, slot).get("stdinOnce")
        resize = f"/containers/{run.id}/resize"
        await self._pump(raw, options, terminal, resize, ends_input=bool(once))

    async def _pump(
        self,
        raw: engine.Raw,
        options: ExecOptions,
        terminal: Terminal,
        resize: str,
        *,
        ends_input: bool = True,
    ) -> bytes:
        """Move bytes both ways until the output ends; the first piece of output."""
        first = b""
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers: list[asyncio.Task[None]] = []
                if options.stdin:
                    reading = self._input(raw, terminal, ends=ends_input)
                    helpers.append(tasks.create_task(reading))
                if options.tty:
                    helpers.append(tasks.create_task(self._sizes(terminal, resize)))
                while (frame := await raw.frame()) is not None:
                    stream, data = frame
                    first = first or data
                    await terminal.write(stream, data)
                for task in helpers:
                    task.cancel()
        except* ConnectionError:
            pass  # the client has gone
        finally:
            raw.close()
        return first

    async def _input(self, raw: engine.Raw, terminal: Terminal, *, ends: bool) -> None:
        while data := await terminal.read():
            await raw.write(data)
        if ends:
            raw.end_input()

    async def _sizes(self, terminal: Terminal, path: str) -> None:
        while True:
            columns, rows = await terminal.resize()
            with contextlib.suppress(engine.EngineError, engine.EngineAwayError):
                await self._engine.call("POST", path, query={"w": str(columns), "h": str(rows)})

    async def port_forward(self, pod: Object, port: int, connection: Connection) -> None:
        """Connect to a port of the pod, and pump until one side closes."""
        found = self._find(fields.uid(pod))
        if found is None or not found.ip or not found.sandbox:
            raise NotFoundError(404, "NotFound", f"pod {fields.name(pod)} has no network")
        try:
            reader, writer = await self._connect(found, port)
        except (OSError, engine.EngineError, engine.EngineAwayError) as error:
            where = f"inside namespace of pod {fields.name(pod)}"
            message = f"failed to connect to localhost:{port} {where}: {_words(error)}"
            raise ApiError(500, "InternalError", message) from error
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_send(connection, writer))
                while data := await reader.read(65536):
                    await connection.write(data)
                sending.cancel()
        except* (ConnectionError, OSError):
            pass  # one side has closed
        finally:
            writer.close()

    async def _connect(
        self, pod: Pod, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await asyncio.open_connection(pod.ip, port)
        except OSError:
            if os.geteuid() != 0:
                raise
        info = await self._engine.call("GET", f"/containers/{pod.sandbox}/json")
        inside = await links.in_thread(lambda: _socket_in(int(info["State"]["Pid"])))
        try:
            inside.settimeout(0)
            await asyncio.get_running_loop().sock_connect(inside, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=inside)
        except BaseException:
            inside.close()
            raise


async def _send(connection: Connection, writer: asyncio.StreamWriter) -> None:
    while data := await connection.read():
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


def _words(error: Exception) -> str:
    """As the kubelet says it: asyncio says that a call failed, and the number why."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)


def _waits(reason: str) -> str:
    failing = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
    shown = "trying and failing to pull image" if reason in failing else reason
    return f"waiting to start: {shown}"


def _query(options: LogOptions) -> dict[str, str]:
    query = {"stdout": "1", "stderr": "1", "follow": str(int(options.follow))}
    if options.timestamps:
        query["timestamps"] = "1"
    if options.tail is not None:
        query["tail"] = str(options.tail)
    if options.since is not None:
        moment = datetime.fromtimestamp(options.since, UTC)
        query["since"] = f"{int(moment.timestamp())}.{moment.microsecond:06d}000"
    return query


def _socket_in(pid: int) -> socket.socket:
    """A socket in the network namespace of a process; for a thread of its own, which is lost."""
    links.enter(pid)
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
