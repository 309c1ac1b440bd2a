"""How tests read the log of ping that they wrote."""

from pathlib import Path

import pytest
from tests.simulator.recordings.pings import Read

from heartbench.simulator.recordings import Recording, read_recording


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(text: str) -> Recording:
        log = tmp_path / "ping.log"
        log.write_bytes(text.encode())
        return read_recording([log])

    return of
