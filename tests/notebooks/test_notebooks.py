"""Each notebook from top to bottom, in a kernel of its own, with small values for its parameters."""

import re
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
SMALL: dict[str, dict[str, object]] = {
    "1_why_nodes_flap": {"OUTAGES": 13, "NODES": 40},
    "2_tune_a_threshold": {"NODES": 30, "OTHER_DAYS": (2,)},
    "3_history_and_executors": {"CHUNKS": (150, 10_000), "LOADS": ("2",)},
}
NO_EXACT_INTERVAL = "from heartbench.analysis import networks; networks.SIMULATED_NODE_DAYS = 1.0"
CELL_WITHIN_S = 300  # on a machine that does much else
IMAGES = {"image/svg+xml", "image/png"}

pytestmark = pytest.mark.slow


def with_parameters(notebook: Any, values: dict[str, object]) -> Any:
    """The notebook with these values for those of the cell that is tagged as its parameters."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    assert values.keys() <= set(re.findall(r"^\w+", cell.source, re.MULTILINE))
    small = (f"{name} = {value!r}" for name, value in values.items())
    cell.source = "\n".join([cell.source, *small, NO_EXACT_INTERVAL])
    return notebook


def executed(path: Any, folder: Any) -> Any:
    """The notebook with its outputs; nbclient raises where a cell fails."""
    notebook = with_parameters(jupytext.read(path), SMALL[path.stem])
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
