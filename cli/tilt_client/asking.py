"""What `get`, `status`, `describe`, `wait`, `logs` and `trigger` ask a daemon that runs.

None of them starts one: what it does not know, nobody knows.  grpc is imported only once there is a
daemon to ask, as everywhere in the client.
"""

import contextlib
import json
import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from tilt_client import arguments, connect
from tilt_client.complaint import Complaint, Exit
from tilt_client.connect import Link

if TYPE_CHECKING:
    from tilt_api.v1 import tilt_pb2 as pb
    from tilt_client.render.known import Known

TYPES = frozenset({"uiresource", "uiresources", "resource", "resources", "r"})
"""What Tilt's API calls them, and we."""
_PREFIXED = tuple(f"{name}/" for name in TYPES)


def output(*formats: str) -> arguments.Flag:
    """The flag `-o`; without it a table for people."""
    return (
        ("-o", "--output"),
        {"choices": formats, "default": "", "help": f"one of {', '.join(formats)}"},
    )


@contextlib.contextmanager
def daemon(tiltfile: str) -> Generator[Link]:
    """The project's daemon; what it refuses becomes a complaint.

    Raises:
        Complaint: there is none, or it refuses.
    """
    with connect.existing(tiltfile) as link:
        if link is None:
            raise Complaint(
                "no tiltd runs for this project",
                "start it: tilt-client up; or name the Tiltfile of another project with --file",
            )
        from tilt_api.client import CallError  # noqa: PLC0415 - see the module

        try:
            yield link
        except CallError as error:
            if error.lost:
                raise connect.gone(link.home, link.own) from error
            code = Exit.USAGE if error.code == "INVALID_ARGUMENT" else Exit.FAILED
            message, hint = connect.refusal(error)
            raise Complaint(message, hint, code=code) from error


def known(link: Link) -> "Known":
    """All that the daemon knows now.

    Raises:
        Complaint: it has had no session.
    """
    from tilt_api.v1 import tilt_pb2 as pb  # noqa: PLC0415 - see the module
    from tilt_client.render.known import Known  # noqa: PLC0415

    snapshot = link.client.snapshot()
    found = Known()
    found.learn(
        pb.WatchResponse(reset=True, session=snapshot.session, resources=snapshot.resources)
    )
    if not snapshot.session.id:
        raise Complaint("tiltd has had no session yet", "start one: tilt-client up")
    return found


def names(given: Sequence[str]) -> list[str]:
    """The resources' names out of `web`, `uiresource/web`, `uiresources web api`; none is all."""
    rest = list(given)
    if rest and rest[0].lower() in TYPES:
        rest.pop(0)
    return [name.partition("/")[2] if name.lower().startswith(_PREFIXED) else name for name in rest]


def chosen(found: "Known", wanted: Sequence[str]) -> "list[pb.Resource]":
    """The resources of these names, in this order; no names: all of them.

    Raises:
        Complaint: there is no such resource.
    """
    there = {resource.name: resource for resource in found.all}
    for name in wanted:
        if name not in there:
            hint = f"there are: {', '.join(there) or 'none'}"
            raise Complaint(f"there is no resource {name!r}", hint)
    return [there[name] for name in dict.fromkeys(wanted)] if wanted else list(there.values())


def write_data(data: Any, how: str) -> None:
    """Print data as `json` or `yaml`."""
    if how == "json":
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    else:
        import yaml  # noqa: PLC0415 - takes 20 ms

        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    sys.stdout.write(text)
