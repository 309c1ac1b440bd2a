"""Order, bounds, and the truth about what was lost."""

from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.events.fanout import Event, EventFanout, EventsLost, Subscription
from heartbench.hub.liveness.rules import Change, Reason, Status


def a_change(node_id: str = "n") -> Change:
    return Change(0.0, node_id, Status.ONLINE, True, False, Reason.REGISTERED)


def take_all(waiting: Subscription) -> list[Event]:
    return list(iter(waiting.take, None))


@given(st.lists(st.sampled_from(["publish", "fast", "slow"]), max_size=80), st.integers(1, 5))
def test_each_event_is_delivered_in_order_or_told_as_lost(steps: list[str], limit: int) -> None:
    bus = EventFanout(limit)
    with bus.subscribe() as fast, bus.subscribe() as slow:
        got: dict[str, list[Event]] = {"fast": [], "slow": []}
        for step in steps:
            if step == "publish":
                bus.publish(0.0, a_change())
                got["fast"] += take_all(fast)
            elif step == "slow" and (event := slow.take()):
                got["slow"].append(event)
            assert len(slow) <= limit
        got["slow"] += take_all(slow)
    assert [event.seq for event in got["fast"]] == list(range(1, bus.seq + 1))
    next_seq = 1
    for event in got["slow"]:
        if isinstance(event.body, EventsLost):
            next_seq += event.body.count
            assert event.seq == next_seq - 1
        else:
            assert event.seq == next_seq
            next_seq += 1
    assert next_seq == bus.seq + 1
    assert bus.lost == slow.lost


def test_a_subscriber_to_one_node_hears_of_no_other() -> None:
    bus = EventFanout(10)
    with bus.subscribe("a") as waiting:
        for name in "abab":
            bus.publish(0.0, a_change(name))
        assert [event.seq for event in take_all(waiting)] == [1, 3]


def test_it_wakes_a_subscriber_once_for_a_queue_that_was_empty() -> None:
    bus, woken = EventFanout(10), []
    with bus.subscribe(wake=lambda: woken.append(1)) as waiting:
        bus.publish(0.0, a_change())
        bus.publish(0.0, a_change())
        take_all(waiting)
        bus.publish(0.0, a_change())
    assert len(woken) == 2


def test_who_left_is_not_kept() -> None:
    bus = EventFanout(10)
    with bus.subscribe():
        assert len(bus) == 1
    bus.publish(0.0, a_change())
    assert len(bus) == 0
