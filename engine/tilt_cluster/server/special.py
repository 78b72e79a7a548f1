"""What isn't plain storage: reviews, eviction, binding, tokens."""

from collections.abc import Mapping
from typing import Any

from tilt_cluster import api, fields, refusals
from tilt_cluster.objects import (
    NAMESPACES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SERVICE_ACCOUNTS,
    ApiError,
    Object,
)
from tilt_cluster.server.target import Target

_GROUPS = ["system:masters", "system:authenticated"]
_HOUR = 3600


def review(kind: str, api_version: str, given: Mapping[str, Any], user: str) -> Object:
    """The answer to an authentication or authorization review: everyone may do everything.

    Raises:
        ApiError: it is a review that the embedded cluster doesn't do.
    """
    answer: dict[str, Any] = {**given, "kind": kind, "apiVersion": api_version}
    answer["metadata"] = {"creationTimestamp": None, **fields.get(given, "metadata", default={})}
    who = {"username": user, "groups": _GROUPS}
    match kind:
        case "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview":
            answer["status"] = {"allowed": True, "reason": "the embedded cluster allows everything"}
        case "SelfSubjectRulesReview":
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
            answer["status"] = {
                "resourceRules": [everything],
                "nonResourceRules": [paths],
                "incomplete": False,
            }
        case "SelfSubjectReview":
            answer["status"] = {"userInfo": who}
        case _:
            raise refusals.not_allowed()
    return answer


def review_token(given: Mapping[str, Any], user: str | None) -> Object:
    """The answer to a TokenReview."""
    if user is None:
        status: Mapping[str, Any] = {"error": "token is not valid for this cluster", "user": {}}
    else:
        namespace = user.split(":")[2]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        status = {"authenticated": True, "user": {"username": user, "groups": groups}}
    return {
        **given,
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "status": status,
    }


def issue(objects: api.Api, target: Target, given: Mapping[str, Any]) -> Object:
    """A TokenRequest of a service account."""
    account = objects.get(SERVICE_ACCOUNTS, target.name, target.namespace)
    seconds = int(fields.get(given, "spec", "expirationSeconds", default=_HOUR))
    token = objects.issue_token(
        target.namespace,
        fields.name(account),
        seconds=seconds,
        audiences=fields.get(given, "spec", "audiences", default=()),
    )
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {**fields.get(given, "spec", default={}), "expirationSeconds": seconds},
        "status": {"token": token.text, "expirationTimestamp": fields.stamp(token.expires)},
    }


def evict(objects: api.Api, target: Target, given: Mapping[str, Any], how: api.Deletion) -> Object:
    """Delete a pod, unless a PodDisruptionBudget has none to spare.

    Raises:
        ApiError: 429, the budget is used up.
    """
    if fields.get(given, "metadata", "name") != target.name:
        raise refusals.bad_request("name in URL does not match name in Eviction object")
    pod = objects.get(PODS, target.name, target.namespace)
    for budget in objects.list(POD_DISRUPTION_BUDGETS, target.namespace):
        selector = fields.get(budget, "spec", "selector")
        if selector is None or not fields.selects(selector, fields.labels(pod)):
            continue
        if int(fields.get(budget, "status", "disruptionsAllowed", default=0)) < 1:
            name = fields.name(budget)
            wanted = int(fields.get(budget, "status", "desiredHealthy", default=0))
            there = int(fields.get(budget, "status", "currentHealthy", default=0))
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {name} needs {wanted} healthy pods and has "
                f"{there} currently",
            }
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            raise ApiError(429, "TooManyRequests", text, {"causes": [cause]})
    objects.remove(PODS, target.name, target.namespace, how)
    return _success(201)


def bind(objects: api.Api, target: Target, given: Mapping[str, Any]) -> Object:
    """Put a pod on a node.

    Raises:
        ApiError: 409, it is on one already.
    """
    if fields.get(given, "metadata", "name") != target.name:
        raise refusals.bad_request("name in URL does not match name in Binding object")
    node = fields.get(given, "target", "name", default="")
    kind = fields.get(given, "target", "kind", default="")
    causes: list[refusals.Cause] = []
    if kind not in ("", "Node"):
        causes.append(refusals.unsupported("target.kind", kind, ["Node", "<empty>"]))
    if not node:
        causes.append(refusals.required("target.name"))
    if causes:
        raise ApiError(500, "InternalError", ", ".join(map(str, causes)))
    pod = objects.get(PODS, target.name, target.namespace)
    assigned = fields.get(pod, "spec", "nodeName")
    if assigned:
        text = f'pod {target.name} is already assigned to node "{assigned}"'
        raise refusals.conflict(PODS, target.name, text)
    spec = {**pod["spec"], "nodeName": node}
    objects.update(PODS, {**pod, "spec": spec})
    return _success(201)


def finalize(objects: api.Api, target: Target, given: Mapping[str, Any]) -> Object:
    """Replace a namespace's finalizers."""
    finalizers = fields.get(given, "spec", "finalizers", default=[])

    def change(now: Object) -> Object:
        return {**now, "spec": {**fields.get(now, "spec", default={}), "finalizers": finalizers}}

    return objects.modify(NAMESPACES, target.name, "", change)


def _success(code: int) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": code,
    }
