"""What the hub makes of time: pauses, mass silence, restarts, storms. No I/O, and only the time that is told."""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import NoRoomError, NotIntroducedError, UnknownNodeError
from heartbench.hub.events.fanout import Event, Forgotten, NameContested
from heartbench.hub.liveness.mass_silence import MassSilenceBegan, MassSilenceEnded
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.liveness.self_health import CATCH_UP_S, TICK_S, Paused
from heartbench.hub.liveness.takeovers import MOST, WINDOW_S
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import StoredNode
from heartbench.hub.store.record_mapping import record_of

STALE_AFTER_S = 30.0
INTERVAL_S = 10.0


class Fleet:
    """A hub and nodes that send a heartbeat every INTERVAL_S, each at its own phase, while they are not silenced."""

    def __init__(self, nodes: int, **settings: object) -> None:
        self.clock = ManualClock(1000.0)
        self.hub = open_hub(HubSettings.of(**settings), self.clock, seed=1)
        self.sessions: dict[str, Session] = {}
        self.silenced: set[str] = set()
        self.next_s: dict[str, float] = {}
        with self.hub.fanout.subscribe() as self._events:
            pass
        self.hub.fanout._subscriptions.add(self._events)
        for number in range(nodes):
            self.connect(f"n{number}", phase_s=number * INTERVAL_S / nodes)

    def connect(self, name: str, connection: int = 0, phase_s: float = 0.0, peer: str = "") -> None:
        session, _ = self.hub.hello(Hello(name, 1, connection, INTERVAL_S, peer=peer), self.clock.now_s)
        assert session is not None
        self.sessions[name] = session
        self.next_s[name] = self.clock.now_s + phase_s

    def run(self, seconds: float) -> list[object]:
        """Advance the clock tick by tick; return what was published meanwhile."""
        for _ in range(ceil(seconds / TICK_S)):
            self.clock.now_s += TICK_S
            for name, due_s in self.next_s.items():
                if due_s <= self.clock.now_s:
                    self.next_s[name] = due_s + INTERVAL_S
                    if name not in self.silenced:
                        self.hub.heartbeat(self.sessions[name], self.clock.now_s, 1, 0.0)
            self.hub.tick(self.clock.now_s)
        return self.said()

    def stop(self, seconds: float) -> None:
        """Nobody runs the hub for a while; what the nodes sent meanwhile waits for it, in its sockets."""
        self.clock.now_s += seconds
        for name, due_s in self.next_s.items():
            while self.next_s[name] <= self.clock.now_s:
                self.next_s[name] += INTERVAL_S
            if due_s <= self.clock.now_s and name not in self.silenced:
                self.hub.heartbeat(self.sessions[name], self.clock.now_s, 1, 0.0)

    def said(self) -> list[object]:
        return [event.body for event in iter(self._events.take, None) if isinstance(event, Event)]

    def statuses(self, *names: str) -> set[Status]:
        return {self.hub.registry.nodes[name].status for name in names or self.sessions}


def changes(said: Iterable[object], reason: Reason) -> list[Change]:
    return [body for body in said if isinstance(body, Change) and body.reason is reason]


def of_kind(said: Iterable[object], kind: type) -> list[object]:
    return [body for body in said if isinstance(body, kind)]


def test_a_healthy_fleet_is_left_alone() -> None:
    fleet = Fleet(20)
    fleet.run(1.0)
    assert fleet.run(120.0) == []


@pytest.mark.parametrize("pause_s", [0.7, 20.0, 45.0, 3600.0])
def test_a_paused_hub_calls_nobody_stale(pause_s: float) -> None:
    fleet = Fleet(20)
    fleet.run(35.0)
    fleet.said()
    fleet.stop(pause_s)
    said = fleet.run(60.0)
    assert fleet.statuses() == {Status.ONLINE}
    assert [body for body in said if not isinstance(body, Paused)] == []
    assert sum(body.lasted_s for body in said if isinstance(body, Paused)) == pytest.approx(pause_s, abs=TICK_S + 0.01)


def test_a_paused_hub_whose_pulse_comes_first_calls_nobody_stale_either() -> None:
    fleet = Fleet(20)
    fleet.run(35.0)
    fleet.clock.now_s += 45.0
    fleet.hub.tick(fleet.clock.now_s)
    fleet.next_s = dict.fromkeys(fleet.next_s, fleet.clock.now_s + CATCH_UP_S - 2 * TICK_S)
    assert changes(fleet.run(20.0), Reason.SILENCE) == []


