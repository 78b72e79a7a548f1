"""From the Starlark tree to a Python tree that behaves like it.

Statements, calls, truth and scopes are native.  Everything whose meaning depends on types
becomes a call of an operator, under names like `<add>` that no program can spell: Python's
own operators would add booleans, iterate strings or reach attributes of Python objects.
No attribute access of Python's is left in the result but the test of the stop flag, which
stands at the start of each loop, function and comprehension.  Each node keeps the place of
what it was made from, so the native traceback has the right line and column.
"""

import ast
from typing import TypeVar, cast

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_IN_PLACE = {"add": "iadd", "or": "ior"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.In: "in",
    ast.NotIn: "notin",
}
FLAG = "<flag>"
_Node = TypeVar("_Node", bound=ast.AST)


def rewrite(tree: ast.Module) -> ast.Module:
    """The Python tree of a checked and resolved Starlark tree (parts of which it reuses)."""
    return ast.Module(body=_statements(tree.body), type_ignores=[])


def _at(place: ast.expr | ast.stmt, node: _Node) -> _Node:
    located = cast("ast.expr", node)
    located.lineno, located.col_offset = place.lineno, place.col_offset
    located.end_lineno, located.end_col_offset = place.end_lineno, place.end_col_offset
    return node


def _name(place: ast.expr | ast.stmt, name: str) -> ast.Name:
    return _at(place, ast.Name(id=name, ctx=ast.Load()))


def _constant(place: ast.expr | ast.stmt, value: object) -> ast.Constant:
    return _at(place, ast.Constant(value=cast("str", value)))


def _call(place: ast.expr | ast.stmt, operator: str, *args: ast.expr) -> ast.Call:
    function = _name(place, f"<{operator}>")
    return _at(place, ast.Call(func=function, args=list(args), keywords=[]))


def _stop_test(place: ast.expr | ast.stmt) -> ast.Attribute:
    return _at(place, ast.Attribute(value=_name(place, FLAG), attr="stop", ctx=ast.Load()))


def _poll(place: ast.expr | ast.stmt) -> ast.stmt:
    raising = _at(place, ast.Expr(value=_call(place, "stopped")))
    return _at(place, ast.If(test=_stop_test(place), body=[raising], orelse=[]))


def _statements(body: list[ast.stmt]) -> list[ast.stmt]:
    return [new for statement in body for new in _statement(statement)]


def _statement(node: ast.stmt) -> list[ast.stmt]:
    match node:
        case ast.Expr(value=ast.Constant()):
            # A docstring must not become one: functions have no __doc__ to reach.
            return [_at(node, ast.Pass())]
        case ast.Expr(value=ast.Call(func=ast.Name(id="load")) as call):
            return [_load(node, call)]
        case ast.Expr():
            node.value = _expression(node.value)
        case ast.Return():
            node.value = _expression(node.value) if node.value else None
        case ast.Assign():
            return [_assign(node)]
        case ast.AugAssign():
            return _augmented(node)
        case ast.If():
            _branches(node)
        case ast.While():
            node.test = _expression(node.test)
            node.body = [_poll(node), *_statements(node.body)]
        case ast.For():
            node.iter = _iterable(node.iter, node.target)
            node.target = _target(node.target)
            node.body = [_poll(node), *_statements(node.body)]
        case ast.FunctionDef():
            return [_function(node)]
        case _:
            pass
    return [node]


def _branches(node: ast.If) -> None:
    branch = node
    while True:
        branch.test = _expression(branch.test)
        branch.body = _statements(branch.body)
        if len(branch.orelse) == 1 and isinstance(branch.orelse[0], ast.If):
            branch = branch.orelse[0]
        else:
            branch.orelse = _statements(branch.orelse)
            return


def _function(node: ast.FunctionDef) -> ast.FunctionDef:
    _parameters(node.args)
    prologue = [_poll(node.body[0])]
    if kwargs := node.args.kwarg:
        place = node.body[0]
        target = _at(place, ast.Name(id=kwargs.arg, ctx=ast.Store()))
        value = _call(place, "from_kwargs", _name(place, kwargs.arg))
        prologue.append(_at(place, ast.Assign(targets=[target], value=value)))
    node.body = [*prologue, *_statements(node.body)]
    return node


def _parameters(args: ast.arguments) -> None:
    args.defaults = [_expression(default) for default in args.defaults]
    args.kw_defaults = [default and _expression(default) for default in args.kw_defaults]


