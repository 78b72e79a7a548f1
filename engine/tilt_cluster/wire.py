"""Protobuf bodies: some of kubectl's commands send nothing else.

The field numbers are recorded (`data/wire.json.gz`, by `tools/record_wire.py`); the result is the
JSON that the same client would have sent.  Go writes every scalar that is no pointer, so an empty
one may mean "not set" or "set to nothing": those that are pointers are listed here.
"""

import base64
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import schema

MAGIC = b"k8s\x00"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_POINTERS = frozenset(
    {
        "activeDeadlineSeconds",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "backoffLimit",
        "blockOwnerDeletion",
        "completions",
        "controller",
        "enableServiceLinks",
        "failedJobsHistoryLimit",
        "gracePeriodSeconds",
        "immutable",
        "minReplicas",
        "optional",
        "orphanDependents",
        "parallelism",
        "partition",
        "privileged",
        "progressDeadlineSeconds",
        "readOnlyRootFilesystem",
        "replicas",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "storageClassName",
        "successfulJobsHistoryLimit",
        "suspend",
        "terminationGracePeriodSeconds",
        "ttlSecondsAfterFinished",
    }
)
_FIXED64 = 1


class WireError(ValueError):
    """The bytes are no protobuf object of a known kind."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in a protobuf body.

    Raises:
        WireError: it can't be read.
    """
    if not body.startswith(MAGIC):
        raise WireError("provided data does not appear to be a protobuf message")
    try:
        whole = dict(_fields(body[len(MAGIC) :]))
        about = dict(_fields(_bytes(whole[1])))
        api_version, kind = _bytes(about[1]).decode(), _bytes(about[2]).decode()
        raw = _bytes(whole.get(2, b""))
        if raw.startswith(b"{"):
            found: dict[str, Any] = json.loads(raw)
            return found
        value = _message(_name(api_version, kind), raw)
    except WireError:
        raise
    except (LookupError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"the protobuf message is cut off or of no known kind: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **value}


def _name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind == "DeleteOptions":
        return _META + kind
    name = schema.of_kind(group, version, kind).name
    if not name:
        raise WireError(f'no kind "{kind}" is registered for version "{api_version}"')
    return name


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise WireError("a message was expected, a number came")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, form = tag >> 3, tag & 7
        match form:
            case 0:
                value, at = _varint(data, at)
                yield number, value
            case 2:
                length, at = _varint(data, at)
                if at + length > len(data):
                    raise WireError("the protobuf message is cut off")
                yield number, data[at : at + length]
                at += length
            case 1 | 5:
                at += 8 if form == _FIXED64 else 4
            case _:
                raise WireError(f"unknown wire type {form}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7


def _message(name: str, data: bytes) -> Any:
    special = _SPECIAL.get(name.rpartition(".")[2])
    if special:
        return special(data)
    known: Mapping[str, Sequence[str]] = schema.recorded("wire").get(name) or {}
    declared: Mapping[str, Any] = {}
    if name in schema.recorded("schemas"):
        declared = schema.named(name).properties
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        field, kind, shape = known.get(str(number)) or ("", "", "")
        if not field:
            continue
        if shape == "map":
            pair = dict(_fields(_bytes(value)))
            key = _bytes(pair.get(1, b"")).decode()
            found.setdefault(field, {})[key] = _value(kind, pair.get(2, b""))
            continue
        read = _value(kind, value)
        if shape == "list":
            found.setdefault(field, []).append(read)
        elif declared and field not in declared and schema.is_map(read):
            found.update(read)  # a struct that Go embeds
        elif read is not None and (read not in ("", 0, False) or field in _POINTERS):
            found[field] = read
    return found


def _value(kind: str, value: int | bytes) -> Any:
    match kind:
        case "string":
            return _bytes(value).decode()
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "bool":
            return bool(value)
        case "int32" | "int64":
            if isinstance(value, bytes):
                return 0
            return value - 2**64 if value >= 2**63 else value
        case _:
            return _message(kind, _bytes(value))


def _time(data: bytes) -> str | None:
    found = dict(_fields(data))
    seconds, nanos = found.get(1, 0), found.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or not seconds:
        return None
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanos // 1000:06d}Z" if nanos else f"{text}Z"


def _micro_time(data: bytes) -> str | None:
    text = _time(data)
    if text is None or "." in text:
        return text
    return text.replace("Z", ".000000Z")


def _quantity(data: bytes) -> str:
    return _bytes(dict(_fields(data)).get(1, b"0")).decode()


def _int_or_string(data: bytes) -> int | str:
    found = dict(_fields(data))
    if found.get(1, 0) == 1:
        return _bytes(found.get(3, b"")).decode()
    number = found.get(2, 0)
    return number if isinstance(number, int) else 0


def _raw(data: bytes) -> Any:
    text = _bytes(dict(_fields(data)).get(1, b""))
    return json.loads(text) if text else None


_SPECIAL = {
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "FieldsV1": _raw,
    "RawExtension": _raw,
}
