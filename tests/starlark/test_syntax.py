"""What is and what isn't Starlark, and where an error is said to be."""

import pytest

from tests.starlark.evaluate import failure, run
from tiltd import starlark

_REFUSED = [
    pytest.param("x=1\ndel x", 2, 1, "del is a reserved word", "pop", id="del"),
    pytest.param("class A: pass", 1, 1, "class is a reserved word", "struct", id="class"),
    pytest.param("import os", 1, 1, "import is a reserved word", "load", id="import"),
    pytest.param("try:\n  x=1\nexcept:\n  pass", 1, 1, "try is a reserved", "caught", id="try"),
    pytest.param("raise 1", 1, 1, "raise is a reserved word", "fail", id="raise"),
    pytest.param("with a as b: pass", 1, 1, "with is a reserved word", "managers", id="with"),
    pytest.param("def f():\n  yield 1", 2, 3, "yield is a reserved", "list", id="yield"),
    pytest.param("def f():\n  global g", 2, 3, "global is a reserved", "return", id="global"),
    pytest.param("x = 1 is 1", 1, 7, "is is a reserved word", "==", id="is"),
    pytest.param("x = f'{y}'", 1, 5, "unknown string prefix f", "format", id="f-string"),
    pytest.param("x = u'y'", 1, 5, "unknown string prefix u", "only r, b and rb", id="u-string"),
    pytest.param("if (x:=1): pass", 1, 6, ":= is not Starlark", "own", id="walrus"),
    pytest.param("x = 1<2<3", 1, 5, "comparisons don't chain", "and", id="chained"),
    pytest.param("x = 1 @ 2", 1, 7, "unexpected character @", "decorators", id="matmul"),
    pytest.param("x = 2**3", 1, 5, "** is not Starlark", "multiply", id="power"),
    pytest.param("x = 'a' 'b'", 1, 9, "adjacent string literals", "+", id="implicit-concat"),
    pytest.param("x = ('a' # c\n  'b')", 2, 3, "adjacent string literals", "+", id="concat-2"),
    pytest.param("for x in []: pass\nelse: pass", 2, 7, "can't have an else", "flag", id="else"),
    pytest.param("while 0: pass\nelse: pass", 2, 7, "can't have an else", "flag", id="w-else"),
    pytest.param("def f(x: int): pass", 1, 7, "annotations", "drop", id="annotation"),
    pytest.param("def f() -> int: pass", 1, 12, "annotations", "drop", id="returns"),
    pytest.param("x: int = 3", 1, 1, "annotations", "drop", id="annotated-name"),
    pytest.param("x = ...", 1, 5, "... is not Starlark", "None", id="ellipsis"),
    pytest.param("def f(a, /): pass", 1, 7, "/ between parameters", "drop", id="posonly"),
    pytest.param("@foo\ndef f(): pass", 1, 1, "unexpected character @", "deco", id="decorator"),
    pytest.param("a, *b = [1]", 1, 4, "can't assign to *x", "slice", id="star-target"),
    pytest.param("x = [*y]", 1, 6, "* may only stand", "+", id="star-list"),
    pytest.param("x = {**y}", 1, 8, "** in a dict", "|", id="star-dict"),
    pytest.param("a = b = 1", 1, 5, "a = b = c", "one after", id="multi-assign"),
    pytest.param("x = 1,", 1, 5, "trailing comma", "(x,)", id="trailing-comma"),
    pytest.param("def f():\n  return 1,", 2, 10, "trailing comma", "(x,)", id="return-comma"),
    pytest.param("x = 0755", 1, 5, "obsolete form of octal", "0o755", id="octal"),
    pytest.param("x = 1_000", 1, 6, "number followed by _", "without", id="underscore"),
    pytest.param("x = 1j", 1, 6, "number followed by j", "space", id="complex"),
    pytest.param("x = '\\d'", 1, 6, "invalid escape sequence \\d", "\\\\d", id="escape"),
    pytest.param("x = '\\x80'", 1, 6, "non-ASCII escape", "\\u0080", id="hex-escape"),
    pytest.param("x = '\\ud800'", 1, 6, "no Unicode character", "", id="surrogate"),
    pytest.param("x = 'abc", 1, 5, "unterminated string", "'", id="unterminated"),
    pytest.param("x = '''abc\n", 1, 5, "unterminated string", "'''", id="unterminated-long"),
    pytest.param("x = b'é'", 1, 7, "non-ASCII character in bytes", "\\xff", id="bytes"),
    pytest.param("x = {1, 2}", 1, 5, "set literals", "set(", id="set"),
    pytest.param("x = {y for y in []}", 1, 5, "set comprehensions", "set(", id="setcomp"),
    pytest.param("x = list(y for y in [])", 1, 9, "generator", "[]", id="generator"),
    pytest.param("return 1", 1, 1, "return outside", "if", id="return"),
    pytest.param("break", 1, 1, "break outside of a loop", "", id="break"),
    pytest.param("for x in []:\n  def f():\n    continue", 3, 5, "continue outside", "", id="cont"),
    pytest.param("if 1:\n  load('x', 'y')", 2, 3, "load inside of an if", "top", id="load-if"),
    pytest.param(
        "for x in []:\n  load('x', 'y')", 2, 3, "load inside of a loop", "", id="load-for"
    ),
    pytest.param("def f():\n  load('x', 'y')", 2, 3, "load inside of a func", "", id="load-def"),
    pytest.param("load('x')", 1, 1, "load imports no name", "", id="load-nothing"),
    pytest.param("load('x', '_y')", 1, 11, "private", "", id="load-private"),
    pytest.param("load(x, 'y')", 1, 6, "file as a string literal", "", id="load-file"),
    pytest.param("load('x', y)", 1, 11, "string literals only", "", id="load-name"),
    pytest.param("x = load('x', 'y')", 1, 5, "load is a statement", "own", id="load-expr"),
    pytest.param("load = 3", 1, 1, "load is a reserved word", "another", id="load-bound"),
    pytest.param("x[0:1] = y", 1, 1, "can't assign to a slice", "+", id="slice-target"),
    pytest.param("() = y", 1, 1, "can't assign to an empty", "", id="empty-target"),
    pytest.param("f(*a, 1)", 1, 7, "positional argument after *args", "", id="after-star"),
    pytest.param("f(*a, b=1)", 1, 7, "named argument after *args", "", id="named-after-star"),
    pytest.param("f(*a, *b)", 1, 7, "only one *args", "", id="two-stars"),
    pytest.param("f(**a, b=1)", 1, 8, "argument after **kwargs", "", id="after-splat"),
    pytest.param("f(a=1, a=2)", 1, 8, "argument a is repeated", "", id="repeated"),
    pytest.param("def f(a, a): pass", 1, 10, "duplicate argument", "", id="duplicate"),
    pytest.param("match x:\n  case 1: pass", 1, 1, "match is not Starlark", "elif", id="match"),
    pytest.param("x = a ! b", 1, 7, "unexpected character !", "not", id="bang"),
    pytest.param("x = a \\ b", 1, 7, "stray backslash", "", id="backslash"),
    pytest.param("x = (1", 1, 5, "was never closed", "", id="open-bracket"),
    pytest.param("if 1:\nx = 1", 2, 1, "expected an indented block", "", id="indent"),
    pytest.param("__builtins__ = 1", 1, 1, "can't be assigned", "", id="builtins"),
    pytest.param("x = '\ud800'", 1, 6, "not valid UTF-8", "UTF-8", id="utf8"),
]


