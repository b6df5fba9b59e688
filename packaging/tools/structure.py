"""Figures of the code's structure: `make structure`, or with the root of another checkout as its argument.

Counts imports between folders, circles of modules (imports for types alone count too), what each class has on its
instances, and lines. It reads the code as text and runs none of it.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("pychat_client", "pychatd")


def modules(root: Path) -> dict[str, ast.Module]:
    """Every module of both packages, by its dotted name."""
    found: dict[str, ast.Module] = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(file.read_bytes())
    return found


def imports(tree: ast.Module, known: dict[str, ast.Module]) -> set[str]:
    """The modules of ours that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in known else node.module for part in parts}
    return names & set(known)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules in which each reaches each other."""
    reach = {name: reachable(graph, name) for name in graph}
    groups = [{b for b in reach[a] if a in reach[b]} for a in graph if a in reach[a]]
    return [group for index, group in enumerate(groups) if group not in groups[:index]]


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = list(graph[start])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += graph[name]
    return found


def folder(module: str) -> str:
    """The folder that a module is in; modules directly in a package are each their own."""
    parts = module.split(".")
    return ".".join(parts[:2])


def attributes(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    """Each class: how many attributes its instances have, and how many of them are booleans."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = dict(fields(node))
            for name, boolean in assigned(node):
                names[name] = names.get(name, False) or boolean
            yield node.name, len(names), sum(names.values())


def fields(node: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """The fields of a dataclass, and whether each is a boolean."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id, ast.unparse(part.annotation) == "bool"


def assigned(node: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """What the methods of a class assign to `self`, and whether it is True or False."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign | ast.AnnAssign):
            boolean = isinstance(part.value, ast.Constant) and isinstance(part.value.value, bool)
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            for target in (inner for outer in targets for inner in ast.walk(outer)):
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                    yield target.attr, boolean


def lines(directory: Path) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in directory.rglob("*.py"))


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    trees = modules(root)
    graph = {name: imports(tree, trees) - {name} for name, tree in trees.items()}
    arrows = Counter((folder(a), folder(b)) for a, targets in graph.items() for b in targets)
    between = {pair: count for pair, count in arrows.items() if pair[0] != pair[1]}
    found = circles(graph)
    classes = sorted((row for tree in trees.values() for row in attributes(tree)), key=lambda row: -row[1])
    print(f"modules: {len(trees)} in {len({folder(name) for name in trees})} folders and single files")
    print(f"imports between them: {sum(between.values())} over {len(between)} pairs")
    print(f"circles of modules: {len(found)}" + "".join(f"\n    {', '.join(sorted(group))}" for group in found))
    print("largest classes (attributes, booleans among them):")
    for name, count, booleans in classes[:5]:
        print(f"    {name}: {count}, {booleans}")
    print(f"lines of the product: {sum(lines(root / package) for package in PACKAGES)}")
    print(f"lines of tests: {lines(root / 'tests')}")


if __name__ == "__main__":
    main()
