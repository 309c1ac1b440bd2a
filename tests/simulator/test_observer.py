import json
from pathlib import Path
from typing import Any

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.observer import read_observer

HEADER = ["header", {"schema": "heartbench.observer/1", "monotonic_s": 5.0, "unix_s": 1e9, "epoch": 1, "settings": {}}]
RECEIPT = ["receipt", 5.1, "node-3", 1, 7, "hello", 0, 1e9]
DEADLINE = ["deadline", 6, "node-3", 40.0, "pause"]
CHANGE = ["change", 5.1, "node-3", "online", True, False, "hello"]


def write(path: Path, *rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_each_kind_of_line_becomes_a_frame(tmp_path: Path) -> None:
    file = write(tmp_path / "observer.jsonl", HEADER, RECEIPT, CHANGE, DEADLINE, RECEIPT)

    seen = read_observer(file)

    assert seen.header["monotonic_s"] == 5.0
    assert seen.receipts.iloc[1].tolist() == RECEIPT[1:]
    assert seen.deadlines.iloc[0].tolist() == DEADLINE[1:]
    assert seen.changes.iloc[0].tolist() == CHANGE[1:]
    assert [len(frame) for frame in (seen.receipts, seen.deadlines, seen.changes)] == [2, 1, 1]


def test_a_hub_that_heard_nothing_gives_empty_frames(tmp_path: Path) -> None:
    seen = read_observer(write(tmp_path / "observer.jsonl", HEADER))

    assert len(seen.receipts) == len(seen.deadlines) == len(seen.changes) == 0
    assert list(seen.changes.columns) == ["at_s", "node_id", "status", "connected", "flapping", "reason"]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "observer.jsonl", HEADER, RECEIPT)
    file.write_text(file.read_text() + '["receipt", 5.2, "no')

    assert len(read_observer(file).receipts) == 1


def test_a_long_file_is_read_whole(tmp_path: Path) -> None:
    file = write(tmp_path / "observer.jsonl", HEADER, *([RECEIPT] * 45_000), CHANGE)

    seen = read_observer(file)

    assert (len(seen.receipts), len(seen.changes)) == (45_000, 1)
    assert seen.receipts["node_id"].unique().tolist() == ["node-3"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "not an observer file; its first line must be a header"),
        ([RECEIPT], "not an observer file; its first line must be a header"),
        ([HEADER, RECEIPT[:-1]], "a receipt line has other values than at_s"),
        ([HEADER, [*DEADLINE[:-1], 3]], "a deadline line has a value of the wrong type"),
        ([HEADER, {"receipt": 1}], "line 2 is no JSON array"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, rows: list[Any], reason: str) -> None:
    file = write(tmp_path / "observer.jsonl", *rows)

    with pytest.raises(SimulatorError) as refusal:
        read_observer(file)
    assert str(refusal.value).startswith(f"{file}: {reason}")


def test_no_file_and_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00")
    for name in ("noise", "missing", "."):
        with pytest.raises(SimulatorError, match="cannot be read as an observer file"):
            read_observer(tmp_path / name)
