"""Refusals in gRPC's own form: a status code, and the problem itself in the rich details.

Clients of any language read the sentence; those that know the contract find a `Problem` with code
and hint in `grpc-status-details-bin` (google.rpc.Status, as in gRPC's richer error model).
"""

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc import aio

from tilt_api.v1 import tilt_pb2 as pb

_DETAILS = "grpc-status-details-bin"


async def refuse(
    context: aio.ServicerContext[Any, Any], code: grpc.StatusCode, problem: pb.Problem
) -> NoReturn:
    """End the call with `code` and `problem`."""
    packed = any_pb2.Any()
    packed.Pack(problem)
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=problem.message, details=[packed])
    metadata = ((_DETAILS, status.SerializeToString()),)
    await context.abort(code, problem.message, metadata)
    raise AssertionError("abort does not return")
