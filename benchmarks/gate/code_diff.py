"""Comparison of two versions of a Python file: do they differ in code, and in the part that one benchmark runs?

That part is every top-level statement, except imports, functions and classes without a decorator, and other tests:
those belong to it only if it mentions their name, as a variable, a parameter (a fixture) or a word in a string. A new
function, class, test or import whose name the older version does not define is an addition: it cannot slow down what
existed before. A new constant or fixture is a difference.

Comments and layout are not code; docstrings are. Imports are assumed to have no side effects.
"""

import ast
import re
from collections.abc import Sequence

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Import = ast.Import | ast.ImportFrom


def code_differs(base: str, head: str) -> bool:
    """Return whether two versions of a Python file differ in more than comments and layout."""
    older, newer = _statements(base), _statements(head)
    return older is None or newer is None or _dumped(older) != _dumped(newer)


def part_differs(base: str, head: str, test: str) -> bool:
    """Return whether two versions of a file differ in the code that a top-level test runs, other than by additions."""
    older, newer = _statements(base), _statements(head)
    if older is None or newer is None or _dumped(_always_run(older)) != _dumped(_always_run(newer)):
        return True
    known = set().union(*map(_defined, older))
    unchanged = _dumped(older)
    return any(ast.dump(node) not in unchanged and _defined(node) & known for node in _mentioned_by(test, newer))


def _statements(source: str) -> list[ast.stmt] | None:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError):
        return None


def _dumped(body: Sequence[ast.stmt]) -> list[str]:
    return [ast.dump(node) for node in body]


def _always_run(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [node for node in body if not _optional(node)]


def _optional(node: ast.stmt) -> bool:
    if isinstance(node, Definition):
        return not node.decorator_list or node.name.lower().startswith("test")
    return isinstance(node, Import) and "*" not in _defined(node)


def _mentioned_by(test: str, body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return the optional statements that a test, or a statement that always runs, mentions directly or indirectly."""
    optional = [node for node in body if _optional(node)]
    names = {test}.union(*map(_mentioned, _always_run(body)))
    found: list[ast.stmt] = []
    while more := [node for node in optional if node not in found and _defined(node) & names]:
        found += more
        names = names.union(*map(_mentioned, more))
    return found


def _defined(node: ast.stmt) -> set[str]:
    """Return the names that a definition, an import or an assignment binds."""
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, Import):
        return {each.asname or each.name.partition(".")[0] for each in node.names}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _mentioned(node: ast.stmt) -> set[str]:
    found = set[str]()
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) | ast.arg(arg=name):
                found.add(name)
            case ast.Constant(value=str(text)):
                found.update(re.findall(r"\w+", text))
    return found
