"""The profile `5g-private` has the figures of the logs that it names."""

import csv
import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray

from heartbench.simulator.profile import load_profile
from heartbench.simulator.recordings import read_recording

DATA = Path(__file__).parents[4] / "shared/data"
CAR, PHONE = DATA / "cicv5g/cicv5g-urban-arterial-w2s.zip", DATA / "deterministic6g"
SHARES = np.array([0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])

pytestmark = pytest.mark.skipif(not CAR.exists(), reason="needs the logs in shared/data/cicv5g and deterministic6g")


def runs() -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return for each run of the car on the private network when messages were sent and their echoes arrived, s."""
    with ZipFile(CAR) as files:
        texts = [files.read(name).decode() for name in files.namelist() if "n8/" in name and name.endswith(".csv")]
    tables = [list(csv.DictReader(io.StringIO(text))) for text in texts]
    return [
        (
            np.array([float(row["sent_ms"]) for row in rows]) / 1000,
            np.array([float(row["echoed_ms"]) for row in rows]) / 1000,
        )
        for rows in tables
    ]


def test_the_profile_has_the_echo_times_and_the_stalls_of_its_sources() -> None:
    shipped = load_profile("5g-private")
    echo_s = np.concatenate([echoed - sent for sent, echoed in runs()])
    gaps_s = [
        gap
        for sent, echoed in runs()
        for gap, pause in zip(np.diff(echoed), np.diff(sent), strict=True)
        if gap > 0.5 and pause < 0.3
    ]
    phone = [read_recording([path]) for path in sorted(PHONE.glob("ping-*.txt"))]
    longest = max(float(np.nanmax(each.rtt_s)) for each in phone)
    hours = sum(sent[-1] - sent[0] for sent, _ in runs()) / 3600 + sum(each.hours for each in phone)

    assert shipped.rtt_quantile(SHARES) == pytest.approx(np.quantile(echo_s, SHARES), abs=0.0006)
    assert shipped.outage.observed is not None
    assert sorted([*gaps_s, longest]) == pytest.approx(shipped.outage.observed.lengths_s, abs=0.005)
    assert hours == pytest.approx(shipped.outage.observed.hours, abs=0.01)
