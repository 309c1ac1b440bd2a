import json
import re
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.executors.openloop import LOADS
from heartbench.benchmarks.executors.openloop import WAYS as EXECUTORS
from heartbench.benchmarks.history.compare import left_out
from heartbench.benchmarks.history.measure import WAYS as HISTORIES
from heartbench.benchmarks.markdown_table import table
from heartbench.benchmarks.provenance import Machine
from heartbench.benchmarks.scaling.measure import fit_slopes
from heartbench.benchmarks.suites.page import page, relative
from heartbench.benchmarks.suites.results import Results, SuiteProvenance, read_results, write_frame
from heartbench.benchmarks.suites.run import draw

HISTORY = ["append_s", "read_s", "data_bytes", "resident_bytes", "collections", "collector_longest_s", "retained_bytes"]
BURST = ["burst_resident_bytes", "after_burst_resident_bytes", "after_burst_data_bytes"]
MORE = ["after_burst_malloc_free_bytes", "peak_bytes", "allocations_per_append"]
OPEN_LOOP = ["offered", "done", "refused", "throughput_per_s", "wait_p50_s", "wait_p99_s", "wait_p999_s", "peak_in_hub"]
HUB = ["peak_at_nodes", "peak_bytes", "threads", "recovery_s", "heartbeat_late_p50_s", "heartbeat_late_p99_s"]
QOS = ["false_stale", "false_stale_per_node_day", "false_stale_low", "false_stale_high", "detection_p99_s",
       "false_stale_network_low", "false_stale_network_high"]  # fmt: skip
MADE = SuiteProvenance(
    "make bench", "a" * 40, Machine("Linux", "a processor", 2), {"python": "3.11"}, 1, "2026-01-01", 0.1, ""
)


def filled(columns: list[str], by: float) -> dict[str, float]:
    return dict.fromkeys(columns, by)


def some_results(folder: Path) -> Results:
    history = [
        {
            "way": way,
            "chunks": chunks,
            "chunk_bytes": size,
            "nodes": nodes,
            **filled(HISTORY + BURST + MORE, 1e-6 * chunks),
        }
        for way, chunks, size, nodes in product(HISTORIES, (150, 1000, 10_000), (80, 262_144), (1, 1000))
    ]
    executors = [
        {"way": way, "load": load, **filled([*OPEN_LOOP, *HUB, "heartbeat_late_max_s"], 7.0)}
        for way, load in product(EXECUTORS, LOADS)
    ]
    thresholds = [
        {"profile": profile, "stale_after_s": float(each), **filled(QOS, 100.0 / each)}
        for profile, each in product(["lan", "air"], range(10, 121, 5))
    ]
    scaling = pd.DataFrame(
        {
            "subject": "heartbeat in the registry",
            "of": "nodes",
            "size": [100, 1000, 10_000],
            "operation_s": [1e-7, 2e-7, 3e-7],
        }
    )
    return Results(
        folder, pd.DataFrame(history), left_out(), pd.DataFrame(executors), pd.DataFrame(thresholds), scaling,
        fit_slopes(scaling), MADE,
    )  # fmt: skip


def test_the_page_marks_its_figures_and_links_to_plots_that_are_drawn(tmp_path: Path) -> None:
    results = some_results(tmp_path / "reference")
    for suite in ("history", "executors", "thresholds", "scaling"):
        (results.folder / suite).mkdir(parents=True)

    draw(results)
    text = page(results, tmp_path / "README.md")

    links = re.findall(r"\]\((.+?)\)", text)
    assert len(links) == 11
    assert all((tmp_path / link).is_file() for link in links)
    assert {"<sup>m</sup>", "<sup>s</sup>", "<sup>g</sup>"} <= set(re.findall(r"<sup>.</sup>", text))
    assert "nan" not in text


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = some_results(tmp_path)
    frames = {
        name: getattr(results, name) for name in ("history", "left_out", "executors", "thresholds", "scaling", "slopes")
    }
    for name, frame in frames.items():
        write_frame(frame, tmp_path, name)
    (tmp_path / "provenance.json").write_text(json.dumps(asdict(MADE)), encoding="utf-8")

    again = read_results(tmp_path)

    assert again.provenance == MADE
    assert list(again.executors.load.unique()) == list(LOADS)
    pd.testing.assert_frame_equal(again.left_out, results.left_out, check_dtype=False, rtol=1e-5)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"history/append\.csv"):
        read_results(tmp_path)


def test_links_lead_from_the_page_to_the_results(tmp_path: Path) -> None:
    assert relative(tmp_path / "reference", tmp_path) == "reference/"
    assert relative(tmp_path, tmp_path) == ""


def test_a_table_has_a_line_a_row() -> None:
    assert table(["a", "b"], [[1, 2], [3, 4]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |\n| 3 | 4 |\n"
