"""What analysis reads from HUB_TRACE_DIR: the same messages whatever became of the hub, and when it did not run."""

from pathlib import Path

import numpy as np
import pytest

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.hub_trace import UNKNOWN, HubTrace, read_hub_trace
from heartbench.hub.events.trace_directory import JOURNAL, PARQUET, name_of
from heartbench.hub.events.trace_journal import (
    END,
    Piece,
    Source,
    block,
    messages_block,
    pause_block,
    run_block,
    sources_block,
)
from heartbench.hub.events.trace_parquet import main as convert_all
from heartbench.mesh.kinds import Kind

DAY_S = 1_700_000_000.0


def write(directory: Path, began_s: float, number: int, beats: range, *more: bytes, offset_s: float = DAY_S) -> None:
    """Write a piece of a hub that began `began_s` after DAY_S, with a heartbeat per s of `beats`, on a clock at 0."""
    piece = Piece(DAY_S + began_s, number, 1, 30.0, beats.start - 1.0, 0.0, offset_s)
    at_s = [float(beat) for beat in beats]
    sent_s = [DAY_S + beat - 0.25 if beat % 2 else 0.0 for beat in beats]
    rows = messages_block(float(beats.stop), offset_s, [at_s, [0] * len(at_s), list(beats), sent_s])
    sources = sources_block([Source("a", 2, 1, Kind.HEARTBEAT)])
    (directory / (name_of(piece) + JOURNAL)).write_bytes(b"".join([run_block(piece), sources, rows, *more]))


def seqs(trace: HubTrace) -> list[int]:
    return [int(seq) for part in trace.messages() for seq in part.seq]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A run of two pieces with a pause and a proper end, and one that began 40 s after it and was killed."""
    write(tmp_path, 0.0, 0, range(1, 11), pause_block(3.0, 3.5))
    write(tmp_path, 0.0, 1, range(11, 21), block(END, b""))
    write(tmp_path, 60.0, 0, range(61, 71), b"HBT1 cut off")
    return tmp_path


def test_messages_and_pauses_of_the_hub_are_read_as_they_were(record: Path) -> None:
    for suffix in (JOURNAL, PARQUET):
        trace = read_hub_trace(record)
        assert {path.suffix for path, _ in trace.pieces} == {suffix}
        assert seqs(trace) == [*range(1, 21), *range(61, 71)]
        assert [(begin - DAY_S, end - DAY_S) for begin, end in trace.hub_down] == [(3.0, 3.5), (21.0, 60.0)]
        assert (trace.from_s - DAY_S, trace.to_s - DAY_S) == (0.0, 71.0)
        first = next(trace.messages())
        assert (first.names, first.boot[0], first.connection[0], first.kind[0]) == (["a"], 2, 1, Kind.HEARTBEAT)
        assert (first.arrived_s - DAY_S).tolist() == [float(beat) for beat in range(1, 11)]
        assert (first.arrived_s - first.sent_s)[[0, 2]].tolist() == [0.25, 0.25]
        assert np.isnan(first.sent_s[1])
        convert_all(record)


def test_a_piece_that_was_removed_is_a_time_without_the_hub(record: Path) -> None:
    write(record, 0.0, 2, range(21, 31))
    (record / f"{round(DAY_S * 1e6):016d}-000001{JOURNAL}").unlink()
    assert (11.0 + DAY_S, 20.0 + DAY_S) in read_hub_trace(record).hub_down


def test_a_wall_clock_that_is_set_makes_no_gap(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, range(1, 11), offset_s=DAY_S - 86_400.0)
    write(tmp_path, 0.0, 1, range(11, 21), offset_s=DAY_S)
    arrived_s = np.concatenate([part.arrived_s for part in read_hub_trace(tmp_path).messages()])
    assert np.diff(arrived_s).tolist() == [1.0] * 19
    assert not read_hub_trace(tmp_path).hub_down


def test_messages_without_a_number_and_great_numbers_have_a_place(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, range(2))
    assert seqs(read_hub_trace(tmp_path)) == [UNKNOWN, 1]


def test_a_directory_without_a_record_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="nothing recorded in it; expected the directory of HUB_TRACE_DIR"):
        read_hub_trace(tmp_path)
    (tmp_path / "1700000000000000-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(AnalysisError, match=r"000000\.parquet: not a piece of HUB_TRACE_DIR"):
        read_hub_trace(tmp_path)
    with pytest.raises(AnalysisError, match="missing"):
        read_hub_trace(tmp_path / "missing")
