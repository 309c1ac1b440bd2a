"""Files of live nodes: the hub verifies each, and the trace has the chunks that the hub received."""

import hashlib
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from tests.simulator.recorded import record, virtual_run

from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.contract import Control
from heartbench.simulator.engines.live.engine import LiveEngine
from heartbench.simulator.engines.live.messages import PATH, file_chunks
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import read_trace

SIZE = 150_000
SETTINGS = ["duration=5s", f"group.rack.file_bytes={SIZE}", "group.rack.file_every=1s", "group.rack.start_spread=0.5s"]


def test_a_file_is_split_into_chunks_that_can_be_verified() -> None:
    chunks = file_chunks("rack", SIZE)
    whole = b"".join(chunk.data for chunk in chunks)
    assert [(chunk.offset, len(chunk.data)) for chunk in chunks] == [(0, 65_536), (65_536, 65_536), (131_072, 18_928)]
    assert all(crc32(chunk.data) == chunk.crc32 for chunk in chunks)
    assert [(chunk.last, chunk.sha256) for chunk in chunks[1:]] == [
        (False, b""),
        (True, hashlib.sha256(whole).digest()),
    ]
    assert file_chunks("rack", 0) == []


@pytest.mark.slow
def test_a_real_hub_gets_the_files_of_live_nodes_whole(tmp_path: Path) -> None:
    scenario = load_scenario("lan", SETTINGS).with_nodes(2)
    directory = RunDirectory.create(tmp_path / "live", "files", "live")
    held: set[bytes] = set()

    def look(_: float) -> None:
        held.update(path.read_bytes() for path in directory.path.glob(f"files/files/*/{PATH}"))

    live = record(LiveEngine(directory, workers=1), scenario, directory, Control(advance=look)).live
    modelled = virtual_run(scenario, tmp_path / "virtual")
    assert live is not None

    assert held == {b"".join(chunk.data for chunk in file_chunks("rack", SIZE))}
    assert not (directory.path / "files").exists()
    sent, expected = read_trace(directory.path), read_trace(modelled.path)
    columns = ["node", "boot", "connection", "seq", "kind", "sent_s"]
    pd.testing.assert_frame_equal(sent[columns], expected[columns])
    chunks = sent.query(f"kind == {int(Kind.CHUNK)} and seq == 0")
    in_time = chunks[chunks.sent_s < 4.0]
    assert len(in_time) >= 2 * 3 * 3
    assert in_time.arrived_s.notna().all()
    assert 3 * live.files == pytest.approx(chunks.arrived_s.notna().sum(), abs=2)
    late_s = in_time.arrived_s - expected.loc[in_time.index].arrived_s
    assert late_s.min() > -0.001
    assert np.median(late_s) < 0.2
