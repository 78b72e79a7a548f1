"""Asks a daemon what a Tiltfile asks for: what `lint` and `alpha tiltfile-result` show.

Neither cluster nor engine is touched; what the Tiltfile itself runs (`local`), it runs.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from tilt_client import questions

if TYPE_CHECKING:
    from tilt_api.client import Client
    from tilt_api.v1 import tilt_pb2 as pb


def ask(found: argparse.Namespace) -> "pb.LoadResponse":
    """What the Tiltfile asks for; what it prints goes to standard error.

    Raises:
        questions.RefusedError: the Tiltfile is wrong.
        Complaint: it can't be told, for another reason.
    """
    answer = questions.ask(found, _load)
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `connect`

    for line in answer.log:
        if line.level > pb.LOG_LEVEL_DEBUG:
            sys.stderr.write(f"{line.text}\n")
    return answer


def _load(client: "Client", fields: dict[str, Any]) -> "pb.LoadResponse":
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see `connect`

    return client.load(pb.LoadRequest(**fields), questions.PATIENCE)
