"""The parameters of a request: read as the API server reads them, and refused where it refuses.

Nothing that a client asks for in vain is passed over in silence: a number that is none, a version
that isn't there yet, a combination that means nothing are errors.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from tilt_cluster import refusals
from tilt_cluster.objects import ApiError
from tilt_cluster.refusals import Cause

_FALSE = ("false", "0")
_LARGEST = 2**63
_LONGEST_MANAGER = 128
_MATCHES = ("", "Exact", "NotOlderThan")


class Query:
    """The parameters of a request."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._found = request.query
        self._method = request.method
        self._agent = request.headers.get("User-Agent", "")

    def text(self, name: str) -> str:
        """A parameter, or an empty text."""
        return str(self._found.get(name, ""))

    def flag(self, name: str) -> bool:
        """A boolean parameter: anything but `false` and `0` is true."""
        return name in self._found and self.text(name).lower() not in _FALSE

    def number(self, name: str) -> int | None:
        """A numeric parameter.

        Raises:
            ApiError: 400, it is no number.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            found = int(text)
        except ValueError as error:
            why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
            raise refusals.bad_request(why) from error
        if not -_LARGEST <= found < _LARGEST:
            raise refusals.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
        return found

    @property
    def version(self) -> int | None:
        """The resourceVersion to read at.

        Raises:
            ApiError: 400, it is none.
        """
        text = self.text("resourceVersion")
        if not text:
            return None
        if not text.isdecimal():
            why = (
                f'invalid resource version: resourceVersion: Invalid value: "{text}": '
                f'strconv.ParseUint: parsing "{text}": invalid syntax'
            )
            raise refusals.bad_request(why)
        return int(text)

    @property
    def dry_run(self) -> bool:
        """Whether to store nothing."""
        asked = self._found.getall("dryRun", [])
        return dry(asked)

    @property
    def validation(self) -> str:
        """`Strict`, `Warn` or `Ignore`."""
        asked = self.text("fieldValidation") or "Warn"
        if asked not in ("Strict", "Warn", "Ignore"):
            cause = refusals.unsupported("fieldValidation", asked, ["Ignore", "Strict", "Warn"])
            raise refusals.invalid_object("meta.k8s.io", "CreateOptions", "", [cause])
        return asked

    @property
    def manager(self) -> str:
        """The field manager: as asked for, else the program's name.

        Raises:
            ApiError: 422, it is too long or can't be printed.
        """
        asked = self.text("fieldManager")
        causes: list[Cause] = []
        if len(asked.encode()) > _LONGEST_MANAGER:
            text = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
            causes.append(Cause("FieldValueTooLong", "fieldManager", text))
        for at, letter in enumerate(asked):
            if not letter.isprintable():
                text = f"invalid character U+{ord(letter):04X} (at position {at})"
                causes.append(refusals.invalid("fieldManager", asked, text))
        if causes:
            options = {"POST": "Create", "PUT": "Update"}.get(self._method, "Patch")
            raise refusals.invalid_object("meta.k8s.io", f"{options}Options", "", causes)
        return asked or self._agent.partition("/")[0] or "unknown"

    @property
    def include(self) -> str:
        """What a table's rows hold of their objects.

        Raises:
            ApiError: 400, there is no such choice.
        """
        asked = self.text("includeObject") or "Metadata"
        if asked not in ("None", "Metadata", "Object"):
            why = (
                "Unable to convert to Table as requested: includeObject: Invalid value: "
                f'"{asked}": '
                "must be 'Metadata', 'Object', 'None', or empty"
            )
            raise refusals.bad_request(why)
        return asked

    def check_list(self) -> None:
        """Refuse what a list or watch can't mean.

        Raises:
            ApiError: 422.
        """
        self.number("timeoutSeconds")
        self.number("limit")
        causes = [*(self._watch_causes() if self.flag("watch") else self._list_causes())]
        if causes:
            raise refusals.invalid_object("meta.k8s.io", "ListOptions", "", causes)

    def _list_causes(self) -> Iterator[Cause]:
        match, version = self.text("resourceVersionMatch"), self.text("resourceVersion")
        where = "resourceVersionMatch"
        if "sendInitialEvents" in self._found:
            text = "sendInitialEvents is forbidden for list"
            yield refusals.forbidden("sendInitialEvents", text)
        if not match:
            return
        if self.text("continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            yield refusals.forbidden(where, text)
        if not version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            yield refusals.forbidden(where, text)
        if match not in _MATCHES:
            yield refusals.unsupported(where, match, ["Exact", "NotOlderThan", ""])
        elif match == "Exact" and version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            yield refusals.forbidden(where, text)

    def _watch_causes(self) -> Iterator[Cause]:
        match = self.text("resourceVersionMatch")
        where = "resourceVersionMatch"
        if "sendInitialEvents" not in self._found:
            if match:
                text = (
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
                    "provided"
                )
                yield refusals.forbidden(where, text)
            return
        if match != "NotOlderThan":
            text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            yield refusals.forbidden(where, text)
            if match:
                yield refusals.unsupported(where, match, ["NotOlderThan"])


def dry(asked: Sequence[Any]) -> bool:
    """Whether `dryRun` asks for it.

    Raises:
        ApiError: 422, it asks for something else.
    """
    for one in asked:
        if one != "All":
            cause = refusals.unsupported("dryRun", one, ["All"])
            raise refusals.invalid_object("meta.k8s.io", "CreateOptions", "", [cause])
    return bool(asked)


def too_new(asked: int, now: int) -> ApiError:
    """504 for a version that isn't there yet; clients know it by its cause."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    text = f"Timeout: Too large resource version: {asked}, current: {now}"
    return ApiError(504, "Timeout", text, {"causes": [cause], "retryAfterSeconds": 1})
