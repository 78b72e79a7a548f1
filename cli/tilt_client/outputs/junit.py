"""The JUnit report, as CI systems read it: a test case for each resource.

A resource that failed, or was not healthy in time, is a failure; one that the end of the run found
on its way is skipped, and so is one that nobody has asked for.  What belongs to no resource (an
error in the Tiltfile, a cluster that does not answer) is a test case of its own, with an error.
The format has no standard; this is what the schemas of Jenkins and of Apache Ant have in common.
"""

import xml.etree.ElementTree as ET  # written here, not read
from collections.abc import Iterable, Iterator
from typing import Any

from tilt_client.outputs import plain
from tilt_client.outputs.document import Document, events, unremoved

_LINES = 200


def text(document: Document, name: str) -> str:
    """The XML of a report; `name` is that of the suite, the project's."""
    cases = [*_session(document), *(_resource(r, document) for r in _counted(document))]
    amounts = {
        "tests": str(len(cases)),
        "failures": str(_having(cases, "failure")),
        "errors": str(_having(cases, "error")),
        "skipped": str(_having(cases, "skipped")),
        "time": _seconds(document["session"]["seconds"]),
    }
    root = ET.Element("testsuites", {"name": "tilt-client", **_without(amounts, "skipped")})
    began = document["session"]["startedAt"]
    when = {"timestamp": began.partition(".")[0]} if began else {}
    suite = ET.SubElement(root, "testsuite", {"name": plain.text(name), **amounts, **when})
    _properties(suite, document)
    suite.extend(cases)
    _printed(suite, "system-out", [document["summary"]])
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _counted(document: Document) -> Iterator[Document]:
    return (r for r in document["resources"] if r["enabled"])


def _having(cases: Iterable[ET.Element], what: str) -> int:
    return sum(case.find(what) is not None for case in cases)


def _without(amounts: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in amounts.items() if key != name}


def _properties(suite: ET.Element, document: Document) -> None:
    session = document["session"]
    told = {
        "tiltd.version": document["version"],
        "tiltd.outcome": document["outcome"],
        "tiltd.tiltfile": session["tiltfile"],
        "kubernetes.context": session["context"],
        "kubernetes.namespace": session["namespace"],
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in told.items():
        ET.SubElement(properties, "property", name=name, value=plain.text(str(value)))


def _resource(r: Document, document: Document) -> ET.Element:
    case = _case(r["name"], r["kind"] or "resource", r["seconds"])
    match r["result"]:
        case "failed" | "timed-out":
            worst = _worst(r)
            kind = worst["rule"] if worst else r["result"]
            message = worst["message"] if worst else _problem_of(r, document) or r["status"]
            failure = ET.SubElement(case, "failure", message=_line(message), type=kind)
            failure.text = plain.text("\n".join(_told(r, document)))
        case "unfinished" | "not-started":
            skipped = _unfinished(r, document)
            ET.SubElement(case, "skipped", message=_line(skipped))
        case _:
            pass
    lines = [text for f in r["findings"] for text in f["lastLines"]["lines"]]
    _printed(case, "system-out", lines[-_LINES:])
    return case


def _unfinished(r: Document, document: Document) -> str:
    if r["result"] == "unfinished" and document["outcome"] == "cancelled":
        return f"interrupted: {r['status']}"
    return str(r["status"] or "not finished when the run ended")


def _session(document: Document) -> Iterator[ET.Element]:
    """What is nobody's; and, if all else would look well, that it was not."""
    problems = [p for p in document["problems"] if not p["resources"]]
    for problem in [*problems, *unremoved(document)]:
        case = _case(problem["code"] or "session", "session", None)
        error = ET.SubElement(case, "error", message=_line(problem["message"]))
        error.set("type", problem["code"] or "error")
        error.text = plain.text("\n".join(_sentences(problem)))
        yield case
    silent = not problems and not any(
        r["result"] in {"failed", "timed-out"} for r in _counted(document)
    )
    ended = document["session"]["mode"] == "up" and document["outcome"] == "cancelled"
    if silent and not ended and document["outcome"] not in {"healthy", "running"}:
        case = _case("session", "session", None)
        ET.SubElement(case, "error", message=_line(document["summary"]), type=document["outcome"])
        yield case


def _case(name: str, classname: str, seconds: float | None) -> ET.Element:
    names = {"name": plain.text(name), "classname": f"tilt.{classname}"}
    return ET.Element("testcase", {**names, "time": _seconds(seconds)})


def _told(r: Document, document: Document) -> Iterator[str]:
    """All that is known about a failure, in the order of the printed report."""
    shared = [p for p in document["problems"] if r["name"] in p["resources"]]
    findings = [f for f in r["findings"] if f["verdict"] == r["verdict"] != "healthy"]
    for f in findings[:5]:
        yield f"{f['message']} [{f['rule']}]"
        if len(f["chain"]) > 1:
            yield "  " + " -> ".join(map(_name, f["chain"]))
        facts = [f["reason"], f["observed"]]
        facts += [f"exit code {f['exitCode']}"] if f["exitCode"] is not None else []
        facts += [f"signal {f['signal']}"] if f["signal"] else []
        if any(facts):
            yield "  " + ", ".join(filter(None, facts))
        yield from (f"  {event}" for event in events(f))
        if f["hint"]:
            yield f"  hint: {f['hint']}"
    for problem in shared:
        if not any(problem["message"] in f["message"] for f in findings):
            yield from _sentences(problem)


def _sentences(problem: Document) -> Iterator[str]:
    place = [problem["file"], *(str(problem[n]) for n in ("line", "column") if problem[n])]
    where = f"{':'.join(place)}: " if problem["file"] else ""
    yield f"{where}{problem['message']}"
    if problem["detail"]:
        yield problem["detail"]
    if problem["hint"]:
        yield f"hint: {problem['hint']}"


def _worst(r: Document) -> Document | None:
    return r["findings"][0] if r["findings"] else None


def _problem_of(r: Document, document: Document) -> str:
    named = (p["message"] for p in document["problems"] if r["name"] in p["resources"])
    return str(next(named, ""))


def _name(ref: dict[str, Any]) -> str:
    return f"container {ref['container']}" if ref["container"] else f"{ref['kind']}/{ref['name']}"


def _printed(parent: ET.Element, tag: str, lines: Iterable[str]) -> None:
    told = plain.text("\n".join(lines))
    if told:
        ET.SubElement(parent, tag).text = told


def _line(message: str) -> str:
    """For an attribute, where line ends would be lost."""
    return " ".join(plain.text(message).split())


def _seconds(seconds: float | None) -> str:
    return f"{seconds or 0.0:.3f}"