def _load(node: ast.stmt, call: ast.Call) -> ast.stmt:
    """`load("m", "a", b="c")` becomes `a, b = <load>("m", ("a", "c"))`."""
    pairs = [(a.value, a.value) for a in call.args[1:] if isinstance(a, ast.Constant)]
    pairs += [(k.arg, k.value.value) for k in call.keywords if isinstance(k.value, ast.Constant)]
    names = _constant(call, tuple(wanted for _, wanted in pairs))
    targets = [_at(call, ast.Name(id=str(name), ctx=ast.Store())) for name, _ in pairs]
    target = _at(call, ast.Tuple(elts=list[ast.expr](targets), ctx=ast.Store()))
    return _at(node, ast.Assign(targets=[target], value=_call(call, "load", call.args[0], names)))


def _assign(node: ast.Assign) -> ast.stmt:
    target = node.targets[0]
    value = _expression(node.value)
    if isinstance(target, ast.Subscript):
        # As in Starlark, owner and key are evaluated before the value.
        owner, key = _expression(target.value), _expression(target.slice)
        return _at(node, ast.Expr(value=_call(node, "setitem", owner, key, value)))
    if isinstance(target, ast.Tuple | ast.List) and not _fits(target, value):
        value = _call(node, "unpack", value, _constant(node, _shape(target)))
    node.value = value
    node.targets = [_target(target)]
    return node


def _fits(target: ast.Tuple | ast.List, value: ast.expr) -> bool:
    """Whether a tuple display certainly unpacks into the target, natively."""
    flat = not any(isinstance(element, ast.Tuple | ast.List) for element in target.elts)
    return flat and isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)


def _shape(target: ast.expr) -> object:
    """How a value must unpack: a count, or a tuple with a shape (or None) for each element."""
    if not isinstance(target, ast.Tuple | ast.List):
        return None
    shapes = tuple(_shape(element) for element in target.elts)
    return len(shapes) if all(shape is None for shape in shapes) else shapes


def _target(node: ast.expr) -> ast.expr:
    match node:
        case ast.Tuple() | ast.List():
            node.elts = [_target(element) for element in node.elts]
        case ast.Subscript():
            owner = _call(node, "items", _expression(node.value))
            node.value, node.slice = owner, _expression(node.slice)
        case ast.Attribute():
            fields = _call(node, "fields", _expression(node.value))
            return _at(
                node,
                ast.Subscript(value=fields, slice=_constant(node, node.attr), ctx=ast.Store()),
            )
        case _:
            pass
    return node


def _augmented(node: ast.AugAssign) -> list[ast.stmt]:
    operator = _BINARY[type(node.op)]
    operator = _IN_PLACE.get(operator, operator)
    value = _expression(node.value)
    target = node.target
    if isinstance(target, ast.Name):
        store: ast.expr = _at(target, ast.Name(id=target.id, ctx=ast.Store()))
        new = _call(node, operator, _name(target, target.id), value)
        return [_at(node, ast.Assign(targets=[store], value=new))]
    # The container and the key are evaluated once.
    saved = [_save(node, ".owner", _expression(target.value))]
    owner = _name(node, ".owner")
    if isinstance(target, ast.Attribute):
        old = _call(target, "attr", owner, _constant(target, target.attr))
        proxy, key = "fields", cast("ast.expr", _constant(target, target.attr))
    else:
        saved.append(_save(node, ".key", _expression(target.slice)))
        proxy, key = "items", _name(node, ".key")
        old = _call(target, "index", owner, key)
    store = ast.Subscript(value=_call(target, proxy, owner), slice=key, ctx=ast.Store())
    new = _call(node, operator, old, value)
    return [*saved, _at(node, ast.Assign(targets=[_at(target, store)], value=new))]


def _save(place: ast.stmt, name: str, value: ast.expr) -> ast.stmt:
    target = _at(place, ast.Name(id=name, ctx=ast.Store()))
    return _at(place, ast.Assign(targets=[target], value=value))


def _iterable(iterable: ast.expr, target: ast.expr) -> ast.expr:
    new = _call(iterable, "iter", _expression(iterable))
    if isinstance(target, ast.Tuple | ast.List):
        return _call(iterable, "each", new, _constant(iterable, _shape(target)))
    return new


