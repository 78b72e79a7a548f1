"""Names: making fresh ones, and the rules for given ones."""

import re
import secrets

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_OLD_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_SEGMENT = re.compile(r"[^/%]+")

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_OLD_LABEL_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', "
    "regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_NAME_PART_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253


def generated(base: str) -> str:
    """A name from a `generateName`: five letters that make no words (as Kubernetes does)."""
    return base[:_LONGEST_BASE] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def label(name: str) -> str | None:
    """What is wrong with an RFC 1123 label (namespaces, containers), or None."""
    if len(name) > _LONGEST_LABEL:
        return f"must be no more than {_LONGEST_LABEL} characters"
    return None if _LABEL.fullmatch(name) else _LABEL_RULE


def old_label(name: str) -> str | None:
    """What is wrong with an RFC 1035 label (services), or None."""
    if len(name) > _LONGEST_LABEL:
        return f"must be no more than {_LONGEST_LABEL} characters"
    return None if _OLD_LABEL.fullmatch(name) else _OLD_LABEL_RULE


def subdomain(name: str) -> str | None:
    """What is wrong with an RFC 1123 subdomain (most objects), or None."""
    if len(name) > _LONGEST_SUBDOMAIN:
        return f"must be no more than {_LONGEST_SUBDOMAIN} characters"
    return None if _SUBDOMAIN.fullmatch(name) else _SUBDOMAIN_RULE


def segment(name: str) -> str | None:
    """What is wrong with a name that is any path segment (RBAC), or None."""
    return None if _SEGMENT.fullmatch(name) and name not in (".", "..") else "may not contain '/'"


def label_key(key: str) -> str | None:
    """What is wrong with the key of a label or annotation, or None."""
    prefix, slash, name = key.rpartition("/")
    if slash and (subdomain(prefix) or not prefix):
        return f"prefix part {_SUBDOMAIN_RULE}" if prefix else "prefix part must be non-empty"
    if not name:
        return "name part must be non-empty"
    if len(name) > _LONGEST_LABEL:
        return f"name part must be no more than {_LONGEST_LABEL} characters"
    return None if _QUALIFIED.fullmatch(name) else _NAME_PART_RULE


def label_value(value: str) -> str | None:
    """What is wrong with a label's value, or None."""
    if len(value) > _LONGEST_LABEL:
        return f"must be no more than {_LONGEST_LABEL} characters"
    return None if _VALUE.fullmatch(value) else _VALUE_RULE
