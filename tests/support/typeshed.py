"""Which names a module of the standard library has on a system, as the type checker's stubs say."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mypy

STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"


@cache
def names(module: str, platform: str) -> frozenset[str]:
    """The names of `module` where `sys.platform` is `platform`, with this Python's version."""
    file = STUBS / module / "__init__.pyi"
    tree = ast.parse((file if file.exists() else file.parent.with_suffix(".pyi")).read_text())
    return frozenset(_names(tree.body, platform))


def missing(module: str, platform: str) -> frozenset[str]:
    """What `module` has on Linux and lacks on `platform`."""
    return names(module, "linux") - names(module, platform)


def _names(body: list[ast.stmt], platform: str) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _names(statement.body if _holds(statement.test, platform) else statement.orelse, platform)
        elif isinstance(statement, ast.Try):
            yield from _names(statement.body, platform)
        elif isinstance(statement, ast.ImportFrom | ast.Import):
            for alias in statement.names:
                if alias.name == "*" and isinstance(statement, ast.ImportFrom) and statement.module:
                    yield from names(statement.module, platform)
                else:
                    yield (alias.asname or alias.name).partition(".")[0]
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.AnnAssign | ast.Assign):
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else statement.targets
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _holds(test: ast.expr, platform: str) -> bool:
    """Whether the condition of a stub holds: comparisons of sys.platform and sys.version_info, and their joins."""

    class System:
        version_info = sys.version_info

    System.platform = platform  # type: ignore[attr-defined] # evaluated below
    return bool(eval(ast.unparse(test), {"sys": System, "TYPE_CHECKING": True}))
