"""The flap rules by hand; that they are computed right on any trace is held against another form of them."""

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.flap_rules import FlapDecay, FlapRule, FlapWindow, Times, WeightedShare
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.record_mapping import node_of, record_of

SHARE = WeightedShare(low=10.0, high=17.0, check_s=10.0)
DECAY = FlapDecay(penalty=1000.0, half_life_s=100.0, suppress=2000.0, reuse=500.0, max_s=300.0)
WINDOW = FlapWindow(window_s=60.0, threshold=3, exit_below=1)


def after(rule: FlapRule, *flaps_s: float) -> Times:
    times: Times = ()
    for at in flaps_s:
        times = rule.add(times, at)
    return times


def test_nagios_share_weighs_the_newest_change_by_1_2_and_each_older_one_less() -> None:
    # After three changes in a row: (1.2 + (1.2 - 0.4 / 19) + (1.2 - 0.8 / 19)) / 20 = 17.68%.
    assert not SHARE.enters(after(SHARE, 0.0, 5.0), 5.0)
    assert SHARE.enters(after(SHARE, 0.0, 5.0, 9.0), 9.0)
    assert not WeightedShare(10.0, 17.69, 10.0).enters(after(SHARE, 0.0, 5.0, 9.0), 9.0)


def test_a_change_counts_for_twenty_checks_and_the_mark_ends_with_the_check_that_drops_enough() -> None:
    times = after(SHARE, 0.0, 5.0, 9.0)
    # The oldest of the three leaves 18 checks after the newest, and the two that stay are under 10%.
    assert SHARE.leaves_at(times) == 9.0 + 18 * 10.0
    assert [SHARE.counted(times, at) for at in (9.0, 188.9, 189.0, 209.0)] == [3, 3, 2, 0]


def test_checks_between_two_flaps_are_those_that_say_the_same() -> None:
    assert after(SHARE, 0.0, 205.0) == (205.0,)  # 20 checks lie between
    assert after(SHARE, 0.0, 189.0) == (0.0, 189.0)


def test_the_penalty_halves_in_a_half_life_and_the_mark_ends_when_it_has_come_down() -> None:
    assert not DECAY.enters(after(DECAY, 0.0, 0.0), 0.0)  # 2000 is not above it
    times = after(DECAY, 0.0, 100.0, 100.0)  # 500 + 1000 + 1000
    assert DECAY.enters(times, 100.0)
    assert DECAY.leaves_at(times) == pytest.approx(100.0 + 100.0 * 2.321928)  # log2(2500 / 500)
    assert DECAY.counted(times, 200.0) == 1


def test_no_mark_stays_for_longer_than_the_longest_time() -> None:
    assert DECAY.leaves_at(after(DECAY, *[7.0] * 50)) == pytest.approx(7.0 + 300.0)


@pytest.mark.parametrize("rule", [WINDOW, SHARE, DECAY])
def test_a_mark_is_removed_by_the_next_sweep_at_its_exact_time(rule: FlapRule) -> None:
    registry = Registry(PolicySpec(FixedTimeout(4.0), rule))
    session, changes = registry.hello(Hello("n", 1, 0), 0.0)
    said: list[Change] = list(changes)
    for at in (5.0, 10.0, 15.0):
        said += registry.heartbeat(session, at)
    said += registry.goodbye(session, 16.0)
    assert registry.flapping == 1
    until = rule.leaves_at(registry.nodes["n"].flaps)
    assert not registry.sweep(until - 0.1)
    assert [(each.at_s, each.reason) for each in registry.sweep(until + 0.1)] == [(until, Reason.FLAPS_EXIT)]
    assert [each.reason for each in said].count(Reason.FLAPS_ENTRY) == 1


@pytest.mark.parametrize("rule", [WINDOW, SHARE, DECAY])
def test_what_a_rule_remembers_survives_a_restart_of_the_hub_and_not_a_change_of_the_rule(rule: FlapRule) -> None:
    registry, clock = Registry(PolicySpec(FixedTimeout(4.0), rule)), ManualClock(16.0)
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    for at in (5.0, 10.0, 15.0):
        registry.heartbeat(session, at)
    stored = NodeRecord.from_json(record_of(registry.nodes["n"], clock).to_json())
    later = ManualClock(3.0, unix_offset_s=clock.unix(16.0) - 3.0)
    for next_rule, flapping in [(rule, True), (FlapWindow(9e9, 2, 1) if rule != WINDOW else DECAY, False)]:
        again = Registry(PolicySpec(FixedTimeout(4.0), next_rule))
        node = node_of(stored, again, later, grace_s=10.0)
        again.restore(node)
        assert node.flapping is flapping
        if flapping:
            assert rule.leaves_at(node.flaps) == pytest.approx(rule.leaves_at(registry.nodes["n"].flaps) - 13.0)


def test_a_rule_of_another_kind_begins_without_marks() -> None:
    registry = Registry(PolicySpec(FixedTimeout(4.0), WINDOW))
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    registry.heartbeat(session, 5.0)
    registry.heartbeat(session, 10.0)
    changes = registry.adopt(PolicySpec(FixedTimeout(4.0), DECAY), 11.0)
    assert [(change.at_s, change.reason) for change in changes] == [(11.0, Reason.FLAPS_EXIT)]
    assert registry.nodes["n"].flaps == ()


def test_a_penalty_outlives_other_numbers_and_a_mark_their_longest_time_at_most() -> None:
    registry = Registry(PolicySpec(FixedTimeout(4.0), FlapDecay(1000.0, 900.0, 2000.0, 500.0, 3600.0)))
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    for at in (5.0, 10.0, 15.0):
        registry.heartbeat(session, at)
    registry.adopt(PolicySpec(FixedTimeout(4.0), FlapDecay(1000.0, 1.0, 2000.0, 500.0, 60.0)), 16.0)
    assert registry.nodes["n"].flapping
    registry.heartbeat(session, 30.0)
    assert [(each.at_s, each.reason) for each in registry.goodbye(session, 31.0)] == [(31.0, Reason.GOODBYE)]
    assert [each.reason for each in registry.sweep(100.0)] == [Reason.FLAPS_EXIT]


def test_a_record_from_before_other_rules_is_of_a_window() -> None:
    record = NodeRecord.from_json(
        '{"node_id":"n","status":"online","reason":"heard","flaps_unix_s":[1.0,2.0],"flapping":true}'
    )
    clock = ManualClock(10.0, unix_offset_s=0.0)
    node = node_of(record, Registry(PolicySpec(FixedTimeout(4.0), WINDOW)), clock, 10.0)
    assert (record.flap_rule, node.flaps, node.flapping) == ("window", (1.0, 2.0), True)


def test_a_wall_clock_that_was_set_back_keeps_no_mark_for_ever() -> None:
    assert WINDOW.restored((5.0, 900.0), 10.0) == (5.0, 10.0)
    assert DECAY.restored((900.0,), 10.0) == (310.0,)
