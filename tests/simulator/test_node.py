"""What a node does: it says hello, keeps its schedule, comes back after an end, and is another boot after a stop."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from tests.simulator.test_link import link

from heartbench.mesh.kinds import Kind
from heartbench.simulator.connection import HUB_DOWN, HUB_RUNS, make_connection
from heartbench.simulator.link import LINK_STATE
from heartbench.simulator.node import (
    BEHAVIOUR,
    CONNECT,
    CRASH,
    EXIT,
    NOTHING,
    POWER_OFF,
    SEND_HEARTBEAT,
    START,
    Events,
    connected,
    make_node,
    next_due,
    step,
)
from heartbench.simulator.session import follow, make_rows, run


class Life:
    """A node's whole life on a link, run to its end."""

    def __init__(
        self,
        on: Any,
        until: float,
        events: list[tuple[float, int]] | None = None,
        user_timeout_s: float = 5.0,
        hub: Sequence[tuple[float, int]] = (),
        **behaviour: float,
    ) -> None:
        record = np.zeros(1, BEHAVIOUR).view(np.recarray)
        settings = {"heartbeat_interval_s": 1.0, "backoff_initial_s": 1.0, "backoff_multiplier": 2.0}
        settings["file_spread_s"] = behaviour.get("file_interval_s", 0.0)
        for name, value in {**settings, "backoff_max_s": 60.0, **behaviour}.items():
            record[name] = value
        record[0].rules.ping_timeout_s = 60.0
        record[0].rules.user_timeout_s = user_timeout_s
        record[0].rules.hub.count = len(hub)
        for n, (at_s, state) in enumerate(hub):
            record[0].rules.hub.at_s[n], record[0].rules.hub.state[n] = at_s, state
        self.node, self.rows, self.closes, self.hub_closes = make_node(record, 1, 0), make_rows(2000), [], []
        connection = make_connection(record["rules"])
        at_s, what = np.array(events or [(0.0, START)]).T
        happenings = Events(at_s.astype(float), what.astype(np.int64))
        while run(self.node, connection, on, happenings, self.rows, until) < until:
            assert self.node.ended
            copy = np.zeros(1, LINK_STATE).view(np.recarray)
            copy[0] = on
            follow(connection, copy[0], self.rows, until)
            self.closes.append(float(connection.node_closed_s))
            self.hub_closes.append(float(connection.hub_closed_s))

    def column(self, name: str, kind: Kind | None = None) -> np.ndarray:
        used = slice(int(self.rows.used[0]))
        chosen = self.rows.kind[used] == kind if kind is not None else slice(None)
        return getattr(self.rows, name)[used][chosen]


def test_a_node_steps_without_transport_or_link() -> None:
    record = np.zeros(1, BEHAVIOUR).view(np.recarray)
    record[0].heartbeat_interval_s, record[0].backoff_initial_s = 5.0, 1.0
    node = make_node(record, 1, 0)
    events = Events(np.array([0.0, 12.0]), np.array([START, CRASH]))
    intents = []
    while (now := next_due(node, events)) < inf:
        intents.append((now, step(node, events, now)))
        if intents[-1][1] == CONNECT:
            connected(node)
    assert intents == [
        (0.0, NOTHING),  # it starts
        (0.0, CONNECT),
        (5.0, SEND_HEARTBEAT),
        (10.0, SEND_HEARTBEAT),
        (12.0, POWER_OFF),
    ]


def test_a_node_says_hello_and_then_sends_its_heartbeats() -> None:
    life = Life(link(), until=10.5)
    assert list(life.column("kind")) == [Kind.HELLO, *[Kind.HEARTBEAT] * 10]
    assert list(life.column("seq")) == [0, *range(1, 11)]
    assert life.column("sent_s", Kind.HEARTBEAT) == pytest.approx(np.arange(1.0, 11.0))
    assert life.column("arrived_s", Kind.HEARTBEAT) == pytest.approx(np.arange(1.0, 11.0) + 0.01)


def test_intervals_are_uniform_within_their_jitter() -> None:
    gaps = np.diff(Life(link(), until=1000.0, heartbeat_jitter=0.1).column("sent_s", Kind.HEARTBEAT))
    assert 0.9 <= gaps.min() < 0.91
    assert 1.09 < gaps.max() <= 1.1
    assert gaps.mean() == pytest.approx(1.0, abs=0.01)


def test_after_a_stream_ends_the_node_connects_again_and_misses_the_heartbeats_between() -> None:
    life = Life(link([(10.2, 30.0)]), until=60.0)
    assert list(np.unique(life.column("connection"))) == [0, 1]
    # Given up at 16.6 s, it tries again at once; the SYN of 11 s later is lost too, that of 19 s is not.
    assert life.column("sent_s", Kind.HELLO)[1] == pytest.approx(35.6, abs=0.8)
    assert list(life.column("seq", Kind.HEARTBEAT)) == [*range(1, len(life.column("seq", Kind.HEARTBEAT)) + 1)]
    assert np.isnan(life.column("arrived_s")).sum() > 0  # they died with the first connection


def test_a_connection_that_drops_is_dialled_again_at_once() -> None:
    life = Life(link([(10.2, 17.0)]), until=60.0, backoff_initial_s=30.0)
    (closed_s,) = life.closes
    assert closed_s < 17.0 < closed_s + 1.0
    assert life.column("sent_s", Kind.HELLO)[1] == pytest.approx(closed_s + 1.0, abs=0.1)  # by its second SYN


