"""The record of HUB_TRACE_DIR is imported by its directory as well as piece by piece."""

from pathlib import Path

from tests.analysis.imports.fleet import fleet, hub_trace

from heartbench.analysis.imports import ImportOptions, import_log


def test_the_directory_is_imported_whole(tmp_path: Path) -> None:
    pieces, _ = hub_trace(fleet(), tmp_path)
    assert {piece.suffix for piece in pieces} == {".parquet", ".journal"}
    whole = import_log([tmp_path / "trace"], ImportOptions(), tmp_path / "whole")
    listed = import_log(pieces[::-1], ImportOptions(), tmp_path / "listed")
    assert (whole.format, whole.heartbeats, whole.hub_down) == ("hub-trace", listed.heartbeats, listed.hub_down)
