"""A tunnel in a scenario: its keys, the truth of a run, and the same in the virtual and the live engine."""

import numpy as np
import pytest
from tests.simulator.test_link import profile
from tests.simulator.test_node import Life

from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.live.world import Model, make_world
from heartbench.simulator.engines.virtual import blocks, run_nodes
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import squads
from heartbench.simulator.link import make_link
from heartbench.simulator.node import REBIND, START
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.trace import TruthEvent
from heartbench.simulator.truth import truth_of
from heartbench.simulator.tunnel_state import BORINGTUN, EXPIRED, NO_TUNNEL, WIREGUARD

SCENARIO = """
seed = 2
duration = "1200s"
[[group]]
name = "edge"
nodes = 4
profile = "wireguard-5g"
heartbeat_interval = "5s"
start_spread = "5s"
tunnel = "wireguard"
persistent_keepalive = "25s"
[group.reconnect]
max = "30s"
[[fault]]
kind = "partition"
group = "edge"
at = "300s"
for = "250s"
[[fault]]
kind = "crash"
group = "edge"
at = "800s"
for = "60s"
nodes = 2
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path = tmp_path_factory.mktemp("scenario") / "tunnel.toml"
    path.write_text(SCENARIO)
    return load_scenario(str(path))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["group.edge.tunnel=openvpn"], "tunnel: 'openvpn'"),
        (["group.edge.persistent_keepalive=25s"], "persistent_keepalive needs a tunnel"),
        (["group.edge.tunnel=wireguard", "group.edge.persistent_keepalive=0.5s"], "whole number of seconds"),
        (["group.edge.tunnel=wireguard", "group.edge.persistent_keepalive=20h"], "up to 65535"),
        (["group.edge.tunnel=wireguard", "group.edge.separate_uploads=true"], "exclude each other"),
    ],
)
def test_a_key_that_does_not_fit_is_refused_in_one_line(changes: list[str], problem: str) -> None:
    with pytest.raises(SimulatorError) as error:
        load_scenario("wireguard-5g", changes)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("value", "kind"), [("none", NO_TUNNEL), ("wireguard", WIREGUARD), ("boringtun", BORINGTUN)])
def test_the_links_of_a_group_have_its_tunnel(value: str, kind: int) -> None:
    (squad,) = squads(load_scenario("wireguard-5g", [f"group.edge.tunnel={value}"]))
    assert squad.link["tunnel"]["kind"] == [kind]


def test_the_live_engine_sees_what_the_virtual_one_sees(scenario: Scenario) -> None:
    (plan,) = blocks(scenario)
    messages, closes, notes = run_nodes(plan)
    model = Model(make_world(squads(scenario), scenario.seed, 0, 1), 1024, 2 * MESSAGES)
    for until in np.arange(0.37, scenario.duration_s, 0.37):
        model.advance(float(until))
        list(model.take_actions())
    model.advance(scenario.duration_s)
    rows, world = model.sent.rows, model.world
    used = slice(int(rows.used[0]))
    order = np.lexsort((rows.kind[used], rows.sent_s[used], model.sent.node[used]))
    expected = np.lexsort((messages.kind, messages.sent_s, messages.node))
    assert rows.sent_s[used][order] == pytest.approx(messages.sent_s[expected])
    assert rows.arrived_s[used][order] == pytest.approx(messages.arrived_s[expected], nan_ok=True)
    assert len(closes) == world.counts[1]
    live_notes = world.notes[: world.counts[2]]
    in_order = [each[np.lexsort(each.T)] for each in (live_notes, notes)]
    assert in_order[0] == pytest.approx(in_order[1])


def test_the_truth_has_the_handshakes_that_matter(scenario: Scenario) -> None:
    (plan,) = blocks(scenario)
    _, closes, notes = run_nodes(plan)
    truth = truth_of(plan.squad, scenario.seed, range(4), closes, scenario.duration_s, notes).frame()
    happened = truth[truth.event.str.startswith(("handshake", "key"))]
    assert set(happened.event) >= {"handshake_begun", "handshake_succeeded", "key_expired"}
    for _, of_node in happened.groupby("node"):
        names = list(of_node.event)
        assert names[:2] == ["handshake_begun", "handshake_succeeded"]
        assert "key_expired" in [name for name, at in zip(names, of_node.start_s, strict=True) if 420.0 < at < 550.0]
    assert len(notes) < 100  # routine rekeys are not among them
    assert np.sum(notes[:, 1] == EXPIRED) == np.sum(truth.event == TruthEvent.KEY_EXPIRED.name.lower())


def test_a_connection_outlives_a_new_address_of_its_node() -> None:
    tables = profile().view(np.recarray)
    tables[0].tunnel.kind = WIREGUARD
    moved = Life(make_link(tables, [], 1, 0), 60.0, [(0.0, START), (4.5, REBIND)])
    assert moved.closes == []
    assert not np.isnan(moved.column("arrived_s", Kind.HEARTBEAT)[:-1]).any()


def test_routine_rekeys_and_keepalives_delay_nothing() -> None:
    changes = ["duration=1h", "group.edge.nodes=5", "group.edge.profile=lan"]
    arrived_s = []
    for tunnel in ("none", "wireguard"):
        (plan,) = blocks(load_scenario("wireguard-5g", [*changes, f"group.edge.tunnel={tunnel}"]))
        messages, _, _ = run_nodes(plan)
        arrived_s.append(messages.arrived_s[messages.kind == Kind.HEARTBEAT])
    assert arrived_s[0] == pytest.approx(arrived_s[1], nan_ok=True, abs=1e-3)
