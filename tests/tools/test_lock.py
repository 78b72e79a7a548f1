import re
from pathlib import Path

from tools import lock

TOP = Path(__file__).parents[2]


def test_another_need_makes_the_lock_stale() -> None:
    asked = lock.requirements()

    assert lock.header(asked) != lock.header([*asked, "another"])


def test_every_pin_has_a_hash_and_no_index_is_named() -> None:
    text = (TOP / "constraints.txt").read_text()
    pins = re.findall(r"^[a-z0-9].*==.*$", text, re.MULTILINE)

    assert pins
    assert all(pin.endswith("\\") for pin in pins)
    assert "://" not in text


def test_pinned_go_modules_name_no_proxy() -> None:
    for file in (TOP / "tools/realcluster/gomod").glob("*/go.*"):
        assert "://" not in file.read_text(), file