def test_who_died_in_the_pause_is_stale_within_its_threshold_and_two_seconds_after_it() -> None:
    fleet = Fleet(20)
    fleet.run(35.0)
    fleet.silenced = {"n3"}
    fleet.stop(45.0)
    awake_s = fleet.clock.now_s
    (stale,) = changes(fleet.run(60.0), Reason.SILENCE)
    assert stale.node_id == "n3"
    assert awake_s < stale.at_s <= awake_s + STALE_AFTER_S + 2


def test_a_pulse_that_is_a_little_late_moves_nothing() -> None:
    fleet = Fleet(3)
    fleet.said()
    fleet.clock.now_s += TICK_S + 0.45
    fleet.hub.tick(fleet.clock.now_s)
    assert fleet.said() == []


def test_an_own_network_that_is_cut_is_one_mass_silence_and_no_flap() -> None:
    fleet = Fleet(100)
    fleet.run(35.0)
    fleet.said()
    fleet.silenced = set(fleet.sessions)
    said = fleet.run(120.0)
    fleet.silenced = set()
    said += fleet.run(60.0)
    (began,), (ended,) = of_kind(said, MassSilenceBegan), of_kind(said, MassSilenceEnded)
    assert isinstance(began, MassSilenceBegan)
    assert isinstance(ended, MassSilenceEnded)
    assert began.online == 100
    assert not ended.gave_up
    assert ended.heard_again >= 90
    assert fleet.hub.registry.flaps == 0
    assert len(said) == 2


def test_nodes_that_return_by_new_streams_end_it_too() -> None:
    fleet = Fleet(30)
    fleet.run(35.0)
    fleet.said()
    for name in fleet.sessions:
        fleet.hub.closed(fleet.sessions[name], fleet.clock.now_s)
    fleet.silenced = set(fleet.sessions)
    said = fleet.run(120.0)
    fleet.silenced = set()
    for name in list(fleet.sessions):
        fleet.connect(name, connection=1)
        said += fleet.run(0.3)
    said += fleet.run(60.0)
    assert len(of_kind(said, MassSilenceBegan)) == len(of_kind(said, MassSilenceEnded)) == 1
    assert fleet.hub.registry.flaps == 0


@pytest.mark.parametrize("cut", [1, 30, 50])
def test_fewer_are_judged_as_before_and_only_they(cut: int) -> None:
    fleet = Fleet(100)
    fleet.run(35.0)
    fleet.said()
    fleet.silenced = {f"n{number}" for number in range(cut)}
    said = fleet.run(120.0)
    assert {change.node_id for change in changes(said, Reason.SILENCE)} == fleet.silenced
    assert of_kind(said, MassSilenceBegan) == []


def test_nodes_are_not_counted_again_while_too_few_can_be_silent() -> None:
    fleet = Fleet(100)
    fleet.run(35.0)
    fleet.silenced = {f"n{number}" for number in range(30)}
    counts: list[float] = []
    count = fleet.hub.mass_silence._count

    def noted(now: float) -> Any:
        counts.append(now)
        return count(now)

    fleet.hub.mass_silence._count = noted  # type: ignore[method-assign]
    fleet.run(60.0)
    assert fleet.hub.registry.flaps == 30
    assert len(counts) < 15


def test_two_of_two_prove_little() -> None:
    fleet = Fleet(2)
    fleet.silenced = {"n0", "n1"}
    assert len(changes(fleet.run(60.0), Reason.SILENCE)) == 2


def test_mass_silence_can_be_switched_off() -> None:
    fleet = Fleet(20, mass_silence_fraction=0)
    fleet.silenced = set(fleet.sessions)
    assert len(changes(fleet.run(60.0), Reason.SILENCE)) == 20


def test_who_does_not_return_gets_a_fresh_threshold_and_is_judged() -> None:
    fleet = Fleet(100)
    fleet.run(35.0)
    fleet.silenced = set(fleet.sessions)
    fleet.run(60.0)
    fleet.silenced = {"n7"}
    said = fleet.run(60.0)
    (stale,) = changes(said, Reason.SILENCE)
    assert stale.node_id == "n7"
    assert fleet.hub.mass_silence.open is None


