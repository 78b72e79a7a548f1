"""Reads a project: its kubeconfig context, its Tiltfile, its graph."""

from collections.abc import Awaitable, Callable

from tiltd.core import graph as graphs
from tiltd.core import reuse
from tiltd.model.desired import Project
from tiltd.model.graph import Graph
from tiltd.model.problems import Code, Problem
from tiltd.model.state import SessionSpec
from tiltd.ports import Contexts, Loaded, LoadError, Log, PermanentError, Tiltfiles

Build = Callable[[Project, str], Awaitable[Graph]]
"""`core.graph.build`, off the event loop."""


async def load(
    contexts: Contexts, tiltfiles: Tiltfiles, build: Build, spec: SessionSpec, log: Log
) -> tuple[Loaded, Graph]:
    """The project of a session.

    Raises:
        LoadError: the Tiltfile is wrong, or its parts wait for each other.
        PermanentError: the kubeconfig is wrong.
    """
    loaded = await tiltfiles.load(spec, await contexts.read(spec), log)
    try:
        graph = await build(loaded.project, loaded.kube_context.namespace)
    except graphs.CircleError as error:
        message = f"these wait for each other: {error}"
        hint = "take out one of resource_deps, FROM or image_deps in this circle"
        problem = Problem(Code.TILTFILE, message, hint=hint)
        raise LoadError(problem, loaded.project.watched) from error
    if missing := reuse.unknown(spec, graph):
        message = f"there is no image or resource {missing[0]!r} to rebuild"
        hint = f"there are: {', '.join([*graph.images, *graph.resources])}"
        raise PermanentError(Problem(Code.USAGE, message, hint=hint))
    return loaded, graph
