"""Outages are counted by the clock, and a lone segment does not end one."""

import tomllib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.validation.production_5g import (
    LONE_SEGMENT_KBIT_S,
    QUIET_KBIT_S,
    RTT_SHARES,
    SUBJECTS,
    Outage,
    Subject,
    Trace,
    main,
    outages,
    profile_figures,
    read_traces,
    recount,
    table_rows,
)
from heartbench.simulator.outages import Outages
from heartbench.simulator.profile import load_profile
from heartbench.simulator.tomlfile import validate

SOURCE = Path(__file__).parents[4] / "shared/data/irish-5g/5G-production-dataset.zip"
HEAD = "Timestamp,NetworkMode,DL_bitrate,PINGAVG,PINGLOSS\n"
DRIVING, STANDING, LTE = SUBJECTS


def trace(*rates: tuple[float, float]) -> Trace:
    at_s, kbit_s = np.array(rates).T
    none = np.zeros(0)
    return Trace(at_s, kbit_s, np.ones(len(at_s), bool), none, none, none, np.zeros(0, bool))


def test_an_outage_lasts_from_its_first_quiet_second_to_its_last_whatever_was_skipped() -> None:
    one = trace((0, 900), (1, 0), (2, 1), (5, 2), (6, 900), (7, 0), (8, 900))
    assert list(outages(one, QUIET_KBIT_S)) == [Outage(1, 5, lone_segment=False), Outage(7, 1, lone_segment=False)]


def test_a_lone_segment_does_not_end_an_outage() -> None:
    one = trace((0, 900), (1, 0), (2, 11), (3, 0), (4, 900))
    assert list(outages(one, LONE_SEGMENT_KBIT_S)) == [Outage(1, 3, lone_segment=True)]
    assert [each.length_s for each in outages(one, QUIET_KBIT_S)] == [1, 1]


def test_in_one_mode_only_its_seconds_and_the_outages_that_begin_in_it_count(tmp_path: Path) -> None:
    modes = ["5G"] * 30 + ["LTE"] * 15 + ["UMTS"] * 35
    quiet = {*range(25, 28), *range(43, 50)}
    rows = [
        f"2020.01.01_00.{at // 60:02d}.{at % 60:02d},{mode},{0 if at in quiet else 900},{at},0"
        for at, mode in enumerate(modes)
    ]
    archive = tmp_path / "traces.zip"
    with ZipFile(archive, "w") as files:
        files.writestr("5G-production-dataset/Download/Driving/B_1.csv", HEAD + "\n".join(rows))
    (read,) = read_traces(archive, LTE)
    assert read.hours == pytest.approx(15 / 3600)
    assert list(outages(read, QUIET_KBIT_S)) == [Outage(read.at_s[0] + 23, 7, lone_segment=False)]
    assert read.ping_ms[read.ping_counts].tolist() == list(range(30, 45))


def test_repeated_timestamps_and_the_ends_of_a_file_are_left_out(tmp_path: Path) -> None:
    rows = [f"2020.01.01_00.00.{second:02d},5G,{second},-,-" for second in range(60)]
    archive = tmp_path / "traces.zip"
    with ZipFile(archive, "w") as files:
        files.writestr("5G-production-dataset/Download/Driving/B_1.csv", HEAD + "\n".join([*rows[:30], *rows[29:]]))
    (read,) = read_traces(archive, DRIVING)
    assert read.kbit_s.tolist() == list(range(20, 40))
    assert read.hours == pytest.approx(19 / 3600)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_archive_is_refused_in_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "traces.zip"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(AnalysisError, match=r"traces\.zip: cannot be read \(.*expected 5G-production-dataset\.zip"):
        read_traces(archive, DRIVING)
    assert main([str(archive)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not SOURCE.exists(), reason="needs the driving traces in shared/data/irish-5g")
def test_the_driving_traces_give_the_known_counts_and_tail() -> None:
    driving, standing = (read_traces(SOURCE, subject) for subject in (DRIVING, STANDING))
    assert table_rows(driving) == {
        "quiet seconds": ["7.75", "50", "23", "7", "3", "1", "0", "21 s"],
        "lone segments joined": ["7.75", "68", "27", "9", "5", "3", "2", "43 s"],
    }
    assert [cells[1:4] for cells in table_rows(standing).values()] == [["21", "10", "0"], ["29", "13", "0"]]


@pytest.mark.skipif(not SOURCE.exists(), reason="needs the driving traces in shared/data/irish-5g")
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.profile)
def test_the_shipped_profiles_have_the_figures_that_are_counted(subject: Subject) -> None:
    traces = read_traces(SOURCE, subject)
    shipped = load_profile(subject.profile)
    counted = validate(Outages, tomllib.loads(profile_figures(traces))["outage"], "counted")
    for key in ("rates", "observed"):
        assert shipped.outage.to_data()[key] == counted.to_data()[key]
    assert shipped.outage.tail == counted.tail
    assert shipped.outage.directions.up == pytest.approx(recount(traces, LONE_SEGMENT_KBIT_S).up_share(), abs=0.005)
    rtt_s = np.concatenate([each.ping_ms[each.ping_counts] for each in traces]) / 1000
    measured = np.nanquantile(rtt_s, RTT_SHARES)
    assert shipped.rtt_quantile(np.array(RTT_SHARES)) == pytest.approx(measured, abs=0.0006, rel=0.006)
