"""What Python's parser accepts and Starlark doesn't: one walk over the tree.

The walk is driven by a table from node type to check; a node type that the table doesn't
know is refused, so a construct of a later Python can't slip through.  The walk keeps its own
stack: recursion in Python would be bounded by whatever stack its caller has left.
"""

import ast
from typing import NoReturn

from tiltd.starlark.errors import Position, StarlarkSyntaxError
from tiltd.starlark.source import Source, reveal

_MAX_ARGUMENTS = 255
_ALLOWED: frozenset[type[ast.AST]] = frozenset(
    {
        ast.Module, ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.If, ast.IfExp,
        ast.Name, ast.Load, ast.Store, ast.Attribute, ast.List, ast.ListComp, ast.DictComp,
        ast.BoolOp, ast.And, ast.Or, ast.Not, ast.UAdd, ast.USub, ast.Invert, ast.UnaryOp,
        ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr,
        ast.BitXor, ast.LShift, ast.RShift, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
        ast.In, ast.NotIn, ast.Lambda, ast.arg, ast.keyword,
    }
)  # fmt: skip
_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Set: ("set literals are not Starlark", "write set([...])"),
    ast.SetComp: ("set comprehensions are not Starlark", "write set([... for ...])"),
    ast.GeneratorExp: ("generator expressions are not Starlark", "put [] around it"),
    ast.JoinedStr: ("f-strings are not Starlark", "use format() or %"),
    ast.NamedExpr: (":= is not Starlark", "assign on a line of its own"),
    ast.AnnAssign: ("type annotations are not Starlark", "drop the annotation"),
    ast.Starred: ("* may only stand before an argument of a call", "use + to join lists"),
    ast.Pow: ("** is not Starlark", "multiply in a loop"),
    ast.MatMult: ("@ is not Starlark", ""),
}
_MATCH = ("match is not Starlark", "use if and elif")


def parse(source: Source) -> ast.Module:
    """Parse and check a program.

    Raises:
        StarlarkSyntaxError: with the first thing that is not Starlark.
    """
    try:
        tree = ast.parse(source.text, source.file)
    except SyntaxError as error:
        place = source.position(error.lineno or 1, _byte_offset(error))
        message, _, advice = (error.msg or "invalid syntax").partition(". ")
        # Python may advise what only Python has.
        advice = advice.replace("'==' or ':=' instead of '='", "'==' instead of '='")
        raise StarlarkSyntaxError(place, message, hint=advice) from None
    except (MemoryError, RecursionError):
        raise StarlarkSyntaxError(
            Position(source.file, 1, 1),
            "the program is nested too deeply",
            hint="split it up with variables or functions",
        ) from None
    except ValueError as error:
        raise StarlarkSyntaxError(Position(source.file, 1, 1), str(error)) from None
    if not source.text.isascii():
        _reveal_names(tree)
    _Checker(source).check(tree)
    return tree


def _reveal_names(tree: ast.Module) -> None:
    """Undo the scanner's disguise of names that only Python reserves."""
    for node in ast.walk(tree):
        match node:
            case ast.Name():
                node.id = reveal(node.id)
            case ast.arg():
                node.arg = reveal(node.arg)
            case ast.keyword(arg=str(name)):
                node.arg = reveal(name)
            case ast.Attribute():
                node.attr = reveal(node.attr)
            case ast.FunctionDef():
                node.name = reveal(node.name)
            case _:
                pass


def _byte_offset(error: SyntaxError) -> int:
    """Python gives a syntax error's place in characters from 1, nodes' in bytes from 0."""
    column = max((error.offset or 1) - 1, 0)
    return len((error.text or "")[:column].encode()) if error.text else column


