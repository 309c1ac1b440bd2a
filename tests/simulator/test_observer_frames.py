import json
from pathlib import Path
from typing import Any

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.observer_frames import read_observer

HEADER: list[Any] = [
    "header",
    {"schema": "heartbench.observer/1", "monotonic_s": 5.0, "unix_s": 1e9, "epoch": 1, "settings": {}},
]
RECEIPT = ["receipt", 5.1, "node-3", 1, 7, "hello", 0, 1e9]
DEADLINE = ["deadline", 6, "node-3", 40.0, "pause"]
FORGOTTEN = ["forgotten", 7.0, "node-3"]
CHANGE = ["change", 5.1, "node-3", "online", True, False, "hello"]


def write(path: Path, *rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_each_kind_of_line_becomes_a_frame(tmp_path: Path) -> None:
    file = write(tmp_path / "observer.jsonl", HEADER, RECEIPT, CHANGE, DEADLINE, RECEIPT, FORGOTTEN)

    seen = read_observer(file)

    assert seen.header.monotonic_s == 5.0
    assert seen.receipts.iloc[1].tolist() == RECEIPT[1:]
    assert seen.deadlines.iloc[0].tolist() == DEADLINE[1:]
    assert seen.changes.iloc[0].tolist() == CHANGE[1:]
    assert seen.forgotten.iloc[0].tolist() == FORGOTTEN[1:]
    assert [len(frame) for frame in (seen.receipts, seen.deadlines, seen.changes)] == [2, 1, 1]


def test_a_hub_that_heard_nothing_gives_empty_frames(tmp_path: Path) -> None:
    seen = read_observer(write(tmp_path / "observer.jsonl", HEADER))

    assert len(seen.receipts) == len(seen.deadlines) == len(seen.changes) == 0
    assert list(seen.changes.columns) == ["at_s", "node_id", "status", "connected", "flapping", "reason"]


def test_a_record_with_an_end_is_whole_until_there(tmp_path: Path) -> None:
    assert read_observer(write(tmp_path / "observer.jsonl", HEADER, RECEIPT, ["end", 9.0])).until_s == 9.0


def test_a_record_without_an_end_is_whole_until_a_beat_that_is_as_late_as_tolerated_before_its_last_line(
    tmp_path: Path,
) -> None:
    header = ["header", {**HEADER[1], "settings": {"pause_over_s": 2.0}}]
    seen = read_observer(write(tmp_path / "observer.jsonl", header, RECEIPT, DEADLINE))
    assert seen.until_s == pytest.approx(6.0 - 0.1 - 2.0)


def test_kinds_that_are_not_read_do_no_harm(tmp_path: Path) -> None:
    closed = ["closed", 5.2, "node-3", 1, 7]
    restored = ["restored", 5.0, "node-3", 1, 7, "online", False, [], 4.0, 34.0]
    throttled = ["throttled", 5.1, "node-3", 1, 7]
    assert len(read_observer(write(tmp_path / "o", HEADER, restored, throttled, RECEIPT, closed)).receipts) == 1


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
        ([[*HEADER[:1], {"schema": HEADER[1]["schema"]}]], "not an observer file; its first line must be a header"),
        ([HEADER, RECEIPT[:-1]], "a receipt line has other values than at_s"),
        ([HEADER, [*DEADLINE[:-1], 3]], "a deadline line has a value of the wrong type"),
        ([HEADER, {"receipt": 1}], "line 2 is not a JSON array"),
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
