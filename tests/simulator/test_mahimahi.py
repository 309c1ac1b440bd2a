"""Traces of Mahimahi: what is one, and what is refused with file and line."""

from pathlib import Path

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import DOWN, UP
from heartbench.simulator.mahimahi import is_mahimahi, read_mahimahi


def trace(folder: Path, text: str) -> Path:
    path = folder / "lte.up"
    path.write_text(text)
    return path


def test_times_are_in_seconds_and_long_waits_are_holds(tmp_path: Path) -> None:
    path = trace(tmp_path, "0\n0\n5\n1400\n1402\n4000\n")
    assert is_mahimahi(path)
    found = read_mahimahi(path, DOWN)
    assert found.times_s.tolist() == [0.0, 0.0, 0.005, 1.4, 1.402, 4.0]
    assert found.length_s == 4.0
    assert found.holds.tolist() == [[0.005, 1.4, DOWN, 1.0], [1.402, 4.0, DOWN, 1.0]]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0\n\n5\n", ":2: '': expected a whole number of milliseconds, as in a trace of Mahimahi"),
        ("1.5\n3\n", ":1: '1.5': expected a whole number of milliseconds, as in a trace of Mahimahi"),
        ("-1\n3\n", ":1: '-1': expected a whole number of milliseconds, as in a trace of Mahimahi"),
        ("0\n1.5\n", ":2: '1.5': expected a whole number of milliseconds, as in a trace of Mahimahi"),
        ("0\n9\n8\n", ":3: 8: comes after 9; times must not fall"),
        ("0\n0\n", ":2: the last opportunity must be later than 0, where the trace begins"),
        ("1" * 30, ":1: "),
    ],
)
def test_what_is_no_trace_is_refused(text: str, wrong: str, tmp_path: Path) -> None:
    path = trace(tmp_path, text)
    assert is_mahimahi(path)
    with pytest.raises(SimulatorError) as refused:
        read_mahimahi(path, UP)
    assert str(refused.value).startswith(f"{path}{wrong}")


@pytest.mark.parametrize("text", ["", "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n", "time,rtt\n0,1\n"])
def test_other_files_are_no_traces(text: str, tmp_path: Path) -> None:
    assert not is_mahimahi(trace(tmp_path, text))
