"""Compiled programs outlive the daemon; whatever becomes of the folder, the text decides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tiltd import starlark
from tiltd.tiltfile.programs import Programs

TEXT = b"x = [n for n in range(3)]\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are compiled."""
    names: list[str] = []
    compile_ = starlark.compile

    def note(text: bytes | str, filename: str) -> starlark.Program:
        names.append(filename)
        return compile_(text, filename)

    monkeypatch.setattr(starlark, "compile", note)
    return names


def value(program: starlark.Program) -> str:
    return starlark.to_repr(starlark.execute(program, {}).globals["x"])


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_another_daemon_need_not_compile(tmp_path: Path, compiled: list[str]) -> None:
    for name in ("first", "second"):
        assert value(Programs(tmp_path / "p").get(TEXT, name)) == "[0, 1, 2]"
    assert compiled == ["first"]


def test_a_program_has_the_name_of_the_file_that_asks(tmp_path: Path) -> None:
    Programs(tmp_path).get(b"fail('no')", "first")
    program = Programs(tmp_path).get(b"fail('no')", "second")
    with pytest.raises(starlark.StarlarkError) as caught:
        starlark.execute(program, {})
    assert caught.value.position is not None
    assert caught.value.position.file == "second"


def test_in_memory_a_file_is_compiled_once_for_each_text(compiled: list[str]) -> None:
    programs = Programs()
    for text in (TEXT, TEXT, b"x = 1", TEXT):
        programs.get(text, "f")
    assert compiled == ["f"] * 3


def emptied(place: Path) -> None:
    place.write_bytes(b"")


def cut_off(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-1])


def of_another_version(place: Path) -> None:
    place.write_bytes(b"x" + place.read_bytes())


def changed(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-1] + b"?")


def replaced_by_a_folder(place: Path) -> None:
    place.unlink()
    place.mkdir()


@pytest.mark.parametrize(
    "damage", [emptied, cut_off, of_another_version, changed, replaced_by_a_folder]
)
def test_what_is_damaged_is_compiled(
    tmp_path: Path, compiled: list[str], damage: Callable[[Path], None]
) -> None:
    Programs(tmp_path).get(TEXT, "first")
    (place,) = files(tmp_path)
    damage(place)
    assert value(Programs(tmp_path).get(TEXT, "second")) == "[0, 1, 2]"
    assert compiled == ["first", "second"]


def test_a_folder_that_can_not_be_had_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert value(Programs(tmp_path / "file" / "p").get(TEXT, "f")) == "[0, 1, 2]"


def test_a_wrong_program_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(starlark.StarlarkSyntaxError):
            Programs(tmp_path / "p").get(b"x = (", "f")
    assert not (tmp_path / "p").exists()


def test_the_folder_does_not_grow_without_bound(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    for number in range(300):
        programs.get(b"x = %d" % number, "f")
    assert 128 <= len(files(tmp_path)) <= 256
    assert value(Programs(tmp_path).get(b"x = 299", "f")) == "299"
