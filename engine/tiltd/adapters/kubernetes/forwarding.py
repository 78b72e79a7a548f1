"""Ports of this machine that lead to pods; which ones, `core.forwards` says.

Level-based as `keeping` is: `want` says which forwards there are to be and where they lead, one
task opens and closes them.  A connection goes to the pod that its forward leads to when it is made,
and stays with that pod; when a forward is closed, its connections end with it.  A port that can't
be listened on is tried again every second, and told once.

`localhost` is both 127.0.0.1 and ::1, as for kubectl; one of them in use by another program counts
as in use, or it would depend on the client whom it reaches.  Another name is every address of this
machine that it stands for.

A connection (`_Connection`) is two loops, each of which reads only when what it read before has
been taken: nothing is held but what the sockets hold.  A client that ends its direction is told to
the pod, where the tunnel can tell (see `tunnels`); where it can't, a pod that is silent for a while
after that counts as done.  The pod's end ends the connection, since nothing would come through any
more.  A connection that comes to nothing is reset, not closed: a client must not take that for an
empty answer.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NoReturn, assert_never
from urllib.parse import quote

from tiltd import ports
from tiltd.adapters.kubernetes import tunnels
from tiltd.adapters.kubernetes.faults import Refused
from tiltd.adapters.kubernetes.wire import NoAnswer, Request, Tube, Wire
from tiltd.model.observed import Forward, ForwardStatus, PodPort

_LOCALHOST = ("127.0.0.1", "::1")
_AGAIN = 1.0
_HANDSHAKE = 20.0
_FLUSH = 30.0
_SILENCE = 30.0
_LAST_WORDS = 3.0
_PIECE = 32768
_LONGEST_WORDS = 1000
_ABORT = struct.pack("ii", 1, 0)
_NOT_FOUND = 404
_PRIVILEGED = 1024


@dataclass(slots=True)
class _Door:
    """A forward, and what there is of it."""

    forward: Forward
    to: PodPort | None = None
    servers: list[asyncio.Server] = field(default_factory=list[asyncio.Server])
    guests: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    status: ForwardStatus | None = None

    def close(self) -> None:
        for server in self.servers:
            server.close()
        for guest in self.guests:
            guest.cancel()
        self.servers = []


class Forwarding:
    """See the module.

    Args:
        wire: the way to the API server, when a connection needs it.
    """

    def __init__(self, wire: Callable[[], Wire]) -> None:
        self._wire = wire
        self._wanted: Mapping[Forward, PodPort | None] = {}
        self._listener: ports.ForwardListener = _unheard
        self._doors: dict[Forward, _Door] = {}
        self._changed = asyncio.Event()

    def want(
        self, wanted: Mapping[Forward, PodPort | None], listener: ports.ForwardListener
    ) -> None:
        """Exactly these, from now on."""
        self._wanted, self._listener = dict(wanted), listener
        self._changed.set()

    async def run(self) -> NoReturn:
        """Open and close what has to be, until cancelled."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    self._changed.clear()
                    shut = await self._settle(group)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_AGAIN if shut else None):
                            await self._changed.wait()
            finally:
                for door in self._doors.values():
                    door.close()
        raise AssertionError("unreachable: the loop above only ends by an exception")

    async def stop(self) -> None:
        """Close all, at once, and wait for their connections."""
        self._wanted = {}
        guests = {guest for door in self._doors.values() for guest in door.guests}
        for door in list(self._doors.values()):
            self._close(door)
        if guests:
            await asyncio.wait(guests)

    async def _settle(self, group: asyncio.TaskGroup) -> bool:
        """Bring the doors up to what is wanted; whether one could not be opened."""
        for door in [d for f, d in self._doors.items() if f not in self._wanted]:
            self._close(door)
        for forward, to in self._wanted.items():
            if forward not in self._wanted:  # less is wanted since we began
                continue
            door = self._doors.setdefault(forward, _Door(forward))
            if door.to != to and door.status is not None and door.servers:
                self._tell(door, replace(door.status, problem=""))  # it was the other pod's
            door.to = to
            if not door.servers:
                await self._open(door, group)
        return any(not door.servers for door in self._doors.values())

    def _close(self, door: _Door) -> None:
        door.close()
        if self._doors.pop(door.forward, None) is door and door.status is not None:
            self._listener(door.forward, None)

    async def _open(self, door: _Door, group: asyncio.TaskGroup) -> None:
        forward = door.forward

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not door.servers:  # closed in the same turn
                writer.transport.abort()
                return
            guest = group.create_task(self._serve(door, reader, writer), name=f"{forward}")
            door.guests.add(guest)
            guest.add_done_callback(door.guests.discard)

        try:
            servers, port = await _listen(forward, accept)
        except OSError as error:
            self._tell(door, ForwardStatus(0, self._why(error, forward)))
            return
        door.servers = servers
        if self._doors.get(forward) is not door:  # stopped in the meantime
            door.close()
            return
        self._tell(door, ForwardStatus(port))

    def _tell(self, door: _Door, status: ForwardStatus) -> None:
        if self._doors.get(door.forward) is door and door.status != status:
            door.status = status
            self._listener(door.forward, status)

    async def _serve(
        self, door: _Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        to, well, problem = door.to, False, ""
        try:
            if to is None:
                problem = f"no pod of {door.forward.resource} runs at present"
            else:
                well, problem = await self._carry(to, reader, writer)
            if well:
                await _flush(writer)
        finally:
            _hang_up(writer)
        if well or problem:
            self._tell(door, replace(door.status or ForwardStatus(), problem=problem))

    async def _carry(
        self, to: PodPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, str]:
        """Whether it came to its end in order; else why not, if that is worth telling."""
        where = f"/api/v1/namespaces/{quote(to.namespace)}/pods/{quote(to.pod)}/portforward"
        request = Request("GET", where, {"ports": str(to.port)}, seconds=_HANDSHAKE)
        try:
            async with self._wire().tube(request, tuple(tunnels.TUNNELS)) as tube:
                make = tunnels.TUNNELS.get(tube.protocol)
                if make is None:
                    known = " or ".join(tunnels.TUNNELS)
                    return False, f"the cluster forwards no ports by {known}"
                carried = _Connection(tube, make(to.port), reader, writer)
                await carried.run()
                problem = "" if carried.heard else carried.words
                return carried.well, _explained(problem, to)
        except Refused as refused:
            if refused.reply.status == _NOT_FOUND:
                return False, f"pod {to.pod} is gone"
            return False, f"the cluster refuses to forward ports of pod {to.pod}: {refused.words}"
        except (NoAnswer, ports.TransientError, ports.PermanentError) as error:
            return False, f"pod {to.pod} can't be reached: {error}"

    def _why(self, error: OSError, forward: Forward) -> str:
        """Why a port can't be listened on, and what to do."""
        where = f"{forward.host}:{forward.local_port}"
        match error.errno:
            case errno.EADDRINUSE:
                who = next(
                    (
                        f"by the port forward of {f.resource}"
                        for f in self._doors
                        if _same(f, forward)
                    ),
                    "by another program",
                )
                return (
                    f"{where} is in use {who}: it is forwarded as soon as it is free, "
                    "or give another local port in the Tiltfile"
                )
            case errno.EACCES if forward.local_port < _PRIVILEGED:
                return f"{where} may not be listened on: ports below {_PRIVILEGED} need root"
            case errno.EADDRNOTAVAIL | None:  # asyncio of Python 3.13 says it without a number
                return f"{where} can't be listened on: {forward.host} is no address of this machine"
            case _ if isinstance(error, socket.gaierror):
                hint = "does /etc/hosts have it?"
                return f"{where} can't be listened on: there is no host {forward.host}; {hint}"
            case _:
                return f"{where} can't be listened on: {error.strerror or error}"


class _Connection:
    """One client's connection to one port of one pod.

    Attributes:
        heard: the pod has sent something.
        well: it came to its end in order.
        words: why it did not, in the cluster's words.
    """

    def __init__(
        self,
        tube: Tube,
        tunnel: tunnels.Tunnel,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._tube, self._tunnel = tube, tunnel
        self._reader, self._writer = reader, writer
        self._pieces, self._over, self._mute = 0, False, False
        self.well, self.words = False, ""

    @property
    def heard(self) -> bool:
        return self._pieces > 0

    async def run(self) -> None:
        """Carry until one side is done, or has gone."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(), name="to the pod")
            receiving = group.create_task(self._receive(), name="from the pod")
            try:
                await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and sending.result():
                    await self._done(receiving)
            finally:
                sending.cancel()
                receiving.cancel()

    async def _done(self, receiving: asyncio.Task[None]) -> None:
        """Wait for what the pod still says to a client that has said all."""
        told = bool(self._tunnel.end())
        while not receiving.done():
            before = self._pieces
            await asyncio.wait({receiving}, timeout=None if told else _SILENCE)
            if not told and self._pieces == before:
                self.well = True
                return

    async def _send(self) -> bool:
        """Bring what the client says to the pod; whether the client has ended that in order."""
        try:
            if first := self._tunnel.begin():
                await self._tube.send(first)
            while piece := await self._reader.read(_PIECE):
                await self._tube.send(self._tunnel.data(piece))
            if last := self._tunnel.end():
                await self._tube.send(last)
        except NoAnswer:
            return True  # `_receive` hears why
        except OSError:
            return False  # the client has gone
        return True

    async def _receive(self) -> None:
        try:
            while not self._complete():
                # A pod's end comes before the words that say why, if at all.
                async with asyncio.timeout(_LAST_WORDS if self._over else None):
                    message = await self._tube.receive()
                if message is None:
                    # What can't tell its end in another way ends with the WebSocket.
                    self._over = self._over or not self._tunnel.end()
                    break
                for came in self._tunnel.receive(message):
                    await self._take(came)
        except (NoAnswer, tunnels.BabbleError) as error:
            self.words = self.words or str(error)
        except TimeoutError:
            pass  # no words came
        except OSError:
            self._over = False  # the client has gone
        self.well = self._over and not self.words

    def _complete(self) -> bool:
        """The pod has ended it, and its words would be of no use, or have come."""
        return self._over and bool(self._pieces or self.words or self._mute)

    async def _take(self, came: tunnels.Came) -> None:
        match came:
            case tunnels.Data(piece=piece):
                self._pieces += 1
                self._writer.write(piece)
                await self._writer.drain()
            case tunnels.Words(text=text):
                self.words = (self.words + text)[:_LONGEST_WORDS]
            case tunnels.Answer(message=message):
                await self._tube.send(message)
            case tunnels.Over():
                self._over = True
            case tunnels.Mute():
                self._mute = True
            case _:
                assert_never(came)


async def _listen(
    forward: Forward, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
) -> tuple[list[asyncio.Server], int]:
    """Listen on every address of the host that is this machine's; also the port.

    Raises:
        OSError: on none, or the port is in use on one.
    """
    servers: list[asyncio.Server] = []
    failed: list[OSError] = []
    port = forward.local_port
    for address in await _addresses(forward.host):
        try:
            server = await asyncio.start_server(accept, address, port)
        except OSError as error:
            failed.append(error)
        else:
            servers.append(server)
            port = port or int(server.sockets[0].getsockname()[1])
    in_use = [error for error in failed if error.errno == errno.EADDRINUSE]
    if not servers or (in_use and forward.local_port):
        for server in servers:
            server.close()
        raise (in_use or failed)[0]
    return servers, port


async def _addresses(host: str) -> tuple[str, ...]:
    if host == "localhost":
        return _LOCALHOST
    bare = host.removeprefix("[").removesuffix("]")
    found = await asyncio.get_running_loop().getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(row[4][0]) for row in found))


def _same(one: Forward, other: Forward) -> bool:
    """Whether one has taken the other's port."""
    return one != other and one.local_port == other.local_port


def _explained(words: str, to: PodPort) -> str:
    if "connection refused" in words.lower():
        return f"nothing listens on port {to.port} of pod {to.pod}"
    return f"port {to.port} of pod {to.pod}: {words}" if words else ""


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Let the client read what is left; not for ever."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_FLUSH):
            await writer.wait_closed()


def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Reset a connection that is still there."""
    if not writer.transport.is_closing():
        with suppress(OSError):
            there: socket.socket = writer.get_extra_info("socket")
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


def _unheard(_forward: Forward, _status: ForwardStatus | None) -> None:
    """Until somebody listens."""