def test_an_attempt_takes_as_long_as_its_backoff_and_at_least_20_s() -> None:
    life = Life(link([(0.0, inf)]), until=3000.0, backoff_jitter=0.2)
    from_start_to_start = np.diff([0.0, *life.closes])  # an attempt that takes so long is followed at once
    assert from_start_to_start[:5] == pytest.approx(20.0)
    assert np.all(np.abs(from_start_to_start[5] / 32.0 - 1.0) <= 0.2)
    at_cap = from_start_to_start[6:]
    assert 48.0 <= at_cap.min() < at_cap.max() <= 72.0


def test_the_backoff_runs_from_the_start_of_an_attempt_and_a_success_resets_it() -> None:
    down = [(10.0, HUB_DOWN), (45.0, HUB_RUNS), (100.0, HUB_DOWN), (102.5, HUB_RUNS)]
    life = Life(link(), until=120.0, hub=down)
    starts = np.array(life.closes) - 0.02  # each attempt is refused a round trip after its start
    assert life.closes[0] == pytest.approx(10.01)
    assert starts[1:7] == pytest.approx(10.01 + np.array([0, 1, 3, 7, 15, 31]))
    assert life.closes[7] == pytest.approx(100.01)
    assert starts[8:] == pytest.approx(100.01 + np.array([0, 1]))
    assert life.column("sent_s", Kind.HELLO) == pytest.approx([0.04, 73.05, 103.05], abs=0.01)


def test_the_kernel_gives_up_an_attempt_after_131_s_and_the_next_waits_for_the_backoff() -> None:
    life = Life(link([(0.0, inf)]), until=1000.0, backoff_initial_s=200.0, backoff_max_s=200.0)
    assert np.diff([-200.0 + 131.0, *life.closes])[1:] == pytest.approx(200.0, abs=5.0)
    assert life.closes[0] == pytest.approx(131.0, abs=5.0)  # by the granularity of its timers


def test_a_crashed_node_is_another_boot_when_it_starts_again() -> None:
    life = Life(link(), 60.0, [(0.0, START), (20.5, CRASH), (40.0, START)])
    assert list(life.column("boot", Kind.HELLO)) == [1, 2]
    sent = life.column("sent_s", Kind.HEARTBEAT)
    assert not np.any((sent > 20.5) & (sent < 40.0))
    assert list(life.column("seq", Kind.HEARTBEAT)) == [*range(1, 21), *range(1, 20)]


def test_what_an_exiting_process_wrote_still_arrives() -> None:
    life = Life(link([(20.2, 25.0)]), 60.0, [(0.0, START), (22.5, EXIT)], user_timeout_s=0.0)
    assert life.column("arrived_s", Kind.HEARTBEAT)[-1] > 25.0
    assert life.column("sent_s", Kind.HEARTBEAT)[-1] == pytest.approx(22.0)


def test_what_a_crashed_node_wrote_and_nobody_received_is_lost() -> None:
    life = Life(link([(20.2, 25.0)]), 60.0, [(0.0, START), (22.5, CRASH)])
    assert list(np.isnan(life.column("arrived_s", Kind.HEARTBEAT)[-3:])) == [False, True, True]


def test_output_made_without_a_stream_waits_for_the_next() -> None:
    life = Life(link([(0.0, 8.0)]), 20.0, chunk_interval_s=1.0, chunk_bytes=100)
    chunks = life.column("seq", Kind.CHUNK)
    assert list(chunks) == [*range(1, len(chunks) + 1)]
    assert (life.column("sent_s", Kind.CHUNK) == life.column("sent_s", Kind.HELLO)[0]).sum() >= 7


def test_a_file_goes_in_pieces_that_are_chunks_without_a_number() -> None:
    life = Life(link(), until=20.5, file_interval_s=5.0, file_bytes=150_000, chunk_interval_s=0.7, chunk_bytes=100)
    is_piece = (life.column("kind") == Kind.CHUNK) & (life.column("seq") == 0)
    sent, arrived = life.column("sent_s")[is_piece].reshape(-1, 3), life.column("arrived_s")[is_piece]
    assert len(sent) == 4
    assert np.all(sent == sent[:, :1])
    assert np.diff(sent[:, 0]) == pytest.approx(5.0)
    assert np.all(np.diff(arrived) >= 0)
    assert arrived[2] > arrived[0]  # a window does not take it at once
    numbered = life.column("seq", Kind.CHUNK)
    assert list(numbered[numbered > 0]) == [*range(1, (numbered > 0).sum() + 1)]
    assert list(life.column("seq", Kind.HEARTBEAT)) == [*range(1, 21)]


def test_of_the_files_that_fall_due_without_a_stream_one_waits_for_it() -> None:
    life = Life(link([(0.0, 8.0)]), 20.0, file_interval_s=2.0, file_bytes=65_536)
    hello_s, sent_s = life.column("sent_s", Kind.HELLO)[0], life.column("sent_s", Kind.CHUNK)
    assert hello_s > 8.0
    assert sent_s[0] == hello_s
    assert 0.0 < sent_s[1] - sent_s[0] <= 2.0
    assert np.diff(sent_s[1:]) == pytest.approx(2.0)
