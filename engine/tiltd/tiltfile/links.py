"""Links of a resource: an URL, with `http://` put before it where it names no scheme."""

import re
from urllib import parse

from tiltd.model.desired import Link
from tiltd.tiltfile.mistakes import Mistake

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def make(url: str, name: str = "") -> Link:
    """A link.

    Raises:
        Mistake: `url` is empty or no URL.
    """
    if not url:
        raise Mistake("a link's url is empty", hint="write a URL such as http://localhost:8080")
    try:
        parse.urlsplit(url)
    except ValueError as error:
        raise Mistake(f"{url!r} is no URL: {error}") from error
    if _UNPRINTABLE.search(url):
        raise Mistake(f"{url!r} is no URL: it contains a control character")
    # `localhost:3000` reads as the scheme `localhost`, here as in Tilt.
    return Link(url if _SCHEME.match(url) else f"http://{url}", name)
