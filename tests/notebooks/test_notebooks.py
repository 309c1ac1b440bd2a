"""Each notebook from top to bottom, in a kernel of its own."""

import re
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
CELL_WITHIN_S = 300  # on a machine that does much else
IMAGES = {"image/svg+xml", "image/png"}

pytestmark = pytest.mark.slow


def executed(path: Any, folder: Any) -> Any:
    """The notebook with its outputs; nbclient raises where a cell fails."""
    notebook = jupytext.read(path)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=CELL_WITHIN_S, kernel_name="python3", resources=resources).execute()
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_shows_figures(path: Any, tmp_path: Path) -> None:
    outputs = [output for cell in executed(path, tmp_path).cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type in {"error", "stream"}] == []
    assert sum(bool(IMAGES & set(output.get("data", {}))) for output in outputs) >= 3
    assert list(tmp_path.iterdir()) == []


def test_the_notebooks_import_the_public_rooms_alone() -> None:
    lines = [line for path in NOTEBOOKS for line in path.read_text().splitlines() if "import" in line.split()[:3]]
    ours = [line for line in lines if "heartbench" in line]
    assert ours
    assert all(re.search(r"heartbench\.(analysis|benchmarks|simulator)\b", line) for line in ours)
