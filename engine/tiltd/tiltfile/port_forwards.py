"""Port forwards as `port_forwards=` writes them: `8080`, `8080:80`, `host:8080:80`."""

import ipaddress
import re
from contextlib import suppress

from tiltd.model.desired import PortForward
from tiltd.tiltfile.mistakes import Mistake

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
)
_HIGHEST = 65535
_FORMS = "write 8080, '8080:80' (local:container) or 'localhost:8080:80'"


def parse(text: str) -> PortForward:
    """Read one port forward.

    Raises:
        Mistake: a port is no number from 0 to 65535, or the host is no host name.
    """
    match text.split(":", 2):
        case [local]:
            return PortForward(port(local))
        case [local, container]:
            return PortForward(port(local), port(container))
        case [host, local, container]:
            return PortForward(port(local), port(container), check_host(host))
        case _:  # pragma: no cover (a split gives one to three parts)
            raise AssertionError(text)


def port(value: str | int) -> int:
    """Check a port.

    Raises:
        Mistake: it is no number from 0 to 65535.
    """
    try:
        number = int(value) if isinstance(value, int) or value.isascii() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= _HIGHEST or isinstance(value, bool):
        raise Mistake(f"the port {value!r} is not a number from 0 to {_HIGHEST}", hint=_FORMS)
    return number


def check_host(host: str) -> str:
    """Check a host name or an IP address; one of IPv6 is given back in brackets, as in a URL.

    Raises:
        Mistake: it is neither.
    """
    with suppress(ValueError):
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        return f"[{ipaddress.IPv6Address(bare)}]"
    if not _HOST.fullmatch(host):
        raise Mistake(f"{host!r} is no host name or IP address", hint=_FORMS)
    return host