@pytest.mark.parametrize(("source", "line", "column", "message", "hint"), _REFUSED)
def test_refused_with_place_and_hint(
    source: str, line: int, column: int, message: str, hint: str
) -> None:
    error = failure(source)
    assert isinstance(error, starlark.StarlarkSyntaxError)
    assert message in error.message
    assert hint in error.hint
    assert (error.file, error.line, error.column) == ("t.star", line, column)
    assert str(error).startswith(f"t.star:{line}:{column}: ")


@pytest.mark.parametrize(
    ("source", "out"),
    [
        pytest.param("if 1:\n\tx = 1\n        print(x)", ["1"], id="tab-is-8-spaces"),
        pytest.param("if 1:\n  \tx = 1\n\tprint(x)", ["1"], id="spaces-then-tab"),
        pytest.param("def f():\n\tif 1:\n\t\treturn 2\nprint(f())", ["2"], id="tabs"),
        pytest.param("x = [\n\t1,\n  \t2]\nprint(x)", ["[1, 2]"], id="tabs-in-brackets"),
        pytest.param("x = '''\n\ta'''\nprint(repr(x))", ['"\\n\\ta"'], id="tabs-in-string"),
        pytest.param("x=1\r\nif x:\r\n  print('''a\r\nb''')\r\n", ["a\nb"], id="crlf"),
        pytest.param("x=1\rprint(x)", ["1"], id="cr"),
        pytest.param("\ufeffprint(1)", ["1"], id="byte-order-mark"),
        pytest.param(b"# \xff\xfe\nprint(1)", ["1"], id="broken-utf8-in-comment"),
        pytest.param("# -*- coding: latin-1 -*-\nprint('é')", ["é"], id="coding-comment"),
        pytest.param("async = 1\nassert = async\nprint(assert)", ["1"], id="python-keywords"),
        pytest.param("def await(x): return x\nprint(await(x=2), await)",
                     ["2 <function await>"], id="python-keyword-function"),
        pytest.param("print(struct(async=3).async)", ["3"], id="python-keyword-field"),
        pytest.param("'doc'\ndef f():\n  'doc'\nprint(f())", ["None"], id="docstrings"),
        pytest.param("x = 1; y = 2; print(x, y)", ["1 2"], id="semicolons"),
        pytest.param("for a, in [(1,)]: print(a)", ["1"], id="loop-over-1-tuples"),
        pytest.param("print(r'\\d', rb'\\d', '\\101', '\\u00e9')", ["\\d \\d A é"], id="escapes"),
        pytest.param("if 0: pass\nelif 1: print(1)\nelse: pass", ["1"], id="elif"),
        pytest.param("print(1 if 0 else 2 if 0 else 3)", ["3"], id="nested-conditional"),
        pytest.param("print(not 1 == 2)", ["True"], id="not-binds-weaker"),
        pytest.param("x = {'a': lambda: 1}['a']()\nprint(x)", ["1"], id="lambda-in-dict"),
        pytest.param("print(-7 // 2, -7 % 3, 7 // -2)", ["-4 2 -4"], id="floor-division"),
    ],
)  # fmt: skip
def test_accepted(source: str | bytes, out: list[str]) -> None:
    assert run(source) == out


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        pytest.param("if 1:\n\tprint(nope)", 2, 8, id="after-a-tab"),
        pytest.param("if 1:\n  \t print(nope)", 2, 11, id="after-a-mixture"),
        pytest.param("x = 'éé' + nope", 1, 12, id="after-non-ascii"),
        pytest.param("if 1:\n\tx = 'é' + nope", 2, 12, id="after-both"),
    ],
)
def test_columns_count_the_users_characters(source: str, line: int, column: int) -> None:
    error = failure(source)
    assert isinstance(error, starlark.StarlarkSyntaxError)
    assert (error.line, error.column) == (line, column)


