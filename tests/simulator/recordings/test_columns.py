"""CSV files whose columns are named."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings import Columns, Recording, read_recording

DATA = Path(__file__).parents[4] / "shared/data"
CICV5G = DATA / "cicv5g/cicv5g-urban-arterial-w2s.zip"
IRISH = DATA / "irish-5g/5G-production-dataset.zip"
Read = Callable[[str, Columns], Recording]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(text: str, columns: Columns) -> Recording:
        log = tmp_path / "log.csv"
        log.write_text(text, encoding="utf-8")
        return read_recording([log], columns)

    return of


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("at,rtt\n10,20\n11,\n12,30\n", Columns("at", "rtt")),
        ("at;other;rtt\n10000;x;0.02\n11000;y;-\n12000;z;0.03\n", Columns("at", "rtt", time_unit="ms", rtt_unit="s")),
        ("at,rtt\n2026-01-02T03:04:05Z,20\n2026-01-02T03:04:06Z,\n2026-01-02T03:04:07Z,30\n", Columns("at", "rtt")),
        (
            "at,rtt\n2026-01-02 03:04:05.25,20\n2026-01-02 03:04:06.25,\n2026-01-02 03:04:07.25,30\n",
            Columns("at", "rtt"),
        ),
        ("sent\tback\n10000\t10020\n11000\t\n12000\t12030\n", Columns("sent", answered="back", time_unit="ms")),
        (
            "at,rtt\n1.1.26 01:00:00,20\n1.1.26 01:00:01,\n1.1.26 01:00:02,30\n",
            Columns("at", "rtt", time_unit="%d.%m.%y %T"),
        ),
    ],
)
def test_times_and_round_trips_in_their_units(read: Read, text: str, columns: Columns) -> None:
    got = read(text, columns)
    assert got.sent_s == pytest.approx([0, 1, 2])
    assert got.rtt_s == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)


def test_dates_are_kept_and_times_since_the_start_are_none(read: Read) -> None:
    assert read("at,rtt\n1700000000,20\n", Columns("at", "rtt")).began_unix_s == 1_700_000_000
    assert read("at,rtt\n2000-01-01T00:00:00Z,20\n", Columns("at", "rtt")).began_unix_s == 946_684_800
    assert read("at,rtt\n17,20\n", Columns("at", "rtt")).began_unix_s is None


def test_a_time_without_probes_is_a_pause(read: Read) -> None:
    rows = "".join(f"{at},20\n" for at in (0, 1, 2, 3, 60, 61, 62))
    assert read("at,rtt\n" + rows, Columns("at", "rtt")).stretch.tolist() == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("rate", [1.5, 2, 5, 7])
def test_probes_of_one_whole_second_are_spread_over_it(read: Read, rate: float) -> None:
    rows = "".join(f"{1_700_000_000 + int(n / rate)},{'' if 200 <= n < 240 else 20}\n" for n in range(1000))
    got = read("at,rtt\n" + rows, Columns("at", "rtt"))
    assert got.interval_s == pytest.approx(1 / rate, rel=0.3)
    assert got.observed_s == pytest.approx(1000 / rate, abs=1)
    assert got.sent_s == pytest.approx(np.arange(1000) / rate, abs=1)
    assert (np.diff(got.sent_s) > 0).all()
    assert "they are taken as spread evenly" in got.assumptions[0]


def test_probes_that_all_have_one_time_are_taken_as_those_of_one_second(read: Read) -> None:
    got = read("at,rtt\n" + "5,20\n" * 4, Columns("at", "rtt"))
    assert got.sent_s == pytest.approx([0, 0.25, 0.5, 0.75])


def test_two_probes_of_a_thousand_with_one_time_stay_as_they_are(read: Read) -> None:
    got = read("at,rtt\n" + "".join(f"{n - (n == 500)},20\n" for n in range(1000)), Columns("at", "rtt"))
    assert got.sent_s[500] == got.sent_s[499]
    assert got.assumptions == ()


def test_rows_may_be_rounds_with_a_share_of_losses(read: Read) -> None:
    text = "at,avg,loss\n0,-,-\n1,80,0\n2,-,-\n3,-,100.0\n4,90,20\n"
    got = read(text, Columns("at", "avg", loss="loss"))
    assert got.rtt_s == pytest.approx([0.08, np.nan, 0.09], nan_ok=True)
    assert got.assumptions[0].endswith("one of each is read, lost as often as loss says")


@pytest.mark.parametrize("shares", [[5.0] * 2000, [0, 0, 20, 50, 0, 80, 100, 12.5] * 250])
def test_as_many_rounds_are_lost_as_their_shares_add_up_to(read: Read, shares: list[float]) -> None:
    rows = "".join(f"{at},{'-' if share == 100 else 30},{share}\n" for at, share in enumerate(shares))
    got = read("at,avg,loss\n" + rows, Columns("at", "avg", loss="loss"))
    lost = np.isnan(got.rtt_s)
    assert np.cumsum(lost) == pytest.approx(np.cumsum(shares) / 100, abs=0.5)
    assert lost[np.array(shares) == 100].all()
    assert not lost[np.array(shares) == 0].any()


@pytest.mark.parametrize("share", ["-1", "100.5"])
def test_a_share_of_losses_is_between_0_and_100_percent(read: Read, share: str) -> None:
    with pytest.raises(SimulatorError, match=r"log.csv:3: loss is no share in percent; it must be between 0 and 100"):
        read(f"at,avg,loss\n0,30,0\n1,30,{share}\n", Columns("at", "avg", loss="loss"))


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("at,rtt\n0,20\n1,nan\n", 3, "rtt is no finite number; empty is lost"),
        ("at,rtt\n0,20\n\n1,inf\n", 4, "rtt is no finite number"),
        ("at,rtt\n0,20\n1,fast\n", 3, "rtt: invalid value 'fast'; allowed is a number"),
        ("at,x,rtt\n0,a,20\n\n1,a,fast\n", 4, "rtt: invalid value 'fast'"),
        ("at,rtt\n0,20\n\n1\n", 4, "Expected 2 columns, got 1"),
        ("at,rtt\n0,20\n1,-3\n", 3, "an answer before its probe"),
        ("at,rtt\n5,20\n4,20\n", 3, "the time goes back"),
        ("at,rtt\n5,20\n,20\n", 3, "at is empty"),
        ("at,rtt\n2026-01-02T03:04:05Z,20\nyesterday,20\n", 3, "at is 'yesterday'"),
        ("at,rtt\n0,20\n1\n", 3, "Expected 2 columns, got 1"),
        ("when,rtt\n0,20\n", 1, "no column 'at'; it has when, rtt"),
        ("at,rtt,rtt\n0,20,30\n", 1, "two columns 'rtt'; rename the one that is not meant"),
        ("at,rtt\n", 1, "no probe in any row"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(read: Read, text: str, line: int, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError) as error:
        read(text, Columns("at", "rtt"))
    assert str(error.value).startswith(f"{tmp_path / 'log.csv'}:{line}: ")
    assert wrong in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "name either"),
        ({"rtt": "a", "answered": "b"}, "name either"),
        ({"rtt": "a", "rtt_unit": "h"}, "--rtt-unit h: must be s, ms, us, ns"),
        ({"rtt": "a", "time_unit": "h"}, "--time-unit h: must be s, ms, us, ns, or the form of a date"),
        ({"rtt": "at"}, "'at' is named twice"),
        ({"rtt": "a", "loss": "a"}, "'a' is named twice"),
    ],
)
def test_columns_that_say_too_little_are_rejected(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(SimulatorError, match=f"columns: {said}"):
        Columns("at", **wrong)


def test_a_column_that_is_not_named_may_stand_twice(read: Read) -> None:
    assert read("at,x,x,rtt\n0,1,2,20\n", Columns("at", "rtt")).rtt_s.tolist() == [0.02]


def unpacked(archive: Path, name: str, to: Path) -> list[Path]:
    with zipfile.ZipFile(archive) as packed:
        names = sorted(each for each in packed.namelist() if name in each and not each.startswith("__MACOSX"))
        return [Path(packed.extract(each, to)) for each in names if each.endswith(".csv")]


@pytest.mark.skipif(not CICV5G.exists(), reason="needs the logs in shared/data/cicv5g")
def test_a_car_reads_with_its_own_pauses_left_out(tmp_path: Path) -> None:
    logs = unpacked(CICV5G, "10ms/n78", tmp_path)
    got = read_recording(logs, Columns("sent_ms", answered="echoed_ms", time_unit="ms"))
    assert got.lost == 0
    assert len(got.stretch_starts) > len(logs)
    assert np.nanmedian(got.rtt_s) == pytest.approx(0.018, abs=0.003)


@pytest.mark.skipif(not IRISH.exists(), reason="needs the driving traces in shared/data/irish-5g")
def test_rounds_of_pings_of_a_drive_read(tmp_path: Path) -> None:
    logs = unpacked(IRISH, "Download/Driving", tmp_path)
    columns = Columns("Timestamp", "PINGAVG", loss="PINGLOSS", time_unit="%Y.%m.%d_%H.%M.%S")
    got = read_recording(logs, columns)
    assert got.interval_s == pytest.approx(14, abs=1)
    assert got.lost / got.probes == pytest.approx(0.039, abs=0.003)
    assert np.nanmedian(got.rtt_s) == pytest.approx(0.080, abs=0.002)
