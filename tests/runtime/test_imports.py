"""What a run that changes nothing does not need is not imported for it."""

import subprocess
import sys
from pathlib import Path

_UNCHANGED = """
import asyncio, sys
from tests.builders import project as build
from tiltd import __main__, outside
from tiltd.adapters.kubernetes import credentials, kubeconfig
from tiltd.core import graph
from tiltd.model.observed import KubeContext
from tiltd.runtime import imports

for name in outside.HEAVY:
    imports.load(name)
graph.build(build.project(build.kubernetes("web", build.deployment("web"))), "default")
entry = kubeconfig.Entry
merged = kubeconfig.Kubeconfig(
    contexts={"it": entry("it", {"cluster": "it", "user": "me"}, "/f")},
    clusters={"it": entry("it", {"server": "https://x.test"}, "/f")},
    users={"me": entry("me", {"token": "t"}, "/f")},
)
asyncio.run(credentials.Credentials(merged, KubeContext("it", "it"), {}, None).load())
print(sorted({"kubernetes", "docker", "deepdiff"} & set(sys.modules)))
"""


def test_what_an_unchanged_run_does_not_need_is_not_imported() -> None:
    command = [sys.executable, "-c", _UNCHANGED]
    top = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
