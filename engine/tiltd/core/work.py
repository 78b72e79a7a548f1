"""What an action is for, and which bound it counts against."""

from typing import assert_never

from tiltd.core import live
from tiltd.model.actions import (
    Action,
    Apply,
    ComposeDown,
    ComposeUp,
    ComposeWatch,
    Connect,
    Delete,
    Deploy,
    EnsureImage,
    LiveUpdate,
    LoadTiltfile,
    Look,
    ReadInputs,
    RunCommand,
    Serve,
    TakeStock,
    Undeploy,
    Work,
)


def wanted(action: Action) -> str:
    """What the action is for: equal actions of one node are equal in this, and only those.

    A failure stands as long as the same is wanted; a running action goes on as long as that.
    """
    match action:
        case LoadTiltfile(generation=generation):
            return f"load {generation}"
        case Connect(context=context):
            return f"connect {context}"
        case Look(scopes=scopes):
            return f"look {sorted(scopes)}"
        case ReadInputs(generation=generation):
            return f"read {generation}"
        case (
            EnsureImage(key=key)
            | Apply(key=key)
            | Deploy(key=key)
            | ComposeUp(key=key)
            | RunCommand(key=key)
            | Serve(key=key)
        ):
            return key
        case TakeStock(key=key, prune=prune):
            return f"stock {key} {prune}"
        case Undeploy(resource=resource):
            return f"undeploy {resource}"
        case ComposeWatch(key=key):
            return f"watch {key}"
        case LiveUpdate(resource=resource):
            return f"update {resource}"  # whatever changes meanwhile: see `reconcile.live`
        case ComposeDown(project=project):
            return f"down {project.name}"
        case Delete(body=body):
            return f"delete {live.uid(body)}"
        case _:
            assert_never(action)


def kind(action: Action) -> Work:  # noqa: C901 - a table of actions
    """The kind of work."""
    match action:
        case LoadTiltfile():
            return Work.LOAD
        case Connect():
            return Work.CONNECT
        case Look():
            return Work.LOOK
        case ReadInputs():
            return Work.READ
        case EnsureImage():
            return Work.BUILD
        case Apply() | Deploy() | ComposeUp():
            return Work.APPLY
        case TakeStock(prune=False, forget=False):
            return Work.READ
        case Delete() | Undeploy() | TakeStock():
            return Work.DELETE
        case LiveUpdate():
            return Work.LIVE_UPDATE
        case RunCommand():
            return Work.COMMAND
        case Serve() | ComposeWatch():
            return Work.SERVE
        case ComposeDown():
            return Work.DELETE
        case _:
            assert_never(action)
