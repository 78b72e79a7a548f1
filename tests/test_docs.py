"""docs/health.md names the rules that the code has, all of them and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tiltd.core import judge
from tiltd.core.health import images
from tiltd.model.problems import Code

_ROOT = Path(__file__).parent.parent
_RULE = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
_SPELLED_IN_PARTS = {
    *(f"pod.{kind}-probe" for kind in ("startup", "readiness")),
    *(f"image.{cause.id}" for cause in vars(images).values() if isinstance(cause, images.Cause)),
}
_NO_WORK = {
    *(Code.TILTFILE, Code.USAGE, Code.CONTEXT_NOT_ALLOWED, Code.CLUSTER_CONFIG),
    *(Code.HEALTH, Code.INTERNAL),
}
_WORK_AND_CODE = {f"{judge.WORK}{code.value}" for code in Code if code not in _NO_WORK}


def test_the_list_of_rules_is_that_of_the_code() -> None:
    core = _ROOT / "engine/tiltd/core"
    sources = [*(core / "health").glob("*.py"), core / "judge.py", core / "updating.py"]
    in_code = {rule for path in sources for rule in _rules(path)} | _SPELLED_IN_PARTS
    page = (_ROOT / "docs/health.md").read_text(encoding="utf-8")
    in_page = {text for text in re.findall(r"`([^`]+)`", page) if _RULE.fullmatch(text)}
    assert in_page == in_code | _WORK_AND_CODE


def _rules(path: Path) -> Iterator[str]:
    """Texts that look like a rule's id, but for one object's name that does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and _RULE.fullmatch(text) and not text.endswith(".crt"):
            yield text