def test_a_suspicion_is_given_up_after_its_greatest_length() -> None:
    fleet = Fleet(20, mass_silence_max_s=100.0)
    fleet.run(35.0)
    fleet.said()
    fleet.silenced = set(fleet.sessions)
    said = fleet.run(200.0)
    (began,), (ended,) = of_kind(said, MassSilenceBegan), of_kind(said, MassSilenceEnded)
    assert isinstance(ended, MassSilenceEnded)
    assert ended.gave_up
    assert began
    assert len(changes(said, Reason.SILENCE)) == 20


def test_a_node_heard_in_a_mass_silence_is_not_judged_before_its_end() -> None:
    fleet = Fleet(100)
    fleet.run(35.0)
    fleet.silenced = set(fleet.sessions)
    fleet.run(45.0)
    assert fleet.hub.mass_silence.open is not None
    fleet.hub.heartbeat(fleet.sessions["n5"], fleet.clock.now_s, 1, 0.0)
    fleet.said()
    assert fleet.run(60.0) == []
    assert fleet.statuses("n5") == {Status.ONLINE}


def test_nodes_that_one_peer_invents_hide_no_death() -> None:
    fleet = Fleet(0)
    for number in range(8):
        fleet.connect(f"true {number}", phase_s=number, peer=f"10.0.0.{number}")
    for number in range(10):
        fleet.connect(f"invented {number}", phase_s=number, peer="10.9.9.9")
    fleet.run(60.0)
    invented = {name for name in fleet.sessions if name.startswith("invented")}
    fleet.silenced = invented | {"true 3"}
    said = fleet.run(45.0)
    assert of_kind(said, MassSilenceBegan) == []
    assert {change.node_id for change in changes(said, Reason.SILENCE)} == fleet.silenced


def test_nodes_that_only_say_hello_do_not_count() -> None:
    fleet = Fleet(8)
    fleet.run(60.0)
    fleet.silenced = {"n3"}
    for number in range(100):
        fleet.connect(f"invented {number}")
        fleet.silenced.add(f"invented {number}")
    said = fleet.run(45.0)
    assert of_kind(said, MassSilenceBegan) == []
    assert fleet.statuses(*(f"n{number}" for number in range(8) if number != 3)) == {Status.ONLINE}
    assert fleet.statuses(*fleet.silenced) == {Status.STALE}


def test_nodes_behind_one_address_can_be_silent_together() -> None:
    fleet = Fleet(0)
    for number in range(20):
        fleet.connect(f"n{number}", phase_s=number / 2, peer="10.0.0.1")
    fleet.run(60.0)
    fleet.silenced = set(fleet.sessions)
    assert len(of_kind(fleet.run(60.0), MassSilenceBegan)) == 1


def test_a_silence_is_excused_once_however_often_the_others_fall_silent() -> None:
    fleet = Fleet(20)
    fleet.run(60.0)
    others = set(fleet.sessions) - {"n3"}
    said: list[object] = []
    died_s = fleet.clock.now_s
    for _ in range(3):
        fleet.silenced = {"n3", *others}
        said += fleet.run(32.0)
        fleet.silenced = {"n3"}
        said += fleet.run(11.0)
    (stale,) = changes(said, Reason.SILENCE)
    assert (stale.node_id, len(of_kind(said, MassSilenceBegan))) == ("n3", 3)
    assert stale.at_s < died_s + 45.0 + STALE_AFTER_S


def test_a_forgotten_node_holds_no_mass_silence_open() -> None:
    fleet = Fleet(20)
    fleet.run(60.0)
    fleet.silenced = set(fleet.sessions)
    fleet.run(45.0)
    for name in list(fleet.sessions)[:18]:
        fleet.hub.forget(name, fleet.clock.now_s)
        del fleet.next_s[name]
    assert len(of_kind(fleet.run(1.0), MassSilenceEnded)) == 1


@given(st.lists(st.tuples(st.sampled_from(["run", "cut", "heal", "stop", "part"]), st.integers(1, 60)), max_size=12))
def test_whatever_happens_nobody_is_stale_who_was_heard_within_the_threshold(steps: list[tuple[str, int]]) -> None:
    fleet = Fleet(10)
    for verb, number in steps:
        if verb == "cut":
            fleet.silenced = set(fleet.sessions)
        elif verb == "part":
            fleet.silenced = {f"n{index}" for index in range(number % 10)}
        elif verb == "heal":
            fleet.silenced = set()
        elif verb == "stop":
            fleet.stop(number)
        else:
            fleet.run(number / 4)
        now = fleet.clock.now_s
        for node in fleet.hub.registry.nodes.values():
            assert node.status is Status.ONLINE or now - node.heard_s > STALE_AFTER_S


