"""The modelled side of the live engine: step by step, at any moments, it is the virtual engine's world."""

from collections import Counter
from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.recorded import virtual_run

from heartbench.simulator.engines.live.world import (
    ACTIONS,
    CLOSED,
    CLOSES,
    DELIVERED,
    OLD,
    OPENED,
    ROWS,
    Model,
    World,
    make_world,
)
from heartbench.simulator.fleet import squads
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.trace import read_trace, read_truth

KEY = ["node", "sent_s", "kind"]
FAULTS = """
seed = 3
duration = "90s"
[[group]]
name = "talkative"
nodes = 5
profile = "wireguard-5g"
heartbeat_interval = "1s"
output_rate = 2000
chunk_bytes = 500
keepalive_time = "10s"
keepalive_timeout = "4s"
[group.link.outage]
rate_factor = 20.0
directions = { up = 0.3, down = 0.2 }
hold = 0.5
[group.site]
nodes = 3
share = 0.4
[[group]]
name = "quiet"
nodes = 6
profile = "wireguard-5g"
heartbeat_interval = "2s"
heartbeat_ack = true
[[fault]]
kind = "crash"
group = "quiet"
at = "20s"
for = "10s"
nodes = 2
[[fault]]
kind = "restart"
group = "talkative"
at = "40s"
[[fault]]
kind = "partition"
group = "quiet"
at = "50s"
for = "30s"
[[fault]]
kind = "crash"
group = "quiet"
at = "0.8s"
for = "2s"
[[fault]]
kind = "exit"
group = "talkative"
at = "0.1s"
nodes = 1
"""


class Life:
    """A shard's world, advanced from moment to moment; `actions` are (what, wire, node, row)."""

    def __init__(self, scenario: Scenario, shard: int = 0, shards: int = 1) -> None:
        self.model = Model(make_world(squads(scenario), scenario.seed, shard, shards), 1024, 2 * MESSAGES)
        self.actions: list[tuple[int, int, int, int]] = []

    def advance(self, until: float) -> float:
        soonest = self.model.advance(until)
        self.actions += self.model.take_actions()
        return soonest

    def rows(self) -> pd.DataFrame:
        sent = self.model.sent
        used = slice(int(sent.rows.used[0]))
        frame = pd.DataFrame({name: getattr(sent.rows, name)[used] for name in sent.rows._fields[1:]})
        return frame.assign(node=self.model.world.number[sent.node[used]])

    def closes(self) -> np.ndarray:
        return self.model.world.closes[: self.model.world.counts[1]]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path = tmp_path_factory.mktemp("scenario") / "faults.toml"
    path.write_text(FAULTS)
    return load_scenario(str(path))


