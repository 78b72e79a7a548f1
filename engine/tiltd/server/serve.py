"""The gRPC server: our service, and the standard ones (health, reflection).

Handlers run outside our task groups; what escapes one is a bug, which grpc.aio logs with its
traceback and answers with UNKNOWN, while the daemon goes on.
"""

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from tilt_api.v1 import tilt_pb2, tilt_pb2_grpc
from tiltd.server.servicer import Daemon, Servicer

_SERVICE = tilt_pb2.DESCRIPTOR.services_by_name["Tilt"].full_name
_OPTIONS = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)


class Server:
    """Listens on one address.

    Args:
        daemon: what it serves.
        address: `unix:…`; the caller sees to the folder's rights.
    """

    def __init__(self, daemon: Daemon, address: str) -> None:
        self._server = aio.server(options=_OPTIONS)
        self.servicer = Servicer(daemon)
        tilt_pb2_grpc.add_TiltServicer_to_server(self.servicer, self._server)
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        _reflect(self._server)
        self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Answer calls from now on."""
        await self._server.start()
        for name in ("", _SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float) -> None:
        """End calls in flight, with so many seconds of grace."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


def _reflect(server: aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - stays with its one use

    names = (_SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
