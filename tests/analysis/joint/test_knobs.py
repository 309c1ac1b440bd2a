"""Which settings are tried, and which fit together."""

import pytest

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.joint import knobs
from heartbench.analysis.joint.knobs import BLOCKS, FIELDS, Knob, NodeSetting
from heartbench.simulator.scenario import load_scenario

NOW = NodeSetting(interval_s=10.0, keepalive_s=0.0, user_timeout_s=0.0, reconnect_max_s=120.0)


def test_a_knob_that_is_not_known_is_named_with_those_that_are() -> None:
    assert knobs.parse_knobs("threshold, user-timeout") == {Knob.THRESHOLD, Knob.USER_TIMEOUT}
    for text, wrong in (("threshold,phase", "phase"), (",", "empty")):
        with pytest.raises(AnalysisError, match=f"--free: {wrong}: expected some of threshold, .*interval"):
            knobs.parse_knobs(text)


def test_pings_without_a_user_timeout_are_not_tried_because_grpc_sets_one() -> None:
    tried = set(knobs.around(NOW, BLOCKS[0], NOW, permitted_ping_s=0.0))
    assert NOW in tried
    assert all(each.user_timeout_s for each in tried if each.keepalive_s)
    assert any(each.user_timeout_s and not each.keepalive_s for each in tried)


def test_pings_that_the_server_would_answer_with_goaway_are_not_tried() -> None:
    tried = list(knobs.around(NOW, BLOCKS[0], NOW, permitted_ping_s=30.0))
    assert {each.keepalive_s for each in tried} == {0.0, 30.0, 60.0}
    assert {each.keepalive_s for each in knobs.around(NOW, BLOCKS[0], NOW, permitted_ping_s=300.0)} == {0.0}


def test_the_current_setting_is_always_tried_even_if_its_parts_do_not_fit() -> None:
    odd = NodeSetting(interval_s=10.0, keepalive_s=7.0, user_timeout_s=0.0, reconnect_max_s=120.0)
    assert odd in set(knobs.around(odd, BLOCKS[0], odd, permitted_ping_s=300.0))


def test_a_setting_changes_the_nodes_and_not_the_network() -> None:
    scenario = load_scenario("mixed-fleet")
    now = knobs.current_of(scenario)
    assert knobs.applied(scenario, now) == scenario
    changed = knobs.applied(scenario, now.turned(Knob.USER_TIMEOUT, 15.0).turned(Knob.RECONNECT, 0.5))
    assert {each.user_timeout_s for each in changed.group} == {15.0}
    assert {(each.reconnect.initial_s, each.reconnect.max_s) for each in changed.group} == {(0.5, 0.5)}
    assert [each.link for each in changed.group] == [each.link for each in scenario.group]
    assert [each.heartbeat_interval_s for each in changed.group] == [
        each.heartbeat_interval_s for each in scenario.group
    ]


def test_each_setting_is_counted_once() -> None:
    every = len(knobs.all_settings(frozenset(Knob), NOW, 0.0))
    pairs = len(set(knobs.around(NOW, BLOCKS[0], NOW, 0.0)))
    assert every == pairs * 4 * 4
    assert set(FIELDS) == {knob for block in BLOCKS for knob in block}
