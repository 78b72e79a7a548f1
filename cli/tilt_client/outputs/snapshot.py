"""`--output-snapshot-on-exit FILE`: all that the daemon knows at the end, and its log.

The state is the contract's `Snapshot` in protobuf's own JSON, the log its `LogLine`s: what a
program that speaks tilt_api reads, it reads here too.
"""

import json
import time
from collections.abc import Iterable, Iterator

from google.protobuf import json_format

from tilt_api.client import CallError
from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.version import VERSION
from tilt_client.outputs import document
from tilt_client.render.known import Known

SCHEMA = "tiltd.snapshot/v1"


def text(known: Known, log: Iterable[pb.StreamLogsResponse]) -> Iterator[str]:
    """The file's text; `log` is read while it is written."""
    snapshot = pb.Snapshot(session=known.session, resources=known.all)
    snapshot.session.ClearField("args")  # people put passwords there
    head = {
        "schema": SCHEMA,
        "version": VERSION,
        "createdAt": document.stamp(time.time()),
        "snapshot": json_format.MessageToDict(snapshot),
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "log": ['
    dropped, whole, comma = 0, True, ""
    try:
        for answer in log:
            dropped += answer.dropped
            for line in answer.lines:
                yield f"{comma}\n{document.log_line(line)}"
                comma = ","
    except CallError:  # the daemon is gone: what there is, is worth having
        whole = False
    yield f'\n], "droppedLogLines": {dropped}, "logComplete": {json.dumps(whole)}}}\n'
