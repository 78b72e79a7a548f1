"""What GitHub Actions and GitLab make of a job's output: folds, annotations, a summary.

The stream of what happens is one fold; the failures and the summary stand below it, in sight.
GitHub takes commands from any line of the output.  While lines are printed that others have
written it is told not to (`stop-commands`), so that no program of the app can mark files, mask
words or end the fold.

Sources: "Workflow commands for GitHub Actions", docs.github.com; "Custom collapsible sections",
docs.gitlab.com.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from tilt_client.outputs import document, plain, summary
from tilt_client.outputs.document import Document

_MOST = 10
"""Annotations of a kind that GitHub shows for a step."""
_LONGEST = 4000
_LAST = 5


class Page(Protocol):
    """How a CI system shows a job's output; each method gives lines to print."""

    def fold(self, title: str) -> list[str]:
        """Begin a fold."""
        ...

    def unfold(self) -> list[str]:
        """End it."""
        ...

    def quoted(self, lines: Iterable[str]) -> list[str]:
        """Lines that stand outside of a fold, and are nobody's commands."""
        ...

    def notes(self, told: Document) -> list[str]:
        """What is wrong, where the system shows it beside the code."""
        ...

    def publish(self, told: Document, title: str) -> None:
        """Show a summary of the job.

        Raises:
            OSError: it can't be written.
        """
        ...


def of(env: Mapping[str, str]) -> Page:
    """The page of the CI system that this process runs in."""
    if env.get("GITHUB_ACTIONS") == "true":
        return GitHub(env, os.urandom(16).hex())
    if env.get("GITLAB_CI") == "true":
        return GitLab()
    return Terminal()


class Terminal:
    """No CI system: everything as it is."""

    def fold(self, title: str) -> list[str]:
        """Nothing."""
        del title
        return []

    def unfold(self) -> list[str]:
        """Nothing."""
        return []

    def quoted(self, lines: Iterable[str]) -> list[str]:
        """The lines."""
        return list(lines)

    def notes(self, told: Document) -> list[str]:
        """Nothing."""
        del told
        return []

    def publish(self, told: Document, title: str) -> None:
        """Nothing to do."""


class GitLab(Terminal):
    """See the module. Sections have a name that is unique in the job, and a time."""

    def __init__(self) -> None:
        self._name = ""

    def fold(self, title: str) -> list[str]:
        """Begin a section, folded."""
        now = int(time.time())
        self._name = f"tilt_{os.getpid()}_{now}"
        start = f"section_start:{now}:{self._name}[collapsed=true]"
        return [f"\x1b[0K{start}\r\x1b[0K{plain.text(title)}"]

    def unfold(self) -> list[str]:
        """End the section."""
        return [f"\x1b[0Ksection_end:{int(time.time())}:{self._name}\r\x1b[0K"]


class GitHub:
    """See the module.

    Args:
        env: where the workspace and the summary are.
        token: ends what `stop-commands` began; nobody else may know it.
    """

    def __init__(self, env: Mapping[str, str], token: str) -> None:
        self._env, self._token = env, token

    def fold(self, title: str) -> list[str]:
        """Begin a group."""
        return [f"::group::{_data(title)}", f"::stop-commands::{self._token}"]

    def unfold(self) -> list[str]:
        """End the group."""
        return [f"::{self._token}::", "::endgroup::"]

    def quoted(self, lines: Iterable[str]) -> list[str]:
        """Lines without their power."""
        told = list(lines)
        return [f"::stop-commands::{self._token}", *told, f"::{self._token}::"] if told else []

    def notes(self, told: Document) -> list[str]:
        """An annotation for each problem and warning."""
        folder = os.path.dirname(told["session"]["tiltfile"])  # noqa: PTH120 - as elsewhere
        wrong = [*told["problems"], *document.unremoved(told)][:_MOST]
        problems = [self._note("error", p, folder, _seen(p, told)) for p in wrong]
        warnings = [self._note("warning", w, folder) for w in told["warnings"][:_MOST]]
        late = list(_late(told))[: _MOST - len(problems)]
        return [*problems, *late, *warnings]

    def publish(self, told: Document, title: str) -> None:
        """Add to the job's summary, which other steps write to as well."""
        path = self._env.get("GITHUB_STEP_SUMMARY")
        if path:
            with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123 - as elsewhere
                file.write(summary.text(told, title))

    def _note(self, level: str, problem: Document, folder: str, seen: Iterable[str] = ()) -> str:
        named = ", ".join(problem["resources"][:3]) or "tilt-client"
        about = problem["rule"] or problem["code"]
        properties = [("title", f"{named}: {about}" if about else named)]
        if problem["file"]:
            places = [(k, str(problem[n])) for k, n in (("line", "line"), ("col", "column"))]
            properties = [
                ("file", self._path(problem["file"], folder)),
                *((key, value) for key, value in places if value != "0"),
                *properties,
            ]
        below = [problem["message"], *seen, problem["detail"], _hint(problem)]
        return _command(level, properties, "\n".join(filter(None, below)))

    def _path(self, file: str, folder: str) -> str:
        """As GitHub finds it: from the top of the workspace."""
        whole = os.path.normpath(os.path.join(folder, file))  # noqa: PTH118 - as elsewhere
        workspace = self._env.get("GITHUB_WORKSPACE", "")
        inside = workspace and whole.startswith(workspace.rstrip("/") + "/")
        return os.path.relpath(whole, workspace) if inside else whole


def _late(told: Document) -> Iterator[str]:
    """What a session that ran out of time leaves without a problem of its own."""
    named = {name for p in told["problems"] for name in p["resources"]}
    for r in told["resources"]:
        if r["result"] == "timed-out" and r["name"] not in named:
            yield _command("error", [("title", f"{r['name']}: timed out")], r["status"])


def _hint(problem: Document) -> str:
    return f"hint: {problem['hint']}" if problem["hint"] else ""


def _seen(problem: Document, told: Document) -> list[str]:
    """The last words of the culprit."""
    for r in told["resources"]:
        if r["name"] in problem["resources"][:1]:
            found = document.evidence(r, problem["rule"])
            return found["lastLines"]["lines"][-_LAST:] if found else []
    return []


def _command(name: str, properties: Iterable[tuple[str, str]], data: str) -> str:
    told = ",".join(f"{key}={_property(value)}" for key, value in properties)
    return f"::{name} {told}::{_data(plain.text(data)[:_LONGEST])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(plain.text(text)).replace(":", "%3A").replace(",", "%2C")
