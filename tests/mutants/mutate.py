"""Makes small faults of a module's functions, and puts one of them into the running program.

A mutant differs from the function in one place: a comparison, an operator, a condition, a number, a call that is
left out, or what is returned. The functions stay the same objects and get other code, so nothing is imported anew.
What is written to the log stays as it is.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple, TypeAlias

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

_NEIGHBOURS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}

_COMPARISONS = _OPPOSITES | _NEIGHBOURS

_NAME_LENGTH = 90
"""Of each half of a change; one or two of thousands are longer, and are cut."""

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """module, function: where; change: in words, once in a function; number: among the changes of the function;
    line: where the statement begins that is changed."""

    module: str
    function: str
    change: str
    number: int
    line: int

    @property
    def place(self) -> str:
        """The function's name, as it is the only one of all modules."""
        return f"{self.module}.{self.function}"

    @property
    def statement(self) -> str:
        """The name of the statement, as `watch` says that it runs."""
        return _statement(self.module, self.line)

    @property
    def short(self) -> str:
        """The module's own name."""
        return self.module.rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.short}.{self.function}: {self.change}"


def mutants_of(module: str) -> list[Mutant]:
    """All of a module, in order."""
    found = []
    for function, node in _functions(_tree(module)):
        seen: Counter[str] = Counter()
        for number, (line, change) in enumerate(_descriptions(node)):
            seen[change] += 1
            name = change if seen[change] == 1 else f"{change} ({seen[change]})"
            found.append(Mutant(module, function, name, number, line))
    return found


def plant(mutant: Mutant) -> None:
    """The running program has this fault from now on."""
    node = copy.deepcopy(dict(_functions(_tree(mutant.module)))[mutant.function])
    for number, _ in enumerate(_changes(node)):
        if number == mutant.number:
            break  # the function has just this change now
    _replace(mutant.module, mutant.function, node)


def watch(module: str, ran: set[str]) -> None:
    """From now on each statement of the module's functions adds its name to `ran` when it runs."""
    vars(importlib.import_module(module))["__ran__"] = ran
    for name, function in _functions(_tree(module)):
        node = copy.deepcopy(function)
        for part in list(ast.walk(node)):
            for statements in (getattr(part, field, None) for field in ("body", "orelse", "finalbody")):
                if isinstance(statements, list):  # the body of a lambda is an expression
                    statements[:] = [new for old in statements for new in (_mark(module, old), old)]
        _replace(module, name, node)


def _mark(module: str, statement: ast.stmt) -> ast.stmt:
    return ast.parse(f"__ran__.add({_statement(module, statement.lineno)!r})").body[0]


def _statement(module: str, line: int) -> str:
    return f"{module}:{line}"


def live(module: str, name: str) -> FunctionType:
    """The function of the running program."""
    owner: Any = importlib.import_module(module)
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part)
    found: Any = inspect.getattr_static(owner, last)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    function = inspect.unwrap(found)
    assert isinstance(function, FunctionType)
    return function


def _replace(module: str, name: str, function: _Function) -> None:
    """Gives a function of the running program another code, which is compiled in the class that it is in."""
    *classes, _ = path = name.split(".")
    for free in live(module, name).__code__.co_freevars:  # `__class__`, also when its only super() is left out
        function.body += ast.parse(f"if False: {free}").body
    node: ast.stmt = function
    for outer in reversed(classes):
        node = ast.ClassDef(outer, bases=[], keywords=[], body=[node], decorator_list=[])
    head = ast.parse("from __future__ import annotations").body
    tree = ast.fix_missing_locations(ast.Module([*head, node], type_ignores=[]))
    code = compile(tree, str(_path(module)), "exec", dont_inherit=True)
    live(module, name).__code__ = _code_of(code, path)


@cache
def _tree(module: str) -> ast.Module:
    """As the module was at the first look: somebody may edit it meanwhile. It is never changed."""
    return ast.parse(_path(module).read_text())


def _path(module: str) -> Path:
    return Path(inspect.getfile(importlib.import_module(module)))


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, _Function]]:
    """With their names, as in `Class.method`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, _FUNCTION) and not _is_abstract(node):
            yield f"{prefix}{node.name}", node


def _is_abstract(node: _Function) -> bool:
    """Whether its body does nothing: a docstring, or `...`."""
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in node.body)


def _code_of(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    return code


class _Part(NamedTuple):
    """A node with what it is in, and the line where its statement begins."""

    parent: ast.AST
    node: ast.AST
    line: int


def _descriptions(function: _Function) -> Iterator[tuple[int, str]]:
    """Each change of a function: the line, and in words what is there, and what it becomes."""
    before = _parts(function)
    for place, new in _changes(copy.deepcopy(function)):
        old = before[place]
        shown = (old.parent, new.parent) if isinstance(new.node, ast.Constant) else (old.node, new.node)
        texts = [_text(shown[0]), _text(shown[1])]
        yield new.line, " => ".join(texts if texts[0] != texts[1] else [_text(old.node), _text(new.node)])


def _changes(function: _Function) -> Iterator[tuple[int, _Part]]:
    """Makes each change of the function; says where among its parts. It lasts until the next one is asked for."""
    for place, part in enumerate(_parts(function)):
        before = dict(vars(part.node))
        for _ in _of_node(part.node):
            yield place, part
            vars(part.node).clear()
            vars(part.node).update(before)


def _parts(function: _Function) -> list[_Part]:
    return [part for statement in function.body for part in _parts_of(function, statement, statement.lineno)]


def _parts_of(parent: ast.AST, node: ast.AST, line: int) -> Iterator[_Part]:
    """A node and all in it. Not what is written to the log."""
    if isinstance(node, ast.Expr) and ast.unparse(node).startswith("log."):
        return
    if isinstance(node, ast.stmt):
        line = node.lineno
    yield _Part(parent, node, line)
    for child in ast.iter_child_nodes(node):
        yield from _parts_of(node, child, line)


def _text(node: ast.AST) -> str:
    """Of an expression, or of the first line of a statement."""
    if isinstance(node, ast.IfExp):
        return _text(node.test)
    first = ast.unparse(node).partition("\n")[0]
    return first.removesuffix(":")[:_NAME_LENGTH]


def _of_node(node: ast.AST) -> Iterator[None]:
    """Changes a node, one way after the other; the caller restores it in between."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            node.ops = [_COMPARISONS[type(op)]()]
            yield
        case ast.BoolOp(op=op):
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield
        case ast.BinOp(op=ast.Add() | ast.Sub() as op) | ast.AugAssign(op=ast.Add() | ast.Sub() as op):
            node.op = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
            yield
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not _has_opposite(test):
            node.test = ast.UnaryOp(ast.Not(), test)
            yield
        case ast.Constant(value=bool() as value):
            node.value = not value
            yield
        case ast.Constant(value=int() as value):
            node.value = value + 1
            yield
        case ast.Return(value=ast.expr() as value) if not _is_none_or_false(value):
            node.value = ast.Constant(None)
            yield
        case ast.Expr(value=ast.Call()):
            node.value = ast.Constant(None)
            yield


def _has_opposite(test: ast.expr) -> bool:
    """Whether the comparison itself is turned round, which is the same mutant."""
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _OPPOSITES


def _is_none_or_false(value: ast.expr) -> bool:
    """Whether None in its place changes nothing."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)