class Kept(MemoryStore):
    """A store that held something."""

    def __init__(self, *nodes: StoredNode) -> None:
        super().__init__(9.0)
        self.nodes = nodes

    def load(self) -> Iterator[StoredNode]:
        return iter(self.nodes)


def restarted(fleet: Fleet, away_s: float, **settings: object) -> Fleet:
    """The same nodes and a new process of the hub, which kept what the old one knew."""
    chunk = StoredChunk(1, 1, 0.0, b"text")
    nodes = fleet.hub.registry.nodes.values()
    stored = [StoredNode(node.node_id, record_of(node, fleet.clock), (chunk,), (1, 1)) for node in nodes]
    fleet.clock.now_s += away_s
    fleet.clock.unix_offset_s += 5000  # another process, and perhaps another machine: another monotonic clock
    fleet.clock.now_s -= 5000
    fleet.next_s = {name: due_s - 5000 for name, due_s in fleet.next_s.items()}
    again = Fleet(0, **settings)
    again.hub = open_hub(HubSettings.of(**settings), fleet.clock, Kept(*stored))
    again.hub.fanout._subscriptions.add(again._events)
    again.clock, again.sessions, again.next_s = fleet.clock, {}, {}
    return again


def test_a_restarted_hub_gives_every_known_node_its_grace() -> None:
    fleet = Fleet(10)
    fleet.run(35.0)
    again = restarted(fleet, away_s=600.0)
    assert {node.status for node in again.hub.registry.nodes.values()} == {Status.ONLINE}
    assert not any(node.connected for node in again.hub.registry.nodes.values())
    for number in range(10):
        again.connect(f"n{number}", connection=1)
    said = again.run(60.0)
    assert {body.reason for body in said if isinstance(body, Change)} == {Reason.CONNECTED}
    assert again.hub.registry.flaps == 0


def test_who_does_not_return_after_a_restart_is_stale_after_the_grace() -> None:
    fleet = Fleet(10)
    fleet.run(35.0)
    again = restarted(fleet, away_s=3.0, restart_grace_s=60.0)
    began_s = again.clock.now_s
    for number in range(9):
        again.connect(f"n{number}", connection=1)
    (stale,) = changes(again.run(90.0), Reason.SILENCE)
    assert stale.node_id == "n9"
    assert stale.at_s == pytest.approx(began_s + 60.0)


def test_a_killed_hub_that_comes_back_before_its_network_calls_nobody_stale() -> None:
    fleet = Fleet(10)
    for number in range(10):
        fleet.hub.closed(fleet.sessions[f"n{number}"], fleet.clock.now_s)
        fleet.connect(f"n{number}", connection=1)  # the last change, and so the last record, of a node that beats on
    again = restarted(fleet, away_s=600.0, restart_grace_s=60.0)
    again.silenced = set(again.next_s)
    said = again.run(90.0)
    assert len(of_kind(said, MassSilenceBegan)) == 1
    assert changes(said, Reason.SILENCE) == []


def test_a_restarted_hub_knows_histories_sessions_and_flaps_before_any_node_is_back() -> None:
    fleet = Fleet(4)
    fleet.silenced = {"n0"}
    fleet.run(35.0)
    fleet.hub.goodbye(fleet.sessions["n1"], fleet.clock.now_s)
    again = restarted(fleet, away_s=3.0)
    nodes = again.hub.registry.nodes
    assert (nodes["n0"].status, nodes["n1"].status) == (Status.STALE, Status.OFFLINE)
    assert again.hub.registry.flaps_of(nodes["n0"], again.clock.now_s) == 1
    assert [chunk.data for chunk in again.hub.history("n2")] == [b"text"]
    assert nodes["n2"].usual_gap_s == INTERVAL_S