class _Checker:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.lines = source.text.split("\n")
        # What encloses the statement that is being checked.
        self.functions = 0
        self.loops = 0
        self.blocks = 0

    def fail(self, node: ast.AST, message: str, hint: str = "") -> NoReturn:
        line, byte = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        raise StarlarkSyntaxError(self.source.position(line, byte), message, hint=hint)

    def check(self, tree: ast.Module) -> None:
        self.statements(tree.body)

    def statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:  # noqa: C901 - one case a statement
        match node:
            case ast.FunctionDef():
                self.function(node)
            case ast.For():
                self.loop(node)
            case ast.While():
                self.loop(node)
            case ast.If():
                self.branches(node)
            case ast.Return():
                if not self.functions:
                    self.fail(node, "return outside of a function", "use an if around the rest")
                self.expressions(node.value)
            case ast.Break() | ast.Continue():
                word = "break" if isinstance(node, ast.Break) else "continue"
                if not self.loops:
                    self.fail(node, f"{word} outside of a loop")
            case ast.Assign():
                self.assign(node)
            case ast.AugAssign():
                self.augmented(node)
            case ast.Expr(value=ast.Call(func=ast.Name(id="load")) as call):
                self.load(call)
            case ast.Expr():
                self.expressions(node.value)
            case ast.Pass():
                pass
            case ast.Match():
                self.fail(node, *_MATCH)
            case _:
                refused = f"{type(node).__name__.lower()} statements are not Starlark"
                self.fail(node, *_REFUSED.get(type(node), (refused, "")))

    def function(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            self.fail(node, "decorators are not Starlark", "wrap the function in a call")
        if node.returns:
            self.fail(node.returns, "type annotations are not Starlark", "drop the annotation")
        self.binding(node, node.name)
        self.parameters(node.args)
        self.expressions(node.args)
        loops, self.loops = self.loops, 0
        self.functions += 1
        self.statements(node.body)
        self.functions -= 1
        self.loops = loops

    def loop(self, node: ast.For | ast.While) -> None:
        if node.orelse:
            self.fail(node.orelse[0], "a loop can't have an else", "set a flag and test it")
        if isinstance(node, ast.For):
            self.target(node.target)
            self.expressions(node.iter)
        else:
            self.expressions(node.test)
        self.loops += 1
        self.statements(node.body)
        self.loops -= 1

    def branches(self, node: ast.If) -> None:
        self.blocks += 1
        rest: list[ast.stmt] = [node]
        # `elif` nests in the tree, not in the text: walk it as the chain that it is.
        while len(rest) == 1 and isinstance(branch := rest[0], ast.If):
            self.expressions(branch.test)
            self.statements(branch.body)
            rest = branch.orelse
        self.statements(rest)
        self.blocks -= 1

    def assign(self, node: ast.Assign) -> None:
        if len(node.targets) > 1:
            self.fail(node.targets[1], "a = b = c is not Starlark", "assign one after the other")
        self.expressions(node.value)
        self.no_trailing_comma(node.targets[0])
        self.target(node.targets[0])

    def augmented(self, node: ast.AugAssign) -> None:
        self.expressions(node.value)
        if type(node.op) in _REFUSED:
            self.fail(node, *_REFUSED[type(node.op)])
        self.target(node.target)

    def load(self, call: ast.Call) -> None:
        inside = (
            "a function" if self.functions
            else "a loop" if self.loops
            else "an if" if self.blocks
            else ""
        )  # fmt: skip
        if inside:
            self.fail(call, f"load inside of {inside}", "load at the top of the file")
        first, *names = [*call.args, *(k.value for k in call.keywords)] or [call]
        if not call.args or not _is_string(first):
            self.fail(first, "load needs the file as a string literal first")
        if not names:
            self.fail(call, "load imports no name", 'write load("file", "name")')
        for name in names:
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                self.fail(name, "load takes names as string literals only")
            if not name.value.isidentifier():
                self.fail(name, f"load: {name.value!r} is no name")
            if name.value.startswith("_"):
                self.fail(name, f"load: {name.value} is private to its file (leading underscore)")
        for keyword in call.keywords:
            if keyword.arg is None:
                self.fail(keyword, "load takes names as string literals only")
            self.binding(keyword, keyword.arg)

    def target(self, node: ast.expr) -> None:
        match node:
            case ast.Name():
                self.binding(node, node.id)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                if not elements:
                    self.fail(node, "can't assign to an empty tuple or list")
                for element in elements:
                    self.target(element)
            case ast.Subscript(slice=ast.Slice()):
                self.fail(node, "can't assign to a slice", "build a new list with +")
            case ast.Subscript() | ast.Attribute():
                self.expressions(node)
            case ast.Starred():
                self.fail(node, "can't assign to *x", "slice the list instead")
            case _:
                self.fail(node, "can't assign to this expression")

    def binding(self, node: ast.AST, name: str) -> None:
        if name == "load":
            self.fail(node, "load is a reserved word", "use another name")
        if name in {"__builtins__", "__debug__"}:
            self.fail(node, f"{name} can't be assigned", "use another name")

    def parameters(self, args: ast.arguments) -> None:
        if args.posonlyargs:
            self.fail(args.posonlyargs[0], "/ between parameters is not Starlark", "drop it")
        optional = [args.vararg, args.kwarg]
        for arg in (*args.args, *args.kwonlyargs, *(a for a in optional if a)):
            if arg.annotation:
                self.fail(arg, "type annotations are not Starlark", "drop the annotation")
            self.binding(arg, arg.arg)

    def no_trailing_comma(self, node: ast.expr) -> None:
        if isinstance(node, ast.Tuple) and node.elts and node.end_lineno is not None:
            line = self.lines[node.end_lineno - 1].encode()
            if line[: node.end_col_offset].endswith(b","):
                self.fail(node, "a tuple with a trailing comma needs ()", "write (x,)")

    def expressions(self, root: ast.AST | None) -> None:
        """Check an expression and all below it, in no particular order but the nearest first."""
        stack = [root] if root else []
        while stack:
            node = stack.pop()
            self.expression(node)
            if isinstance(node, ast.Call):
                values = [a.value if isinstance(a, ast.Starred) else a for a in node.args]
                stack.extend((*(k.value for k in reversed(node.keywords)), *reversed(values)))
                stack.append(node.func)
            else:
                stack.extend(reversed(list(ast.iter_child_nodes(node))))

    def expression(self, node: ast.AST) -> None:  # noqa: C901 - one case a kind
        if type(node) in _ALLOWED and not isinstance(node, ast.Name | ast.Lambda):
            return
        match node:
            case ast.Name(id="load"):
                self.fail(node, "load is a statement", "put it on a line of its own")
            case ast.Name():
                pass
            case ast.Constant():
                self.constant(node)
            case ast.Call():
                self.call(node)
            case ast.Tuple():
                self.no_trailing_comma(node)
            case ast.BinOp():
                if type(node.op) in _REFUSED:
                    self.fail(node, *_REFUSED[type(node.op)])
            case ast.Compare():
                if len(node.ops) > 1:
                    self.fail(node, "comparisons don't chain", "write a < b and b < c")
            case ast.Dict(keys=keys):
                for key, value in zip(keys, node.values, strict=True):
                    if key is None:
                        self.fail(value, "** in a dict is not Starlark", "use | to join dicts")
            case ast.Lambda():
                self.parameters(node.args)
            case ast.Subscript(slice=ast.Tuple(elts=elements)):
                if any(isinstance(element, ast.Slice) for element in elements):
                    self.fail(node, "a slice takes no comma")
            case ast.comprehension():
                if node.is_async:
                    self.fail(node.target, "async is not Starlark")
                self.target(node.target)
            case ast.Subscript() | ast.Slice() | ast.arguments():
                pass
            case _:
                unknown = (f"{type(node).__name__} is not Starlark", "")
                self.fail(node, *_REFUSED.get(type(node), unknown))

    def constant(self, node: ast.Constant) -> None:
        if node.value is ...:
            self.fail(node, "... is not Starlark", "use None or pass")
        if isinstance(node.value, complex):
            self.fail(node, "complex numbers are not Starlark")

    def call(self, node: ast.Call) -> None:
        """Order of arguments: positional, named, one *args, one **kwargs."""
        starred: ast.Starred | None = None
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                if starred:
                    self.fail(argument, "only one *args in a call", "join the lists with +")
                starred = argument
            elif starred:
                self.fail(argument, "positional argument after *args", "move it to the front")
        self.keywords(node, starred)
        if (count := len(node.args)) > _MAX_ARGUMENTS:
            self.fail(node, f"{count} positional arguments in a call, at most 255", "pass a list")
        if (count := len(node.keywords)) > _MAX_ARGUMENTS:
            self.fail(node, f"{count} named arguments in a call, at most 255", "pass a dict")

    def keywords(self, node: ast.Call, starred: ast.Starred | None) -> None:
        seen: set[str] = set()
        seen_kwargs = False
        after_star = _place(starred) if starred else None
        for keyword in node.keywords:
            if seen_kwargs:
                self.fail(keyword, "argument after **kwargs", "move **kwargs to the end")
            if keyword.arg is None:
                seen_kwargs = True
                continue
            if after_star and _place(keyword) > after_star:
                self.fail(keyword, "named argument after *args", "move it before *args")
            if keyword.arg in seen:
                self.fail(keyword, f"argument {keyword.arg} is repeated")
            seen.add(keyword.arg)
        first_named = min((_place(k) for k in node.keywords if k.arg), default=None)
        first_splat = min((_place(k) for k in node.keywords if not k.arg), default=None)
        for argument in node.args:
            if first_splat and _place(argument) > first_splat:
                self.fail(argument, "argument after **kwargs", "move **kwargs to the end")
            is_star = isinstance(argument, ast.Starred)
            if first_named and not is_star and _place(argument) > first_named:
                self.fail(argument, "positional argument after a named one", "move it forward")


def _place(node: ast.expr | ast.keyword) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
