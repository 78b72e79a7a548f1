"""The part of networkx that is imported; each in a Python of its own, where nobody has it yet."""

import subprocess
import sys

import pytest

_COUNT = "len([name for name in sys.modules if name.startswith('networkx')])"
_BEGIN = f"""
import sys
from tests.builders import project as build
from tiltd.core import graph
def count():
    return {_COUNT}
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_project_needs_few_modules() -> None:
    program = f"""{_BEGIN}
web = build.kubernetes("web", build.deployment("web", "app"))
graph.build(build.project(web, images=[build.image("app")]), "default")
print(count())
"""
    assert 0 < int(run(program)) < 40


def test_what_explains_a_circle_is_there() -> None:
    program = f"""{_BEGIN}
a, b = build.local("a", "true", deps=["b"]), build.local("b", "true", deps=["a"])
try:
    graph.build(build.project(a, b), "default")
except graph.CircleError as error:
    print(count(), *error.path)
"""
    modules, *path = run(program).split()
    assert 0 < int(modules) < 40
    assert path[0] == path[-1]


def test_everything_of_networkx_is_there_in_the_end() -> None:
    program = """
import networkx as nx
print(*sorted(name for name in vars(nx) if not name.startswith("__")))
"""
    whole = run(program).split()
    program = f"""
from tiltd.core.slim import nx
import networkx
assert networkx is nx
assert [name for name in {whole} if not hasattr(nx, name)] == []
assert nx.algorithms.dag.topological_sort is nx.topological_sort
assert not hasattr(nx, "no_such_thing")
from networkx.algorithms.components import strongly_connected
"""
    run(program)


def test_who_has_it_already_is_given_that() -> None:
    run("import networkx; from tiltd.core.slim import nx; assert nx is networkx")


@pytest.mark.parametrize("lacking", ["networkx.algorithms.dag", "networkx.generators"])
def test_a_networkx_that_is_laid_out_otherwise_is_imported_whole(lacking: str) -> None:
    program = f"""
import sys
lacking = [{lacking!r}]
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name in lacking:
            lacking.remove(name)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refusing())
from tiltd.core.slim import nx
assert (lacking, type(nx).__name__) == ([], "module")
assert nx.find_cycle and nx.topological_sort
"""
    run(program)
