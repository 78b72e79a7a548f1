"""Is it JUnit XML? What the schemas of Jenkins (junit-10.xsd) and Apache Ant have in common."""

import xml.etree.ElementTree as ET

_ATTRIBUTES = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"name", "tests"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
        {"name", "tests", "failures", "errors", "skipped", "time"},
    ),
    "properties": (set[str](), set[str]()),
    "property": ({"name", "value"}, {"name", "value"}),
    "testcase": ({"name", "classname", "time"}, {"name", "classname", "time"}),
    "failure": ({"message", "type"}, {"type"}),
    "error": ({"message", "type"}, {"type"}),
    "skipped": ({"message"}, set[str]()),
    "system-out": (set[str](), set[str]()),
}
_CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out"],
}


def check(text: str) -> ET.Element:
    """The root of a report, which is as it has to be, and counts right."""
    root = ET.fromstring(text)  # noqa: S314 - what we wrote ourselves
    assert root.tag == "testsuites"
    _element(root)
    for suite in root:
        for amount, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = len(suite.findall(f"testcase/{tag}"))
            assert suite.get(amount) == str(found), f"{amount} is not {found}"
        assert suite.get("tests") == str(len(suite.findall("testcase")))
    return root


def cases(root: ET.Element) -> dict[str, ET.Element]:
    """The test cases by their names."""
    return {case.get("name", ""): case for case in root.iter("testcase")}


def _element(element: ET.Element) -> None:
    allowed, required = _ATTRIBUTES[element.tag]
    assert required <= element.attrib.keys() <= allowed, element.attrib
    for name in {"time", "tests", "failures", "errors", "skipped"} & element.attrib.keys():
        assert float(element.get(name, "")) >= 0
    order = _CHILDREN.get(element.tag, [])
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places), f"{element.tag} has its children in a wrong order"
    for child in element:
        _element(child)
