"""Recordings written and read back."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import Recording, read_recording, write_recording

RECORDING = Recording(
    source="a.log",
    sent_s=np.array([0.0, 1.0, 2.0, 50.0]),
    rtt_s=np.array([0.1, np.nan, 0.3, 0.1]),
    up_s=np.array([0.05, np.nan, 0.1, 0.05]),
    down_s=None,
    stretch=np.array([0, 0, 0, 1], np.int32),
    interval_s=1.0,
    began_unix_s=1_700_000_000.0,
    assumptions=("a.log: one probe a second is assumed", "a.log: a row is a round"),
)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "recorded.parquet"
    write_recording(RECORDING, path)
    got = read_recording([path])
    for name in ("sent_s", "rtt_s", "up_s", "stretch"):
        np.testing.assert_array_equal(getattr(got, name), getattr(RECORDING, name))
    assert got.down_s is None
    assert (got.interval_s, got.began_unix_s) == (1.0, 1_700_000_000.0)
    assert got.assumptions == RECORDING.assumptions


@pytest.mark.parametrize("key", ["heartbench.began_unix_s", "heartbench.assumptions"])
@pytest.mark.parametrize("value", ["soon", "nan", '"a text"', "[1]"])
def test_metadata_of_other_kinds_are_rejected(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"sent_s": [0.0, 1.0], "rtt_s": [0.1, 0.1]}).replace_schema_metadata({key: value}), path)
    with pytest.raises(SimulatorError, match=r"foreign\.parquet: its metadata heartbench\.began_unix_s and .* are not"):
        read_recording([path])


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe, whole = tmp_path / "pipe", tmp_path / "whole.parquet"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_recording(RECORDING, pipe)
    write_recording(RECORDING, whole)
    assert os.read(reader, 100_000) == whole.read_bytes()
    os.close(reader)
    assert pipe.is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["pipe", "whole.parquet"]


def test_a_recording_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(SimulatorError, match=rf"^{folder / 'a'}: cannot be written: No such file or directory$"):
        write_recording(RECORDING, folder / "a")


def test_several_files_are_stretches_with_nothing_known_between_them(tmp_path: Path) -> None:
    path, later = tmp_path / "recorded.parquet", tmp_path / "later.parquet"
    write_recording(RECORDING, path)
    write_recording(replace(RECORDING, began_unix_s=1_700_000_050.0), later)
    got = read_recording([later, path])
    assert got.stretch.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    assert got.observed_s == 8.0
    assert (np.diff(got.sent_s) > 0).all()
    assert got.lost == 2


def test_probes_of_one_whole_second_are_spread_over_it(tmp_path: Path) -> None:
    path = tmp_path / "coarse.parquet"
    sent_s, stretch = [n // 5 for n in range(50)] * 2, [0] * 50 + [1] * 50
    pq.write_table(pa.table({"sent_s": sent_s, "rtt_s": [0.1] * 100, "stretch": stretch}), path)
    got = read_recording([path])
    assert got.interval_s == pytest.approx(0.2)
    assert got.observed_s == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ({"sent_s": [0.0, 1.0]}, "column rtt_s is missing"),
        ({"sent_s": [0.0, -1.0], "rtt_s": [0.1, 0.1]}, "row 2: sent_s goes back"),
        ({"sent_s": [0.0, None], "rtt_s": [0.1, 0.1]}, "row 2: sent_s is missing"),
        ({"sent_s": [0.0, 1.0], "rtt_s": [0.1, -0.1]}, "row 2: rtt_s is less than 0"),
        ({"sent_s": [0.0, 1.0], "rtt_s": [0.1, math.nan]}, "row 2: rtt_s is no finite number; null is lost"),
        ({"sent_s": [0.0, math.inf], "rtt_s": [0.1, 0.1]}, "row 2: sent_s is no finite number"),
        ({"sent_s": [0.0, 1.0], "rtt_s": [0.1, 0.1], "stretch": [0, None]}, "row 2: stretch is missing"),
        (
            {"sent_s": [0.0, 1.0], "rtt_s": [0.1, 0.1], "up_s": [0.06, 0.2], "down_s": [0.04, 0.1]},
            "row 2: up_s and down_s do not add up to rtt_s",
        ),
        ({"sent_s": ["a"], "rtt_s": [0.1]}, "column sent_s is string"),
        ({"sent_s": pa.array([], pa.float64()), "rtt_s": pa.array([], pa.float64())}, "no rows"),
    ],
)
def test_what_is_no_recording_is_rejected(columns: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(SimulatorError, match=wrong):
        read_recording([path])


def test_both_ways_may_be_rounded_and_a_lost_probe_may_have_one(tmp_path: Path) -> None:
    path = tmp_path / "rounded.parquet"
    columns: dict[str, Any] = {
        "sent_s": [0.0, 1.0],
        "rtt_s": [0.021, None],
        "up_s": [0.011, 0.01],
        "down_s": [0.011, None],
    }
    pq.write_table(pa.table(columns), path)
    assert read_recording([path]).lost == 1
