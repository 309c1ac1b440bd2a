"""What else a path does: idle radios, NATs that forget, other addresses, packets that come twice or out of order."""

from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.simulator.test_link import profile
from tests.simulator.test_node import Life
from tests.simulator.test_scenario import GROUPS, load
from tests.simulator.test_stream import deliveries, ready

from heartbench.mesh.kinds import Kind
from heartbench.simulator import counter_rng
from heartbench.simulator.connection import HEARTBEAT, HEARTBEAT_BYTES, is_over
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.engines.virtual import blocks, run_nodes
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import squads
from heartbench.simulator.link import DOWN, UP, make_link, transmit
from heartbench.simulator.node import START
from heartbench.simulator.stream import advance, close, next_event, send
from heartbench.simulator.trace import TruthEvent
from heartbench.simulator.truth import truth_of

DELAY_S, RTT_S = 0.01, 0.02  # of the link below


def path(node: int = 0, **figures: float) -> Any:
    """A link of 10 ms each way that also does what `figures` say."""
    tables = profile()
    for name, value in figures.items():
        setattr(tables[0].path, name, value)
    return make_link(tables, (), 1, node)


def test_a_packet_after_silence_waits_for_the_radio_and_those_behind_it_too() -> None:
    idle = path(idle_after_s=10.0, promotion_s=0.3)
    times = (0.0, 0.1, 5.0, 15.0, 25.1, 25.2)
    waits = [transmit(idle, UP if n % 2 else DOWN, t) - t - DELAY_S for n, t in enumerate(times)]
    assert waits == pytest.approx([0.3, 0.2, 0.0, 0.0, 0.3, 0.2])  # 5.0 and 15.0 come 4.7 and 10.0 s after the last


def forgetful(resets: bool, interval_s: float = 60.0) -> Life:
    """A node that sends so rarely that the NAT has forgotten its connection meanwhile."""
    nat = path(tcp_idle_s=30.0, resets=resets)
    return Life(nat, 200.0, [(0.0, START)], heartbeat_interval_s=interval_s)


def test_a_nat_that_drops_leaves_the_node_to_its_user_timeout() -> None:
    life = forgetful(resets=False)
    assert life.closes[0] == pytest.approx(60.0 + 5.5, abs=0.2)  # counted from the first retransmission
    assert isnan(life.hub_closes[0])
    assert isnan(life.column("arrived_s", Kind.HEARTBEAT)[0])


def test_a_nat_that_resets_makes_the_node_dial_again_when_it_next_sends() -> None:
    life = forgetful(resets=True)
    assert life.closes[0] == pytest.approx(60.0 + DELAY_S)
    assert isnan(life.hub_closes[0])
    assert life.column("sent_s", Kind.HELLO)[1] == pytest.approx(60.0 + DELAY_S + 2 * RTT_S)


def test_a_node_that_sends_often_enough_keeps_its_mapping() -> None:
    life = forgetful(resets=False, interval_s=29.0)
    assert life.closes == []
    assert not np.isnan(life.column("arrived_s")).any()


def test_the_truth_has_the_nat_that_forgot(tmp_path: Path) -> None:
    figures = ["group.edge.link.nat={tcp_idle='20s'}", "group.edge.heartbeat_interval=30s", "duration=2m"]
    of = load(tmp_path, GROUPS, *figures, "group.edge.nodes=1", "group.edge.heartbeat_jitter=0")
    plan = next(iter(blocks(of)))
    messages, closes, notes = run_nodes(plan)
    truth = truth_of(plan.squad, of.seed, range(1), closes, 120.0, notes)
    hello_s = messages.sent_s[messages.kind == Kind.HELLO][0]
    (forgotten_s,) = truth.start_s[truth.event == TruthEvent.NAT_EXPIRED]
    assert forgotten_s == pytest.approx(hello_s + 20.0, abs=0.05)  # Welcome and its delayed ACK come last


