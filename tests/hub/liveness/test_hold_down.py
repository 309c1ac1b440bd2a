"""A stale node that is heard again is online only after a while."""

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.errors import OutdatedStreamError
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.hold_down import HoldDown
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.store.record_mapping import node_of, record_of

RULE = FlapWindow(600.0, 9, 1)
THREE = HoldDown(heartbeats=3)
TEN_S = HoldDown(seconds=10.0)


def stale(hold_down: HoldDown) -> tuple[Registry, Session]:
    """A registry whose only node has been stale since 4 s."""
    registry = Registry(PolicySpec(FixedTimeout(4.0), RULE, hold_down=hold_down))
    session, _ = registry.hello(Hello("n", 2, 0), 0.0)
    registry.sweep(5.0)
    return registry, session


def beats(registry: Registry, session: Session, *times: float) -> list[tuple[float, Status, Reason]]:
    changes: list[Change] = []
    for at in times:
        changes += registry.heartbeat(session, at)
    return [(change.at_s, change.status, change.reason) for change in changes]


@pytest.mark.parametrize(
    ("hold_down", "times", "online_s"),
    [
        (HoldDown(), (8.0,), 8.0),
        (THREE, (8.0, 9.0, 9.1), 9.1),
        (TEN_S, (8.0, 11.0, 14.0, 17.9, 18.0), 18.0),
        (HoldDown(2, 3.0), (8.0, 11.0), 11.0),
    ],
)
def test_it_is_online_with_the_sign_of_life_that_is_enough(
    hold_down: HoldDown, times: tuple[float, ...], online_s: float
) -> None:
    registry, session = stale(hold_down)
    assert beats(registry, session, *times) == [(online_s, Status.ONLINE, Reason.HEARD)]
    assert [change.at_s for change in registry.sweep(99.0)] == [online_s + 4.0]


@pytest.mark.parametrize("hold_down", [THREE, TEN_S])
def test_a_silence_begins_it_anew_and_is_no_second_stale_mark(hold_down: HoldDown) -> None:
    registry, session = stale(hold_down)
    assert beats(registry, session, 8.0, 11.0, 15.1, 18.0) == []
    assert registry.flaps == 1
    assert not registry.sweep(99.0)


def test_meanwhile_it_is_stale_without_a_deadline_and_connected() -> None:
    registry, session = stale(THREE)
    beats(registry, session, 8.0, 9.0)
    node = registry.nodes["n"]
    assert (node.status, node.connected, node.heard_s, node.changed_s) == (Status.STALE, True, 9.0, 4.0)
    assert list(registry.online()) == []
    assert registry.flaps == 1


def test_every_message_counts() -> None:
    registry, _ = stale(THREE)
    assert not registry.sign_of_life("n", 2, 8.0)
    _, changes = registry.hello(Hello("n", 2, 1), 9.0)
    assert [change.reason for change in changes] == [Reason.REPLACED]
    assert [change.reason for change in registry.sign_of_life("n", 2, 10.0)] == [Reason.HEARD]


def test_an_older_stream_is_refused_while_the_newer_one_is_heard_again() -> None:
    registry, session = stale(THREE)
    beats(registry, session, 8.0)
    with pytest.raises(OutdatedStreamError):
        registry.hello(Hello("n", 1, 0), 9.0)
    registry.hello(Hello("n", 1, 0), 12.1)  # silent for longer than it may be


def test_a_goodbye_ends_it_and_a_node_that_was_offline_is_online_at_once() -> None:
    registry, session = stale(TEN_S)
    beats(registry, session, 8.0)
    assert [change.reason for change in registry.goodbye(session, 9.0)] == [Reason.GOODBYE]
    _, changes = registry.hello(Hello("n", 3, 0), 9.5)
    assert changes[0][:3] == (9.5, "n", Status.ONLINE)
    assert registry.flaps == 1


def test_a_restart_of_the_hub_begins_it_anew() -> None:
    registry, session = stale(THREE)
    beats(registry, session, 8.0, 9.0)
    clock = ManualClock(9.0, unix_offset_s=0.0)
    again = Registry(registry.policy)
    again.restore(node_of(record_of(registry.nodes["n"], clock), again, clock, grace_s=60.0))
    session, changes = again.hello(Hello("n", 2, 1), 10.0)
    assert [change.reason for change in changes] == [Reason.CONNECTED]
    assert beats(again, session, 11.0, 12.0) == [(12.0, Status.ONLINE, Reason.HEARD)]


def test_another_setting_is_used_from_the_next_sign_of_life_on() -> None:
    registry, session = stale(TEN_S)
    beats(registry, session, 8.0)
    assert not registry.adopt(PolicySpec(FixedTimeout(4.0), RULE), 9.0)
    assert beats(registry, session, 9.5) == [(9.5, Status.ONLINE, Reason.HEARD)]