def test_a_storm_is_let_in_at_the_rate_and_waiting_outside_is_a_sign_of_life() -> None:
    fleet = Fleet(0, admit_per_s=10)
    for number in range(10):
        fleet.connect(f"n{number}")
    for name in fleet.sessions:
        fleet.hub.closed(fleet.sessions[name], fleet.clock.now_s)
    heard_s = fleet.clock.now_s + 25.0
    fleet.clock.now_s = heard_s
    fleet.hub.tick(fleet.clock.now_s)
    admitted = []
    for number in range(30):
        session, retry_after_s = fleet.hub.hello(Hello(f"n{number % 10}", 1, 1 + number), fleet.clock.now_s)
        admitted.append(session is not None)
        assert (retry_after_s == 0) == (session is not None)
    assert admitted == [True] * 10 + [False] * 20
    assert {node.heard_s for node in fleet.hub.registry.nodes.values()} == {heard_s}


def test_a_flood_of_hellos_from_one_peer_makes_no_node_of_another_wait() -> None:
    fleet = Fleet(0, admit_per_s=100)
    refused = 0
    for number in range(4000):  # 2,000 per second
        fleet.clock.now_s += 0.0005
        flood = Hello(f"flood {number % 50}", 1, number, peer="10.9.9.9")
        refused += fleet.hub.hello(flood, fleet.clock.now_s)[0] is None
        if number % 100 == 99:
            fleet.hub.tick(fleet.clock.now_s)
            fleet.connect(f"n{number}", peer=f"10.0.0.{number // 100}")  # admitted, or it fails
    assert refused > 3000


def test_a_hub_that_is_full_refuses_who_is_new() -> None:
    fleet = Fleet(2, max_nodes=2)
    with pytest.raises(NoRoomError, match="HUB_MAX_NODES"):
        fleet.hub.hello(Hello("one more", 1, 0), fleet.clock.now_s)
    fleet.connect("n0", connection=1)


def test_one_peer_makes_no_more_nodes_known_than_its_share() -> None:
    fleet = Fleet(0, max_nodes=4)
    for name in ("a", "b"):
        fleet.hub.hello(Hello(name, 1, 0, peer="10.0.0.1"), fleet.clock.now_s)
    with pytest.raises(NoRoomError, match=r"10\.0\.0\.1 has 2 of at most 4 known nodes; HUB_PEER_SHARE"):
        fleet.hub.hello(Hello("c", 1, 0, peer="10.0.0.1"), fleet.clock.now_s)
    fleet.hub.hello(Hello("a", 1, 1, peer="10.0.0.2"), fleet.clock.now_s)  # it has moved
    fleet.hub.hello(Hello("c", 1, 0, peer="10.0.0.1"), fleet.clock.now_s)
    fleet.hub.forget("b", fleet.clock.now_s)
    fleet.hub.hello(Hello("d", 1, 0, peer="10.0.0.1"), fleet.clock.now_s)


def test_a_name_with_two_nodes_is_shown_and_said_once_until_one_of_them_is_gone() -> None:
    fleet = Fleet(1)
    fleet.run(1.0)
    for number in range(1, 40):
        hello = Hello("n0", 1, number, address=f"10.0.0.{number % 2}:40000")
        fleet.hub.hello(hello, fleet.clock.now_s)
    said = of_kind(fleet.said(), NameContested)
    assert said == [NameContested("n0", "10.0.0.0:40000", "10.0.0.1:40000")]
    assert fleet.hub.takeovers.contested == {"n0"}
    assert fleet.hub.throttled == 39 - MOST
    fleet.silenced = set()
    assert of_kind(fleet.run(WINDOW_S + 1.0), NameContested) == [NameContested("n0", over=True)]
    assert not fleet.hub.takeovers.contested


def test_a_forgotten_node_is_gone_and_says_so() -> None:
    fleet = Fleet(2)
    fleet.said()
    fleet.hub.forget("n0", fleet.clock.now_s)
    assert fleet.said() == [Forgotten("n0")]
    with pytest.raises(UnknownNodeError, match="'n0'"):
        fleet.hub.node("n0")
    with pytest.raises(NotIntroducedError):
        fleet.hub.sign_of_life("n0", 1, fleet.clock.now_s)


def test_who_was_silent_for_long_is_old() -> None:
    fleet = Fleet(5, forget_after="1h")
    fleet.silenced = {"n3"}
    fleet.run(60.0)
    assert fleet.hub.expired_nodes(fleet.clock.now_s) == []
    fleet.stop(3600.0)
    assert fleet.hub.expired_nodes(fleet.clock.now_s) == ["n3"]
    assert Fleet(1).hub.expired_nodes(fleet.clock.now_s) == []
