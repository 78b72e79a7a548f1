"""What the API says no with: Kubernetes' reasons, messages and causes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilt_cluster.objects import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    InvalidError,
    NotFoundError,
    Resource,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One broken rule of an object.

    Args:
        reason: such as `FieldValueInvalid`.
        field: the path, such as `spec.replicas`.
        message: such as `Invalid value: -1: must be greater than or equal to 0`.
    """

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    """A field is missing."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def invalid(field: str, value: Any, detail: str) -> Cause:
    """A field's value breaks a rule."""
    return Cause("FieldValueInvalid", field, f"Invalid value: {_shown(value)}: {detail}")


def unsupported(field: str, value: Any, options: Sequence[str]) -> Cause:
    """A field's value is none of those that there are."""
    listed = ", ".join(json.dumps(option) for option in options)
    text = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    return Cause("FieldValueNotSupported", field, text)


def duplicate(field: str, value: Any) -> Cause:
    """The same thing twice."""
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {_shown(value)}")


def forbidden(field: str, detail: str) -> Cause:
    """The field may not be set, or not changed."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {detail}")


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """A custom object's value has a wrong type."""
    return Cause("FieldValueTypeInvalid", field, f"Invalid value: {_shown(value)}: {detail}")


def immutable(field: str, value: Any) -> Cause:
    """A field that never changes."""
    return invalid(field, value, "field is immutable")


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid_object(group: str, kind: str, name: str, causes: Sequence[Cause]) -> InvalidError:
    """422 with every cause."""
    what = f"{kind}.{group}" if group else kind
    texts = list(dict.fromkeys(map(str, causes)))
    said = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind}
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    message = f'{what} "{name}" is invalid: {said}'
    return InvalidError(422, "Invalid", message, _filled(details))


def not_found(resource: Resource, name: str) -> NotFoundError:
    """404 for an object."""
    return NotFoundError(404, "NotFound", f'{resource} "{name}" not found', _of(resource, name))


def already_exists(resource: Resource, name: str) -> AlreadyExistsError:
    """409 for a taken name."""
    message = f'{resource} "{name}" already exists'
    return AlreadyExistsError(409, "AlreadyExists", message, _of(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ConflictError:
    """409 for a write that came too late, or a failed precondition."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ConflictError(409, "Conflict", message, _of(resource, name))


def denied(resource: Resource, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """403 for what admission refuses."""
    details: dict[str, Any] = dict(_of(resource, name))
    if causes:
        details["causes"] = [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
            for cause in causes
        ]
    return ApiError(403, "Forbidden", f'{resource} "{name}" is forbidden: {why}', details)


def bad_request(why: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", why)


def expired(why: str) -> ApiError:
    """410 for a resourceVersion that history no longer holds."""
    return ApiError(410, "Expired", why)


def not_allowed() -> ApiError:
    """405 for a verb that the resource hasn't."""
    why = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", why)


def no_such_path() -> ApiError:
    """404 for a path that leads nowhere."""
    return NotFoundError(404, "NotFound", "the server could not find the requested resource")


def _of(resource: Resource, name: str) -> Mapping[str, Any]:
    return _filled({"name": name, "group": resource.group, "kind": resource.name})


def _filled(details: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in details.items() if value}


def status(error: ApiError) -> Mapping[str, Any]:
    """The Status object for an error."""
    found: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
    }
    if error.reason:
        found["reason"] = error.reason
    if error.details:
        found["details"] = dict(error.details)
    found["code"] = error.code
    return found
