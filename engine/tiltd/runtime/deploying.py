"""What a deploying command of the user's is given: the session's cluster, and no other.

kubectl, helm and their like take the current context of the kubeconfig.  The session may have
another (`--context`), and nothing may be written to any but that one.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from tiltd.model.desired import Command
from tiltd.model.state import SessionSpec


@contextlib.contextmanager
def in_context(spec: SessionSpec, command: Command) -> Generator[Command]:
    """The command with the session's context as the current one, for kubectl, helm and the like.

    Of several kubeconfig files the first that names a current context wins (Kubernetes docs,
    "merging kubeconfig files"), so a file with nothing but that name goes before the others.
    """
    if not spec.context:
        yield command
        return
    usual = str(Path(spec.env.get("HOME", ""), ".kube", "config"))
    others = command.env.get("KUBECONFIG") or spec.env.get("KUBECONFIG") or usual
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": spec.context}, file)
        file.flush()
        env = {**command.env, "KUBECONFIG": os.pathsep.join((file.name, others))}
        yield replace(command, env=env)