def _expression(node: ast.expr) -> ast.expr:  # noqa: C901 - one case a kind
    match node:
        case ast.Name() | ast.Constant():
            return node
        case ast.Call():
            return _invocation(node)
        case ast.Attribute():
            return _call(node, "attr", _expression(node.value), _constant(node, node.attr))
        case ast.Subscript():
            return _subscript(node)
        case ast.BinOp():
            operator = _BINARY[type(node.op)]
            return _call(node, operator, _expression(node.left), _expression(node.right))
        case ast.Compare():
            return _compare(node)
        case ast.UnaryOp():
            return _unary(node)
        case ast.BoolOp():
            node.values = [_expression(value) for value in node.values]
        case ast.IfExp():
            node.test = _expression(node.test)
            node.body, node.orelse = _expression(node.body), _expression(node.orelse)
        case ast.Tuple():
            node.elts = [_expression(element) for element in node.elts]
        case ast.List():
            node.elts = [_expression(element) for element in node.elts]
            return _call(node, "list", node)
        case ast.Dict():
            return _dict(node)
        case ast.ListComp() | ast.DictComp():
            return _comprehension(node)
        case ast.Lambda():
            _lambda(node)
        case _:
            raise AssertionError(node)  # the grammar check lets nothing else through
    return node


def _invocation(node: ast.Call) -> ast.Call:
    function = _expression(node.func)
    if not isinstance(function, ast.Name | ast.Call):
        # Python warns about calls of literals; a helper of ours gives the plain error.
        function = _call(node.func, "callable", function)
    node.func = function
    node.args = [_argument(argument) for argument in node.args]
    for keyword in node.keywords:
        keyword.value = _expression(keyword.value)
        if keyword.arg is None:
            keyword.value = _call(node, "kwargs", keyword.value)
    return node


def _argument(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Starred):
        node.value = _call(node.value, "args", _expression(node.value))
        return node
    return _expression(node)


def _subscript(node: ast.Subscript) -> ast.expr:
    value = _expression(node.value)
    if not isinstance(node.slice, ast.Slice):
        return _call(node, "index", value, _expression(node.slice))
    bounds = (node.slice.lower, node.slice.upper, node.slice.step)
    parts = [_expression(bound) if bound else _constant(node, None) for bound in bounds]
    return _call(node, "slice", value, *parts)


def _compare(node: ast.Compare) -> ast.expr:
    left, right = _expression(node.left), _expression(node.comparators[0])
    return _call(node, _COMPARE[type(node.ops[0])], left, right)


def _unary(node: ast.UnaryOp) -> ast.expr:
    operand = _expression(node.operand)
    match node.op:
        case ast.Not():
            node.operand = operand
            return node
        case ast.USub() if isinstance(operand, ast.Constant) and _is_number(operand.value):
            node.operand = operand
            return node
        case ast.USub():
            return _call(node, "neg", operand)
        case ast.UAdd():
            return _call(node, "pos", operand)
        case _:
            return _call(node, "invert", operand)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dict(node: ast.Dict) -> ast.expr:
    flat: list[ast.expr] = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is not None:
            flat += (_expression(key), _expression(value))
    return _call(node, "dict", _at(node, ast.List(elts=flat, ctx=ast.Load())))


def _comprehension(node: ast.ListComp | ast.DictComp) -> ast.expr:
    for clause in node.generators:
        conditions = [_expression(condition) for condition in clause.ifs]
        clause.iter = _iterable(clause.iter, clause.target)
        clause.target = _target(clause.target)
        goes_on = _at(node, ast.UnaryOp(op=ast.Not(), operand=_stop_test(node)))
        test = ast.BoolOp(op=ast.Or(), values=[goes_on, _call(node, "stopped")])
        clause.ifs = [_at(node, test), *conditions]
    if isinstance(node, ast.ListComp):
        node.elt = _expression(node.elt)
        return _call(node, "list", node)
    pair = _at(
        node, ast.Tuple(elts=[_expression(node.key), _expression(node.value)], ctx=ast.Load())
    )
    pairs = _at(node, ast.ListComp(elt=pair, generators=node.generators))
    return _call(node, "dictcomp", pairs)


def _lambda(node: ast.Lambda) -> None:
    _parameters(node.args)
    body = _expression(node.body)
    if kwargs := node.args.kwarg:
        # A lambda can't rebind its **kwargs to a Starlark dict, so an inner one takes it.
        inner = ast.arguments(
            posonlyargs=[],
            args=[ast.arg(arg=kwargs.arg)],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        _at(node, inner.args[0])
        function = _at(node, ast.Lambda(args=inner, body=body))
        wrapped = _call(node, "from_kwargs", _name(node, kwargs.arg))
        body = _at(node, ast.Call(func=function, args=[wrapped], keywords=[]))
    # `<stopped>` raises, so the body is what the lambda returns.
    node.body = _at(
        body, ast.IfExp(test=_stop_test(body), body=_call(body, "stopped"), orelse=body)
    )
