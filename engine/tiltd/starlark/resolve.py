"""Which name means what, before anything runs.

Names of functions and comprehensions resolve as in Python.  What is left is the file's:

- inside of a function or a comprehension, a name that the file binds anywhere is the
  file's global, even if a predeclared name is shadowed by that;
- directly at the top level, a name means what it means at that line: before the first
  binding it is the predeclared one.  That makes `k8s_context = k8s_context()` work, and it
  is what go.starlark.net does when globals may be reassigned.

An early use of a name that the file binds later is renamed to `.name` in the tree, so that
both can exist at run time.  Names that the file doesn't bind must be predeclared; which
names those are is known only where the program runs, so they are listed with their places.
"""

import ast
import dataclasses

EARLY = "."
"""What precedes the predeclared meaning of a name that the file binds later."""

_Scopes = tuple[frozenset[str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What the names of a file are.

    `exported` and `loaded` are what the file binds itself and by load; `needed` maps each
    name that must be predeclared to its first use (line, byte offset); `early` are those of
    them that the file binds later.
    """

    exported: tuple[str, ...]
    loaded: tuple[str, ...]
    needed: dict[str, tuple[int, int]]
    early: frozenset[str]


def resolve(tree: ast.Module) -> Names:
    """Resolve all names of a checked tree; renames early uses in the tree."""
    resolver = _Resolver()
    for statement in tree.body:
        resolver.statement(statement, ())
    return resolver.finish()


class _Resolver:
    def __init__(self) -> None:
        self.bound: dict[str, None] = {}
        self.loaded: dict[str, None] = {}
        self.at_top: list[ast.Name] = []
        self.deferred: list[ast.Name] = []

    def finish(self) -> Names:
        needed = [*self.at_top, *(n for n in self.deferred if n.id not in self.bound)]
        needed.sort(key=lambda n: (n.lineno, n.col_offset), reverse=True)
        places = {node.id: (node.lineno, node.col_offset) for node in needed}
        early = frozenset(node.id for node in self.at_top if node.id in self.bound)
        for node in self.at_top:
            if node.id in early:
                node.id = EARLY + node.id
        exported = tuple(name for name in self.bound if name not in self.loaded)
        return Names(exported, tuple(self.loaded), places, early)

    def statement(self, node: ast.stmt, scopes: _Scopes) -> None:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="load")) as call):
                self.load(call)
            case ast.FunctionDef():
                self.function(node, scopes)
            case ast.Assign():
                self.expression(node.value, scopes)
                self.bind(node.targets[0], scopes)
            case ast.AugAssign():
                self.expression(node.value, scopes)
                self.bind(node.target, scopes)
            case ast.For():
                self.expression(node.iter, scopes)
                self.bind(node.target, scopes)
                self.statements(node.body, scopes)
            case ast.While():
                self.expression(node.test, scopes)
                self.statements(node.body, scopes)
            case ast.If():
                self.branches(node, scopes)
            case ast.Expr() | ast.Return():
                self.expression(node.value, scopes)
            case _:
                pass

    def statements(self, body: list[ast.stmt], scopes: _Scopes) -> None:
        for statement in body:
            self.statement(statement, scopes)

    def branches(self, node: ast.If, scopes: _Scopes) -> None:
        rest: list[ast.stmt] = [node]
        while len(rest) == 1 and isinstance(branch := rest[0], ast.If):
            self.expression(branch.test, scopes)
            self.statements(branch.body, scopes)
            rest = branch.orelse
        self.statements(rest, scopes)

    def load(self, call: ast.Call) -> None:
        names = [a.value for a in call.args[1:] if isinstance(a, ast.Constant)]
        for name in (*names, *(k.arg for k in call.keywords)):
            if isinstance(name, str):
                self.bound.setdefault(name)
                self.loaded.setdefault(name)

    def function(self, node: ast.FunctionDef, scopes: _Scopes) -> None:
        if not scopes:
            self.bound.setdefault(node.name)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            self.expression(default, scopes)
        inner = parameter_names(node.args)
        for statement in node.body:
            _collect(statement, inner)
        self.statements(node.body, (*scopes, frozenset(inner)))

    def bind(self, target: ast.expr, scopes: _Scopes) -> None:
        match target:
            case ast.Name(id=name):
                if not scopes:
                    self.bound.setdefault(name)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for element in elements:
                    self.bind(element, scopes)
            case _:
                self.expression(target, scopes)

    def expression(self, root: ast.expr | None, scopes: _Scopes) -> None:
        stack: list[tuple[ast.AST, _Scopes]] = [(root, scopes)] if root else []
        while stack:
            node, seen = stack.pop()
            match node:
                case ast.Name(ctx=ast.Load()):
                    self.use(node, seen)
                case ast.Lambda():
                    defaults = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d]
                    stack.extend((default, seen) for default in defaults)
                    stack.append((node.body, (*seen, frozenset(parameter_names(node.args)))))
                case ast.ListComp() | ast.DictComp():
                    stack.extend(_comprehension(node, seen))
                case ast.Constant():
                    pass
                case _:
                    stack.extend((child, seen) for child in ast.iter_child_nodes(node))

    def use(self, node: ast.Name, scopes: _Scopes) -> None:
        if any(node.id in scope for scope in scopes):
            return
        if scopes:
            self.deferred.append(node)
        elif node.id not in self.bound:
            self.at_top.append(node)


def _comprehension(
    node: ast.ListComp | ast.DictComp, scopes: _Scopes
) -> list[tuple[ast.AST, _Scopes]]:
    """The parts of a comprehension; only the first iterable is outside of its scope."""
    names: set[str] = set()
    for clause in node.generators:
        _target_names(clause.target, names)
    inner = (*scopes, frozenset(names))
    results = [node.elt] if isinstance(node, ast.ListComp) else [node.key, node.value]
    parts: list[tuple[ast.AST, _Scopes]] = [(result, inner) for result in results]
    for index, clause in enumerate(node.generators):
        parts.append((clause.iter, inner if index else scopes))
        parts.append((clause.target, inner))
        parts.extend((condition, inner) for condition in clause.ifs)
    return parts


def parameter_names(args: ast.arguments) -> set[str]:
    """All parameters of a function."""
    optional = [arg for arg in (args.vararg, args.kwarg) if arg]
    return {arg.arg for arg in (*args.args, *args.kwonlyargs, *optional)}


def _target_names(target: ast.expr, names: set[str]) -> None:
    match target:
        case ast.Name(id=name):
            names.add(name)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for element in elements:
                _target_names(element, names)
        case _:
            pass


def _collect(statement: ast.stmt, names: set[str]) -> None:
    """Add the names that a statement of a function's body binds in that function."""
    match statement:
        case ast.FunctionDef(name=name):
            names.add(name)
        case ast.Assign(targets=[target]) | ast.AugAssign(target=target):
            _target_names(target, names)
        case ast.For(target=target, body=body):
            _target_names(target, names)
            for inner in body:
                _collect(inner, names)
        case ast.While(body=body):
            for inner in body:
                _collect(inner, names)
        case ast.If():
            rest: list[ast.stmt] = [statement]
            while len(rest) == 1 and isinstance(branch := rest[0], ast.If):
                for inner in branch.body:
                    _collect(inner, names)
                rest = branch.orelse
            for inner in rest:
                _collect(inner, names)
        case _:
            pass
