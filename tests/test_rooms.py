"""Rules of the house that the linters do not check: sizes, and no module started upward by its name in a string."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "protos/heartbench/mesh": "mesh",
    "hub": "hub",
    "simulator": "simulator",
    "analysis": "analysis",
    "benchmarks": "benchmarks",
    "cli": "cli",
}
MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 50


def sources() -> Iterator[tuple[str, Path]]:
    """Yield each hand-written source file with the name of its room."""
    for folder, room in FLOORS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "v1" not in file.relative_to(ROOT).parts:  # generated
                yield room, file


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lengths = {name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for _, file in sources()}
    assert len(lengths) > 200
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_function_fits_on_a_screen() -> None:
    found = {
        f"{name_of(file)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for _, file in sources()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in found.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def strings(file: Path) -> Iterator[ast.Constant]:
    """Yield the strings of a file that are not docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


@pytest.mark.parametrize("room", [room for room in FLOORS.values() if room != "cli"])
def test_no_string_names_a_module_of_a_room_above(room: str) -> None:
    rooms = list(FLOORS.values())
    above = rooms[rooms.index(room) + 1 :]
    upward = re.compile(rf"\bheartbench\.({'|'.join(above)})\.\w")
    found = [
        f"{name_of(file)}:{string.lineno}"
        for its_room, file in sources()
        if its_room == room
        for string in strings(file)
        if upward.search(str(string.value))
    ]
    assert found == []
