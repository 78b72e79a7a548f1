"""A session in Markdown, for the page that GitHub shows for a job.

What programs have printed, and the sentences that quote them, can hold any text: it stands in code
blocks whose fence is longer than any row of backticks in it, or with Markdown's and HTML's signs
escaped.
"""

import re
from collections.abc import Iterable, Iterator

from tilt_client.outputs import document, plain
from tilt_client.outputs.document import Document
from tilt_client.render import style

LIMIT = 1_000_000
"""Bytes; GitHub refuses a summary of more than 1 MiB (1,048,576 bytes)."""

_SIGNS = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~@])")
_WORDS = {
    "healthy": "✅ healthy",
    "failed": "❌ failed",
    "timed-out": "⏱ not healthy in time",
    "unfinished": "⏸ unfinished",
    "not-started": "not started",
}
_ROWS = 200
_FAILURES = 30
_TIMES = ("build", "push", "apply", "command", "ready")


def text(told: Document, title: str) -> str:
    """The Markdown of a session."""
    marks = {"healthy": "✅", "cancelled": "⚠️", "running": "⏳"}
    mark = marks.get(told["outcome"], "❌")
    said = told["summary"].removeprefix("✔ ").removeprefix("✘ ")
    out = [f"### {mark} {escaped(title)}: {escaped(said)}", ""]
    out += [f"> ⚠️ {_placed(w)}\n" for w in told["warnings"][:10]]
    out += [f"> ❌ {_placed(p)}\n" for p in document.unremoved(told)[:10]]
    out += _failures(told)
    out += _table([r for r in told["resources"] if r["enabled"]])
    whole = "\n".join(out)
    if len(whole.encode()) <= LIMIT:
        return f"{whole}\n"
    return f"{whole.encode()[:LIMIT].decode(errors='ignore')}\n\n(cut off)\n"


def escaped(words: str) -> str:
    """Text that is shown as it is, in one line."""
    return _SIGNS.sub(r"\\\1", " ".join(plain.text(words).split()))


def block(lines: Iterable[str]) -> str:
    """Lines as a block of code."""
    body = plain.text("\n".join(lines))
    longest = max(map(len, re.findall("`+", body)), default=0)
    fence = "`" * max(longest + 1, 3)
    return f"{fence}text\n{body}\n{fence}"


def _failures(told: Document) -> Iterator[str]:
    named: set[str] = set()
    resources = {r["name"]: r for r in told["resources"]}
    for problem in told["problems"][:_FAILURES]:
        yield f"#### ❌ {escaped(_who(problem))}"
        yield ""
        yield _placed(problem)
        rule = problem["rule"] or problem["code"]
        yield f"\n`{rule}`\n" if rule else ""
        for name in problem["resources"][:1]:
            yield from _evidence(resources.get(name), problem["rule"])
        if problem["detail"]:
            yield block(problem["detail"].splitlines()[-50:])
        if problem["hint"]:
            yield f"\n**Hint:** {escaped(problem['hint'])}\n"
        named.update(problem["resources"])
    if more := len(told["problems"]) - _FAILURES:
        yield f"… and {style.count(more, 'more problem')}\n" if more > 0 else ""
    for r in told["resources"]:
        if r["result"] == "timed-out" and r["name"] not in named:
            yield f"#### ⏱ {escaped(r['name'])}\n\n{escaped(r['status'])}\n"
            yield from _evidence(r)


def _who(problem: Document) -> str:
    return style.some(problem["resources"], 5) if problem["resources"] else "session"


def _placed(problem: Document) -> str:
    place = [problem["file"], *(str(problem[n]) for n in ("line", "column") if problem[n])]
    where = f"`{':'.join(place)}`: " if problem["file"] else ""
    return f"{where}{escaped(problem['message'])}"


def _evidence(r: Document | None, rule: str = "") -> Iterator[str]:
    """What the culprit of a resource printed, and what the cluster said."""
    f = document.evidence(r, rule) if r else None
    if f is None:
        return
    last = f["lastLines"]
    if last["lines"]:
        yield f"\nLast {style.count(len(last['lines']), 'line')} of {escaped(last['of'])}:\n"
        yield block(last["lines"])
    if f["events"]:
        yield "\nEvents:\n"
        yield block(document.events(f))


def _table(resources: list[Document]) -> Iterator[str]:
    shown = [name for name in _TIMES if any(r["times"][name] for r in resources)]
    if not resources:
        return
    titles = ["resource", "result", *("until ready" if n == "ready" else n for n in shown)]
    yield f"| {' | '.join(titles)} |"
    yield f"| --- | --- |{' ---: |' * len(shown)}"
    for r in resources[:_ROWS]:
        cells = [escaped(r["name"]), _WORDS[r["result"]]]
        cells += ["" if r["times"][n] is None else style.duration(r["times"][n]) for n in shown]
        yield f"| {' | '.join(cells)} |"
    if len(resources) > _ROWS:
        yield f"\n… and {len(resources) - _ROWS} more"
