"""What an answer that is no success means, and what to do about it.

The API server speaks in `Status` objects: a code, a `reason`, a sentence, and `details.causes` with
the fields that are wrong.  What may heal by itself (busy, timed out, a namespace that is on its way
or going, a webhook that is starting) is transient; what the object itself says is permanent.

The server quotes what it does not like.  Of a Secret, nothing that it quotes is passed on: its
values are cut out of the sentence, and so is whatever follows the server's ways of quoting.

Source: Kubernetes API conventions, "Response Status Kind".
"""

import base64
import binascii
import re
from collections.abc import Iterator
from enum import Enum
from typing import NoReturn

from tiltd import ports
from tiltd.adapters.kubernetes.wire import NoAnswer, Reply, Trouble
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Problem


class Refused(Exception):  # noqa: N818  it is the protocol's word
    """The server answered, but not with what was asked for."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.status = reply.json()
        self.words = str(self.status.get("message") or f"HTTP {reply.status}")
        super().__init__(f"{reply.status} {self.words}")

    @property
    def causes(self) -> tuple[JSON, ...]:
        """The single reasons, where the server gives them."""
        return tuple(podspec.rows(podspec.section(self.status, "details").get("causes")))


class Meaning(Enum):
    """What a refusal of an apply asks for."""

    CONFLICT = "conflict"
    IMMUTABLE = "immutable"
    TRANSIENT = "transient"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"


_IMMUTABLE = re.compile(
    r"immutable|updates to .*are forbidden|may not change fields other than"
    r"|cannot change roleref|may not change once set",
    re.IGNORECASE | re.DOTALL,
)
_SCHEMA = re.compile(r"failed to (create typed|convert)|not declared in schema|: expected ")
_PREAMBLE = re.compile(r"^failed to create typed patch object \([^)]*\): ")
_LONGEST = 500
_HEALING = re.compile(
    r"being terminated|resource definition is terminating"
    r"|not yet ready|serviceaccount \S+ not found|exceeded quota"
    r"|failed calling webhook|has timed out|context deadline exceeded",
    re.IGNORECASE,
)
_REFUSING = re.compile(
    r"being terminated|serviceaccount \S+ not found|exceeded quota|failed calling webhook"
    r"|namespaces \S+ not found",
    re.IGNORECASE,
)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


def meaning(refused: Refused) -> Meaning:
    """What to do about a refused apply."""
    match refused.reply.status:
        case 401:
            return Meaning.LOGIN
        case 409 if any(c.get("reason") == "FieldManagerConflict" for c in refused.causes):
            return Meaning.CONFLICT
        case 409:
            return Meaning.TRANSIENT
        case 400 | 403 | 422 | 500 if _HEALING.search(refused.words):
            return Meaning.TRANSIENT
        case 403:
            return Meaning.FORBIDDEN
        case 404:
            return Meaning.TRANSIENT
        case 422 if _only_immutable(refused):
            return Meaning.IMMUTABLE
        case 500 if _SCHEMA.search(refused.words):
            return Meaning.INVALID
        case status if status in _BUSY:
            return Meaning.TRANSIENT
        case _:
            return Meaning.INVALID


def _only_immutable(refused: Refused) -> bool:
    """Whether nothing else is wrong: an object that is invalid too must not be deleted for it."""
    told = [str(cause.get("message")) for cause in refused.causes] or [refused.words]
    return all(_IMMUTABLE.search(words) for words in told)


def conflicts(refused: Refused) -> tuple[str, ...]:
    """`.spec.replicas (kubectl)`: the fields that others manage, and who they are."""
    found: list[str] = []
    for cause in refused.causes:
        who = re.search(r'"([^"]*)"', str(cause.get("message") or ""))
        found.append(f"{cause.get('field')} ({who.group(1) if who else 'unknown'})")
    return tuple(found)


def raise_apply(refused: Refused, body: JSON, *, doing: str = "apply") -> NoReturn:
    """Raise what a refused apply (or delete) means."""
    words = cleaned(_PREAMBLE.sub("", refused.words), body)
    detail = words if len(words) > _LONGEST else ""
    told = f"{name(body)}: {words[:_LONGEST]}{'…' if detail else ''}"
    code, hint = Code.APPLY, ""
    match meaning(refused):
        case Meaning.TRANSIENT | Meaning.CONFLICT:
            code = Code.REFUSED if _REFUSING.search(refused.words) else code
            problem = Problem(code, told, None, _waiting(refused), detail)
            raise ports.TransientError(problem) from None
        case Meaning.LOGIN | Meaning.FORBIDDEN:
            code = Code.CLUSTER_FORBIDDEN
            told = f"may not {doing} {told}"
            hint = "Ask for the right, or use other credentials (`kubectl auth can-i --list`)."
        case Meaning.IMMUTABLE:
            hint = "Delete it yourself if what it holds may be lost; it is then made anew."
        case Meaning.INVALID:
            hint = _mending(words)
    raise ports.PermanentError(Problem(code, told, None, hint, detail)) from None


def raise_no_answer(error: NoAnswer, body: JSON, seconds: float) -> NoReturn:
    """Raise what silence during an apply (or delete) means."""
    code = Code.TIMEOUT if error.trouble is Trouble.TIMEOUT else Code.CLUSTER_UNREACHABLE
    late = f"the cluster did not answer within {seconds:g} s"
    what = late if error.trouble is Trouble.TIMEOUT else f"the cluster went away: {error}"
    raise ports.TransientError(Problem(code, f"{name(body)}: {what}")) from error


def raise_connect(error: NoAnswer | Refused, context: KubeContext) -> NoReturn:
    """Raise what a failed first contact means."""
    where = f"context {context.name!r} ({context.server})"
    if isinstance(error, Refused):
        if error.reply.status in _BUSY:
            problem = Problem(Code.CLUSTER_UNREACHABLE, f"{where} is not ready: {error.words}")
            raise ports.TransientError(problem) from error
        if error.reply.status in {401, 403}:
            what = f"{where} refuses these credentials: {error.words}"
            hint = "They may have expired: log in again, or use another context."
            raise ports.PermanentError(Problem(Code.CLUSTER_FORBIDDEN, what, None, hint)) from error
        what = f"{where} is no Kubernetes API server: it answered {error.reply.status}"
        hint = "Check the server's URL in the kubeconfig."
        raise ports.PermanentError(Problem(Code.CLUSTER_CONFIG, what, None, hint)) from error
    what = f"{where} can't be reached: {error}"
    hint = (
        "Is the cluster running? Start it, or choose another one with --context; "
        "`tilt-client ci --cluster embedded` needs none."
    )
    code = Code.CLUSTER_UNREACHABLE
    if error.trouble is Trouble.TLS:
        what = f"{where}: its certificate or ours is not accepted: {error}"
        hint = "Renew the certificates in the kubeconfig, or check the server's URL."
        code = Code.CLUSTER_CONFIG
    raise ports.PermanentError(Problem(code, what, None, hint)) from error


def name(body: JSON) -> str:
    """`Deployment/web`, with its namespace where it has one."""
    metadata = podspec.section(body, "metadata")
    title = metadata.get("name") or f"{metadata.get('generateName')}…"
    where = f" ({metadata['namespace']})" if metadata.get("namespace") else ""
    return f"{body.get('kind')}/{title}{where}"


def cleaned(words: str, body: JSON) -> str:
    """The server's words without the values of a Secret."""
    if body.get("kind") != "Secret":
        return words
    for value in sorted(set(_values(body)), key=len, reverse=True):
        words = words.replace(value, "…")
    words = re.sub(
        r"(Invalid value|Unsupported value|Duplicate value): [^\n]*?(: |$)", r"\1\2", words
    )
    return re.sub(r"(got|in string|found) [&\"{\[].*", r"\1 …", words, flags=re.DOTALL)


def _values(body: JSON) -> Iterator[str]:
    for key in ("data", "stringData"):
        for value in podspec.section(body, key).values():
            text = str(value)
            shown = {text, repr(value), text.encode("unicode_escape").decode()}
            try:
                shown.add(base64.b64decode(text, validate=True).decode())
            except (binascii.Error, UnicodeDecodeError, ValueError):
                shown.add(base64.b64encode(text.encode()).decode())
            yield from (word for word in shown if word)


def _waiting(refused: Refused) -> str:
    if "being terminated" in refused.words:
        return "The namespace is still being deleted; this waits until it is gone."
    if re.search(r"namespaces \S+ not found", refused.words):
        return "Create the namespace first, or add its Namespace to the Tiltfile."
    if "failed calling webhook" in refused.words:
        return "An admission webhook of the cluster does not answer: is what serves it running?"
    if "exceeded quota" in refused.words:
        return "Raise the quota, or ask for less in resources."
    return ""


def _mending(words: str) -> str:
    if "unknown field" in words or "not declared in schema" in words:
        return "Check the field's spelling, its indentation, and the apiVersion."
    if "denied the request" in words:
        return "An admission webhook of the cluster does not allow this."
    return ""