def test_a_change_of_address_leaves_the_connection_half_open(tmp_path: Path) -> None:
    of = load(tmp_path, GROUPS, "group.edge.link.address_changes=60", "duration=10m")
    edge = next(squads(of))
    truth = truth_of(edge, of.seed, range(30), np.zeros((0, 3)), 600.0)
    moves = truth.start_s[(truth.event == TruthEvent.REBIND) & (truth.node == 0)]
    assert (truth.event == TruthEvent.REBIND).sum() == pytest.approx(300, abs=60)
    draws = counter_rng.key(of.seed, 0, Purpose.MOVE)
    assert np.diff(moves, prepend=0.0)[:2] == pytest.approx([60 * counter_rng.exponential(draws, n) for n in range(2)])
    life = Life(path(), 400.0, [(0.0, START)], move_mean_s=150.0)
    first_s = 150.0 * counter_rng.exponential(counter_rng.key(1, 0, Purpose.MOVE), 0)
    assert first_s + 5.0 < life.closes[0] < first_s + 7.5


def carried(on: Any, count: int = 120, step_s: float = 0.05) -> Any:
    """A connection over which so many messages were sent, and all packets have arrived."""
    made, at = ready(on)
    for n in range(count):
        advance(made, on, at + step_s * n)
        assert send(made, on, at + step_s * n, HEARTBEAT_BYTES, HEARTBEAT, n)
    advance(made, on, at + step_s * count + 60.0)
    return made


@pytest.mark.parametrize(
    "figures",
    [
        {"duplicated": 0.3},
        {"reordered": 0.3, "reorder_s": 0.12},
        {"duplicated": 1.0},
        {"reordered": 0.2, "reorder_s": 0.012, "duplicated": 0.2},
    ],
)
def test_tcp_delivers_each_message_once_and_in_order_whatever_the_path_does(figures: dict[str, float]) -> None:
    made = carried(path(0, **figures))
    tags = [int(made.up.log[i].tag) for i in range(made.up.delivered) if made.up.log[i].kind == HEARTBEAT]
    assert tags == list(range(120))
    assert deliveries(made) == sorted(deliveries(made))
    assert (made.up.snd_una, made.up.sacked_out, made.up.lost_out, made.up.retrans_out) == (made.up.snd_nxt, 0, 0, 0)


def test_duplicates_delay_nothing() -> None:
    twice, once = carried(path(duplicated=1.0)), carried(path())
    assert deliveries(twice) == pytest.approx(deliveries(once))
    assert twice.up.lost_total == 0


def test_a_reordered_packet_arrives_later_and_others_overtake_it() -> None:
    disordered = path(reordered=0.25, reorder_s=0.5)
    late = [transmit(disordered, UP, 0.01 * n) - 0.01 * n - DELAY_S for n in range(2000)]
    assert set(np.round(late, 6)) == {0.0, 0.5}
    assert np.mean(np.array(late) > 0.1) == pytest.approx(0.25, abs=0.03)


def test_a_connection_on_a_path_without_order_opens_and_ends() -> None:
    for node in range(20):
        on = path(node, reordered=0.5, reorder_s=0.2, duplicated=0.5)
        made, at = ready(on)
        send(made, on, at, HEARTBEAT_BYTES, HEARTBEAT, 0)
        close(made, on, at, 0)
        while not is_over(made):
            advance(made, on, next_event(made))
        assert len(deliveries(made)) == 1


FIGURES = [
    "nat={tcp_idle='5m', answer='reset'}",
    "radio={idle_after='11.6s', promotion='260ms'}",
    "disorder={duplicated=0.01, reordered=0.02, delay='5ms'}",
    "address_changes=0.5",
]


def test_a_profile_states_them_and_has_none_unasked(tmp_path: Path) -> None:
    changed = load(tmp_path, GROUPS, *(f"group.edge.link.{each}" for each in FIGURES))
    edge, core = squads(changed)
    tables: Any = edge.link.view(np.recarray)[0].path
    assert tables.tolist() == (300.0, True, 11.6, 0.26, 0.01, 0.02, 0.005)
    assert not any(core.link.view(np.recarray)[0].path.tolist())
    assert [squad.behaviour.view(np.recarray)[0].move_mean_s for squad in (edge, core)] == [7200.0, 0.0]
    assert load(tmp_path, changed.to_toml()) == changed


@pytest.mark.parametrize(
    ("figure", "refusal"),
    [
        ("nat={answer='reset'}", "nat.tcp_idle: is missing"),
        ("nat={tcp_idle='5m', answer='ignore'}", "nat.answer: 'ignore'"),
        ("disorder={reordered=0.1}", "reordered and delay need each other"),
        ("address_changes=0", "address_changes: 0: must be greater than 0"),
    ],
)
def test_a_path_that_cannot_be_is_refused(figure: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=refusal):
        load(tmp_path, GROUPS, f"group.edge.link.{figure}")