@pytest.fixture(scope="module")
def reference(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return virtual_run(scenario, tmp_path_factory.mktemp("virtual") / "run")


@pytest.mark.parametrize("step_s", [0.01, 1.0, 90.0])
def test_whenever_it_is_advanced_it_does_what_the_virtual_engine_does(
    step_s: float, scenario: Scenario, reference: RunDirectory
) -> None:
    lives = [Life(scenario, shard, 2) for shard in range(2)]
    for life in lives:
        for until in np.arange(step_s, 90.0, step_s):
            life.advance(float(until))
        life.advance(90.0)
    rows = pd.concat([life.rows() for life in lives]).sort_values(KEY, ignore_index=True)
    expected = read_trace(reference.path).sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(rows[expected.columns], expected, check_dtype=False)


def test_streams_end_as_in_the_virtual_engine(scenario: Scenario, reference: RunDirectory) -> None:
    life = Life(scenario)
    for until in np.arange(0.1, 90.05, 0.1):
        life.advance(min(float(until), 90.0))
    truth = read_truth(reference.truth).query("event == 'close'")
    closes = life.closes()[np.lexsort((life.closes()[:, 1], life.closes()[:, 0]))]
    assert len(closes) > 5
    np.testing.assert_array_equal(closes, truth[["node", "start_s", "end_s"]].to_numpy())


def test_a_wire_is_opened_then_written_and_closed_once(scenario: Scenario) -> None:
    life = Life(scenario)
    life.advance(90.0)
    order: dict[int, list[int]] = {}
    for what, wire, _, _ in life.actions:
        order.setdefault(wire, []).append(what)
    for happened in order.values():
        assert happened[0] == OPENED
        assert Counter(happened)[OPENED] == 1
        assert CLOSED not in happened[:-1]
    written = [row for what, _, _, row in life.actions if what == DELIVERED]
    arrived = np.flatnonzero(~np.isnan(life.model.sent.rows.arrived_s[: life.model.sent.rows.used[0]]))
    assert sorted(written) == arrived.tolist()


def test_it_says_when_it_is_due_next(scenario: Scenario) -> None:
    life, now = Life(scenario), 0.0
    while now < 5.0:
        soonest = life.advance(now)
        before = len(life.actions)
        assert life.advance(soonest) == soonest
        assert len(life.actions) == before
        now = float(np.nextafter(soonest, inf))


def test_a_node_whose_stream_the_hub_ends_comes_back_after_the_time_it_was_told() -> None:
    life = Life(load_scenario("lan").with_nodes(1))
    life.advance(5.0)
    life.model.world.cut[0], life.model.world.away_s[0] = True, 7.0
    life.model.world.next_s[0] = min(life.model.world.next_s[0], 5.0)
    life.advance(5.001)
    life.advance(20.0)
    hellos = life.rows().query("kind == 0")
    assert hellos.connection.tolist() == [0, 1]
    assert hellos.sent_s.iloc[1] == pytest.approx(12.0, abs=0.01)
    assert {(what, wire) for what, wire, _, _ in life.actions if what != DELIVERED} == {
        (OPENED, 0),
        (CLOSED, 0),
        (OPENED, 1),
    }


def test_a_shard_without_anything_to_do_waits_for_ever() -> None:
    life = Life(load_scenario("lan").with_nodes(1), shard=1, shards=2)
    assert life.advance(10.0) == inf


def rooms(model: Model) -> dict[int, set[int]]:
    """The lengths of the columns of each buffer."""
    world, sent = model.world, model.sent
    old = (world.old_connections, world.old_links, world.old_ties, world.old_next_s)
    return {
        ROWS: {len(column) for column in (*sent.rows[1:], sent.node)},
        ACTIONS: {len(column) for column in model._actions[1:]},
        CLOSES: {len(world.closes)},
        OLD: {len(column) for column in old},
    }


@pytest.mark.parametrize("full", [ROWS, ACTIONS, CLOSES, OLD])
def test_only_the_buffer_that_is_full_grows_and_by_half(full: int) -> None:
    model = Model(make_world(squads(load_scenario("lan")), 1, 0, 1), 1024, 1024)
    for _ in range(3):
        model.world.full[0] = full
        before = rooms(model)
        model._grow()
        after = rooms(model)
        (old_length,), (new_length,) = before.pop(full), after.pop(full)
        assert old_length * 1.5 <= new_length <= max(old_length * 1.5, old_length + 16)
        assert after == before


def test_many_messages_make_no_room_for_old_connections() -> None:
    life = Life(load_scenario("lan").with_nodes(20))
    life.advance(60.0)
    assert len(life.model.sent.node) > 1024
    assert len(life.model.world.old_ties) == 16


@settings(max_examples=25)
@given(rows=st.integers(0, 3000), room=st.integers(0, 3 * MESSAGES), old=st.integers(0, 16), closes=st.integers(0, 16))
def test_what_happens_does_not_depend_on_the_room_to_begin_with(
    scenario: Scenario, rows: int, room: int, old: int, closes: int
) -> None:
    usual, other = Life(scenario), Life(scenario)
    world = other.model.world
    small = {name: getattr(world, name)[:old] for name in World._fields if name.startswith("old_")}
    other.model = Model(world._replace(closes=world.closes[:closes], **small), rows, room)
    for life in (usual, other):
        life.advance(45.0)
        life.advance(90.0)
    pd.testing.assert_frame_equal(usual.rows(), other.rows())
    np.testing.assert_array_equal(usual.closes(), other.closes())
    assert usual.actions == other.actions
