"""The wave of files in small: real processes, real gRPC, a real watchdog."""

from pathlib import Path

import pytest

from heartbench.benchmarks.hub.ingest import HUB
from heartbench.benchmarks.hub.wave import LIMIT_MIB, Wave, holds, run_wave

pytestmark = pytest.mark.slow


def test_every_file_of_a_wave_is_complete_and_every_heartbeat_in_time(tmp_path: Path) -> None:
    wave = Wave(nodes=20, megabytes=2)
    result = run_wave(HUB, wave, tmp_path)
    assert result.files_verified == 20
    assert result.peak_mib < LIMIT_MIB
    assert holds(result, wave), result


def test_a_hub_above_its_memory_limit_is_killed(tmp_path: Path) -> None:
    result = run_wave(HUB, Wave(nodes=2, megabytes=1), tmp_path, limit_mib=20)
    assert not result.survived
    assert result.peak_mib > 20
