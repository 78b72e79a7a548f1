"""Pods that have no node yet, and pods that their node cannot set up (volumes, network)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tiltd.core.health import budgets, events, fields, missing, starting
from tiltd.core.health.case import Case
from tiltd.core.health.events import Event
from tiltd.model.health import Finding, Verdict

_HINTS: Final[Sequence[tuple[re.Pattern[str], str]]] = [
    (
        re.compile(r"Insufficient (cpu|memory|ephemeral-storage|\S+)"),
        "no node has enough {0} left: lower resources.requests, stop something, or add a node",
    ),
    (
        re.compile(r"didn't match Pod's node affinity|node\(s\) didn't match.* selector"),
        "no node has the labels that nodeSelector or affinity ask for",
    ),
    (re.compile(r"untolerated taint"), "every node has a taint that the pod doesn't tolerate"),
    (
        re.compile(r"free ports for the requested pod ports"),
        "another pod has the same hostPort: drop hostPort or change it",
    ),
    (re.compile(r"Too many pods"), "the node takes no more pods: delete some, or add a node"),
    (
        re.compile(r"unbound immediate PersistentVolumeClaims"),
        "a claim of this pod has no volume yet: see the claim",
    ),
    (
        re.compile(r"volume node affinity conflict"),
        "its volume exists on another node or in another zone",
    ),
    (re.compile(r"no nodes available"), "the cluster has no node that is ready"),
    (
        re.compile(r"pod affinity|anti-affinity|topology spread"),
        "its rules of spreading leave no node",
    ),
]
# What cluster-autoscaler and karpenter say, and what the former says when it cannot help.
_GROWING = ("TriggeredScaleUp", "Nominated")
_NOT_GROWING = ("NotTriggerScaleUp", "FailedScaleUp")
# A handler that the node's runtime has not got, as containerd and CRI-O say it.
_NO_HANDLER = re.compile(
    r'no runtime for "(?P<containerd>[^"]+)" is configured|'
    r"failed to find runtime handler (?P<crio>\S+) from runtime list"
)


def unscheduled(case: Case) -> Finding | None:
    """What keeps the pod from getting a node; None, if it has one."""
    if fields.text(case.pod, "spec", "nodeName"):
        return None
    condition = case.condition("PodScheduled")
    if fields.text(condition, "status") == "True":
        return None
    reason, message = fields.text(condition, "reason"), fields.text(condition, "message")
    if reason != "Unschedulable":
        words = f"Pod {case.name} waits for a node" + (f": {message}" if message else "")
        return case.finding(Verdict.PROGRESSING, "pod.scheduling", words, reason=reason)
    finding = case.finding(
        Verdict.FAILED,
        "pod.unschedulable",
        f"Pod {case.name} fits no node: {message}",
        reason=reason,
    )
    finding = replace(finding, hint=_hint(message))
    if growing := _growing(case):
        return replace(
            finding,
            verdict=Verdict.PROGRESSING,
            reason=growing.reason,
            message=f"Pod {case.name} waits for a node that is being added: {growing.message}",
        )
    wanted = missing.reference(message, case.namespace)
    if missing.awaited(wanted, case.scope.context):
        return starting.awaiting(finding)
    began = case.scope.at(condition, "lastTransitionTime") or case.scope.made(case.pod)
    began = missing.since(wanted, case.scope.context, began)
    return budgets.graced(finding, case.scope, began, "unschedulable")


def _hint(message: str) -> str:
    for pattern, advice in _HINTS:
        if found := pattern.search(message):
            return advice.format(*found.groups())
    return starting.advice(message) if missing.names_something(message) else ""


def _growing(case: Case) -> Event | None:
    newest = events.newest(case.events, *_GROWING, *_NOT_GROWING)
    return newest if newest and newest.reason in _GROWING else None


def unprepared(case: Case) -> Finding | None:
    """What its node cannot set up for the pod: a volume or the sandbox; None, if all is well."""
    creating = any(
        fields.text(c.waiting, "reason") in {"ContainerCreating", "PodInitializing", ""}
        and not (c.running or c.ended)
        for c in case.containers
    )
    done = fields.text(case.condition("PodReadyToStartContainers"), "status") == "True"
    if not creating or done:
        return None
    newest = events.newest(
        case.events,
        "FailedMount",
        "FailedAttachVolume",
        "FailedMapVolume",
        "FailedCreatePodSandBox",
    )
    after = events.newest(case.events, "Pulling", "Pulled", "Created", "Started")
    if newest is None or (after and after.at >= newest.at):
        return None
    if newest.reason == "FailedCreatePodSandBox":
        return _sandbox(case, newest)
    return _mount(case, newest)


def _sandbox(case: Case, newest: Event) -> Finding:
    words = f"Pod {case.name} gets no sandbox on its node: {newest.message}"
    finding = case.finding(Verdict.FAILING, "pod.sandbox", words, reason=newest.reason)
    finding = replace(finding, since=newest.first)
    handler = _NO_HANDLER.search(newest.message)
    if handler is None:
        return finding  # a network that is not up yet, mostly
    name = handler["containerd"] or handler["crio"]
    hint = f"correct the handler {name!r} of its RuntimeClass, or choose nodes that have it"
    began = case.scope.now if newest.first is None else newest.first
    return budgets.graced(replace(finding, hint=hint), case.scope, began, "without sandbox")


def _mount(case: Case, newest: Event) -> Finding:
    # The kubelet reports each volume by itself, and all in a summary; blame wins.
    failed = [e for e in case.events if e.reason == newest.reason]
    blaming = [e for e in failed if missing.names_something(e.message)]
    told = blaming[-1] if blaming else newest
    words = f"Pod {case.name} cannot mount a volume: {' '.join(told.message.split())}"
    finding = case.finding(Verdict.FAILING, "pod.mount", words, reason=told.reason)
    finding = replace(finding, since=told.first)
    if not blaming or re.search(r"not registered|failed to sync", told.message):
        return finding
    finding = replace(finding, hint=starting.advice(told.message))
    wanted = missing.reference(told.message, case.namespace)
    if missing.awaited(wanted, case.scope.context):
        return starting.awaiting(finding)
    began = case.scope.now if told.first is None else told.first
    began = missing.since(wanted, case.scope.context, began)
    return budgets.graced(finding, case.scope, began, "unmounted")
