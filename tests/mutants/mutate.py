"""Makes small faults of a module's functions, and puts one of them into the running program.

A mutant differs from the function in one place: a comparison, an operator, a condition, a number, a call that is
left out, or what is returned. The functions stay the same objects and get other code, so nothing is imported anew.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True)
class Mutant:
    """module, function: where; line: in its file; change: in words; number: among those of the function."""

    module: str
    function: str
    line: int
    change: str
    number: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}: {self.change}"


def mutants_of(module: str) -> list[Mutant]:
    """All of a module, in order."""
    tree = ast.parse(_path(module).read_text())
    return [
        Mutant(module, name, line, change, number)
        for name, function in _functions(tree)
        for number, (line, change) in enumerate(_changes(function))
    ]


def plant(mutant: Mutant) -> None:
    """The running program has this fault from now on."""
    tree = ast.parse(_path(mutant.module).read_text())
    function = next(node for name, node in _functions(tree) if name == mutant.function)
    for number, _ in enumerate(_changes(function, in_place=True)):
        if number == mutant.number:
            break  # the tree has just this change now
    code = compile(ast.fix_missing_locations(tree), str(_path(mutant.module)), "exec")
    live(mutant).__code__ = _code_of(code, mutant.function.split("."))


def live(mutant: Mutant) -> FunctionType:
    """The function of the running program."""
    owner: Any = importlib.import_module(mutant.module)
    *outer, name = mutant.function.split(".")
    for part in outer:
        owner = getattr(owner, part)
    found: Any = inspect.getattr_static(owner, name)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    function = inspect.unwrap(found)
    assert isinstance(function, FunctionType)
    return function


def _path(module: str) -> Path:
    return Path(inspect.getfile(importlib.import_module(module)))


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """With their names, as in `Class.method`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not _is_abstract(node):
            yield f"{prefix}{node.name}", node


def _is_abstract(node: ast.FunctionDef) -> bool:
    """Whether its body does nothing: a docstring, or `...`."""
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in node.body)


def _code_of(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    return code


def _changes(function: ast.FunctionDef, *, in_place: bool = False) -> Iterator[tuple[int, str]]:
    """Each change of a function: its line, and what it is. The function has it until the next one is asked for."""
    body = function if in_place else copy.deepcopy(function)
    for node in [node for part in body.body for node in ast.walk(part)]:
        before = dict(vars(node))
        for change in _of_node(node):
            yield getattr(node, "lineno", 0), change
            vars(node).clear()
            vars(node).update(before)


def _of_node(node: ast.AST) -> Iterator[str]:
    """Changes a node, one way after the other; the caller restores it in between."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            other = _COMPARISONS[type(op)]
            node.ops = [other()]
            yield f"{type(op).__name__} becomes {other.__name__}"
        case ast.BoolOp(op=op):
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"{type(op).__name__} becomes {type(node.op).__name__}"
        case ast.BinOp(op=ast.Add() | ast.Sub() as op) | ast.AugAssign(op=ast.Add() | ast.Sub() as op):
            node.op = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
            yield f"{type(op).__name__} becomes {type(node.op).__name__}"
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            node.test = ast.UnaryOp(ast.Not(), test)
            yield "the condition is turned round"
        case ast.Constant(value=bool() as value):
            node.value = not value
            yield f"{value} becomes {not value}"
        case ast.Constant(value=int() as value):
            node.value = value + 1
            yield f"{value} becomes {value + 1}"
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            node.value = ast.Constant(None)
            yield "None is returned"
        case ast.Expr(value=ast.Call() as call):
            node.value = ast.Constant(None)
            yield f"without {ast.unparse(call.func)}()"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
