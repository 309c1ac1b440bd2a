"""What the model learns from a shard about a real stream that the hub ended."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heartbench.simulator.engines.live.shard import Shard, Task
from heartbench.simulator.engines.live.world import Loss
from heartbench.simulator.scenario import Scenario, load_scenario

# Cut off from 5 to 20 s, the node gives its first connection up at 7.5 s, and makes its next one from 8.5 s on.
CUT = """
duration = "60s"
[[group]]
name = "desk"
nodes = 1
profile = "lan"
heartbeat_interval = "1s"
user_timeout = "2s"
[[fault]]
kind = "partition"
group = "desk"
at = "5s"
for = "15s"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    (tmp_path / "cut.toml").write_text(CUT, encoding="utf-8")
    return load_scenario(str(tmp_path / "cut.toml"))


def closes(scenario: Scenario, ends_s: float, lost: int | None) -> np.ndarray:
    """When streams of the node closed in a minute; the hub ends the real connection `lost` at `ends_s`."""

    async def live() -> np.ndarray:
        pipe: Any = None
        shard = Shard(Task(scenario, 0, 1, "127.0.0.1:1"), pipe)
        shard._now_s = ends_s
        shard._model.advance(ends_s)
        if lost is not None:
            connection: Any = SimpleNamespace(node=0, number=lost)
            shard._lost(connection, Loss(0.0, refused=False))
        shard._model.advance(60.0)
        return shard._model.world.closes[: shard._model.world.counts[1], 1].copy()

    return asyncio.run(live())


def test_a_stream_that_the_hub_ends_is_closed_for_the_node_soon(scenario: Scenario) -> None:
    assert 3.0 < closes(scenario, 3.0, lost=0)[0] < 3.3
    assert closes(scenario, 3.0, lost=None)[0] > 7.0


def test_the_end_of_a_stream_that_the_node_has_left_does_not_touch_the_connection_that_it_makes(
    scenario: Scenario,
) -> None:
    undisturbed = closes(scenario, 12.0, lost=None)

    assert undisturbed[0] < 12.0
    np.testing.assert_array_equal(closes(scenario, 12.0, lost=0), undisturbed)