_DEEP = [
    pytest.param("x = " + "(" * 100_000 + "1" + ")" * 100_000, id="parentheses"),
    pytest.param("x = " + "[" * 300 + "1" + "]" * 300, id="lists"),
    pytest.param("x = " + "1+" * 100_000 + "1", id="sums"),
    pytest.param("x = " + "-" * 100_000 + "1", id="signs"),
    pytest.param("x = " + "not " * 100_000 + "1", id="not"),
    pytest.param("x = " + "lambda a, b: " * 100_000 + "1", id="lambdas"),
    pytest.param("x = print" + "()" * 100_000, id="calls"),
    pytest.param("x = print" + ".a" * 100_000, id="attributes"),
    pytest.param("x = print" + "[0]" * 100_000, id="indices"),
    pytest.param("x = " + "1 if 0 else " * 100_000 + "1", id="conditionals"),
    pytest.param("x = [0 " + "for a in [] " * 100_000 + "]", id="clauses"),
    pytest.param("if 1: pass\n" + "elif 1: pass\n" * 100_000, id="elif"),
    pytest.param("\n".join(" " * i + "if 1:" for i in range(1000)), id="blocks"),
    pytest.param("\n".join(" " * i + "for x in []:" for i in range(30)) + "pass", id="loops"),
    pytest.param("x = " + "9" * 5000, id="digits"),
]


@pytest.mark.parametrize("source", _DEEP)
def test_deeply_nested_text_is_an_error_and_never_a_crash(source: str) -> None:
    assert isinstance(failure(source), starlark.StarlarkSyntaxError)


def test_a_long_flat_program_is_not_deep() -> None:
    entries = ", ".join(f"'k{i}': [{i} + 1, -{i}]" for i in range(5000))
    statements = "x = 1 + 2 if not 0 else 3\n" * 5000
    assert run(f"d = {{{entries}}}\n{statements}print(len(d))") == ["5000"]


def test_bytes_that_are_not_utf8_are_refused_outside_of_comments() -> None:
    error = failure(b"x = 1\ny = '\xff'")
    assert isinstance(error, starlark.StarlarkSyntaxError)
    assert (error.line, error.column) == (2, 6)
