"""WireGuard's rules: keys, handshakes and timers, at both ends of a node's tunnel."""

from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.tunnel.tunnelled import RTT_S, notes, passage, run_tunnel, tunnelled

from heartbench.simulator.link import DOWN, UP
from heartbench.simulator.tunnel.handshake import (
    REJECT_AFTER_S,
    REKEY_AFTER_S,
    REKEY_JITTER_S,
    REKEY_TIMEOUT_S,
    respond,
)
from heartbench.simulator.tunnel.wireguard import (
    KEEPALIVE_S,
    UNANSWERED_S,
    lose_power,
    move,
    receive,
    resume,
    step,
    transmit_data,
)
from heartbench.simulator.tunnel_state import BEGUN, BORINGTUN, EXPIRED, GIVEN_UP, NO_TUNNEL, SUCCEEDED, WIREGUARD

RETRY_S = REKEY_TIMEOUT_S + REKEY_JITTER_S


def open_tunnel(**fields: Any) -> Any:
    """Return a tunnel of which both ends use the key that the node asked for at 0."""
    on = tunnelled(**fields)
    assert transmit_data(on, UP, 0.0) == inf
    run_tunnel(on, 1.0)
    assert key_of(on, UP) == key_of(on, DOWN) == 1
    return on


def key_of(on: Any, who: int) -> int:
    return int(on.tunnel.ends[who].current)


def say(on: Any, who: int, at: float) -> bool:
    """Send data and let it arrive; return whether the other end accepts it."""
    run_tunnel(on, at)
    number, arrives = key_of(on, who), transmit_data(on, who, at)
    if not arrives < inf:
        return False
    run_tunnel(on, arrives)
    return bool(receive(on, 1 - who, number, True, arrives))


def test_without_a_key_a_packet_waits_and_the_handshake_takes_a_round_trip() -> None:
    on = tunnelled()
    assert transmit_data(on, UP, 3.0) == inf
    assert run_tunnel(on, 4.0)[:2] == pytest.approx([3.0 + RTT_S / 2, 3.0 + RTT_S])
    assert [what for what, _ in notes(on)] == [BEGUN, SUCCEEDED]
    assert [at for _, at in notes(on)] == pytest.approx([3.0, 3.0 + RTT_S])


def test_the_responder_uses_a_new_key_only_when_the_initiator_has_shown_it() -> None:
    on = tunnelled()
    transmit_data(on, UP, 0.0)
    step(on, on.tunnel.next_s)
    assert key_of(on, DOWN) == 0
    assert transmit_data(on, DOWN, 0.015) == inf
    run_tunnel(on, 1.0)
    assert key_of(on, DOWN) == 1
    assert transmit_data(on, DOWN, 1.0) == pytest.approx(1.0 + RTT_S / 2)


def test_the_initiator_rekeys_when_it_sends_after_120_seconds() -> None:
    on = open_tunnel()
    for at in (60.0, RTT_S + REKEY_AFTER_S - 0.01):
        say(on, UP, at)
        assert run_tunnel(on, at + 1.0) is not None
        assert key_of(on, UP) == 1
    say(on, UP, RTT_S + REKEY_AFTER_S + 0.01)
    run_tunnel(on, 125.0)
    assert key_of(on, UP) == key_of(on, DOWN) == 2
    assert notes(on)[2:] == []  # nothing waited for it


def test_the_responder_does_not_rekey_and_the_initiator_does_at_165_seconds_if_it_only_receives() -> None:
    on = open_tunnel()
    for at, numbers in ((163.0, 1), (164.9, 1), (165.1, 2)):
        run_tunnel(on, at)
        arrives = transmit_data(on, DOWN, at)
        assert receive(on, UP, 1, True, arrives)
        assert on.tunnel.numbers == numbers


@pytest.mark.parametrize("who", [UP, DOWN])
def test_a_key_serves_for_180_seconds(who: int) -> None:
    on = open_tunnel()
    made_s = float(on.tunnel.ends[who].current_s)
    assert transmit_data(on, who, made_s + REJECT_AFTER_S - 0.001) < inf
    assert transmit_data(on, who, made_s + REJECT_AFTER_S) == inf


def test_a_packet_that_arrives_with_an_expired_or_unknown_key_is_dropped() -> None:
    on = open_tunnel()
    made_s = float(on.tunnel.ends[DOWN].current_s)
    assert not receive(on, DOWN, 7, True, 10.0)
    assert receive(on, DOWN, 1, True, made_s + REJECT_AFTER_S)
    assert not receive(on, DOWN, 1, True, made_s + REJECT_AFTER_S + 0.001)


def test_the_previous_key_still_opens_what_was_sent_with_it() -> None:
    on = open_tunnel()
    say(on, UP, 121.0)
    run_tunnel(on, 122.0)
    assert key_of(on, DOWN) == 2
    assert receive(on, DOWN, 1, True, 122.0)
    assert receive(on, UP, 1, True, 122.0)


def handshake_starts(on: Any, until: float) -> list[float]:
    """Run a tunnel whose node cannot reach the hub and return when the node sent an initiation."""
    found = [float(on.tunnel.ends[UP].handshake_sent_s)]
    while on.tunnel.next_s <= until:
        step(on, float(on.tunnel.next_s))
        if on.tunnel.ends[UP].handshake_sent_s > found[-1]:
            found.append(float(on.tunnel.ends[UP].handshake_sent_s))
    return found


def test_an_initiation_is_repeated_19_times_and_then_given_up() -> None:
    on = tunnelled((0.0, inf))
    transmit_data(on, UP, 0.0)
    sent_s = handshake_starts(on, 400.0)
    assert len(sent_s) == 20
    waits = np.diff(sent_s)
    assert REKEY_TIMEOUT_S <= waits.min() < REKEY_TIMEOUT_S + 0.1
    assert RETRY_S - 0.1 < waits.max() <= RETRY_S
    ((_, gave_up_s),) = (note for note in notes(on) if note[0] == GIVEN_UP)
    assert sent_s[-1] + REKEY_TIMEOUT_S <= gave_up_s <= sent_s[-1] + RETRY_S


def test_packets_that_are_staged_keep_the_handshake_going_but_for_boringtun() -> None:
    for kind, gives_up in ((WIREGUARD, False), (BORINGTUN, True)):
        on = tunnelled((0.0, inf), kind=kind)
        for at in range(0, 400, 60):
            run_tunnel(on, float(at))
            transmit_data(on, UP, float(at))
        assert (GIVEN_UP in [what for what, _ in notes(on)]) == gives_up


def test_boringtun_repeats_every_5_seconds_gives_up_after_90_and_forgets_its_keys() -> None:
    on = tunnelled((1.0, inf), kind=BORINGTUN)
    transmit_data(on, UP, 0.0)
    run_tunnel(on, 1.0)
    transmit_data(on, UP, 1.0)
    sent_s = handshake_starts(on, 400.0)[1:]
    assert sent_s == pytest.approx(1.0 + UNANSWERED_S + 5.0 * np.arange(18))
    what, gave_up_s = notes(on)[-1]
    assert what == GIVEN_UP
    assert gave_up_s == pytest.approx(1.0 + UNANSWERED_S + 90.0)
    assert key_of(on, UP) == 0


@pytest.mark.parametrize("kind", [WIREGUARD, BORINGTUN])
def test_a_node_whose_answers_are_lost_while_it_asks_for_a_key_goes_on_asking(kind: int) -> None:
    on = tunnelled((1.0, 5.3), kind=kind)
    transmit_data(on, UP, 1.5)  # its own initiation is lost
    run_tunnel(on, 4.0)
    respond(on, UP, 9, 4.0)  # the hub's arrived, and the answer is lost
    for at in (6.0, 9.0, 12.0):
        run_tunnel(on, at)
        transmit_data(on, UP, at)
    run_tunnel(on, 20.0)
    assert key_of(on, UP) > 0


def test_data_without_an_answer_for_15_seconds_starts_a_handshake_though_the_key_is_good() -> None:
    on = tunnelled((1.0, inf))
    transmit_data(on, UP, 0.0)
    run_tunnel(on, 1.0)
    for at in (2.0, 9.0):
        transmit_data(on, UP, at)
    assert 2.0 + UNANSWERED_S <= handshake_starts(on, 20.0)[1] <= 2.0 + UNANSWERED_S + REKEY_JITTER_S


def test_an_end_that_only_receives_sends_a_keepalive_after_10_seconds() -> None:
    on = open_tunnel()
    say(on, DOWN, 5.0)
    heard_s = 5.0 + RTT_S / 2
    assert run_tunnel(on, 100.0) == pytest.approx([heard_s + KEEPALIVE_S, heard_s + KEEPALIVE_S + RTT_S / 2])
    assert on.tunnel.ends[DOWN].unanswered_s == inf


def test_an_end_that_sends_needs_no_keepalive() -> None:
    on = open_tunnel()
    say(on, DOWN, 5.0)
    transmit_data(on, UP, 9.0)
    assert on.tunnel.ends[UP].keepalive_s == inf


def test_a_persistent_keepalive_holds_the_tunnel_open_and_renews_its_key() -> None:
    idle, kept = open_tunnel(), open_tunnel(persistent_keepalive_s=25.0)
    run_tunnel(idle, 1000.0)
    run_tunnel(kept, 1000.0)
    assert transmit_data(idle, UP, 1000.0) == inf
    assert transmit_data(kept, UP, 1000.0) < inf
    assert transmit_data(kept, DOWN, 1000.0) < inf


def test_if_both_begin_at_once_neither_succeeds_until_one_begins_again() -> None:
    on = open_tunnel()
    for who in (UP, DOWN):
        assert transmit_data(on, who, 300.0) == inf
    run_tunnel(on, 304.9)
    assert not transmit_data(on, UP, 304.9) < inf
    run_tunnel(on, 300.0 + 2 * RETRY_S + RTT_S)
    assert transmit_data(on, UP, 311.0) < inf


def test_of_initiations_that_a_held_link_releases_together_the_first_is_answered_and_that_is_too_old() -> None:
    on = tunnelled(outage_gap_mean_s=1e-9, outage_s=17.0, hold=1.0, alone=(1.0, 0.0))
    transmit_data(on, UP, 0.001)
    run_tunnel(on, 17.5)
    assert on.tunnel.ends[DOWN].next == 1
    assert key_of(on, UP) == 0


def test_a_node_that_lost_power_needs_a_handshake_and_the_hubs_key_is_of_no_use_to_it() -> None:
    on = open_tunnel()
    lose_power(on, 10.0)
    assert not say(on, DOWN, 10.5)  # to a node without power
    resume(on, 10.0, 20.0)
    assert key_of(on, DOWN) == 1
    assert not say(on, DOWN, 20.5)  # encrypted with a key that the node has forgotten
    assert transmit_data(on, UP, 21.0) == inf
    run_tunnel(on, 22.0)
    assert key_of(on, UP) == key_of(on, DOWN) > 1


def test_what_the_tunnel_did_while_the_node_had_no_connection_is_made_up_for() -> None:
    on, other = open_tunnel(persistent_keepalive_s=25.0), open_tunnel(persistent_keepalive_s=25.0)
    resume(on, -inf, 500.0)
    run_tunnel(other, 500.0)
    assert on.tunnel.ends[UP].current_s == other.tunnel.ends[UP].current_s > REKEY_AFTER_S


def test_the_hub_reaches_a_node_that_has_moved_only_after_the_node_has_spoken() -> None:
    on = open_tunnel()
    assert say(on, DOWN, 2.0)
    move(on, 3.0)
    assert isnan(transmit_data(on, DOWN, 3.5))
    assert say(on, UP, 4.0)
    assert transmit_data(on, DOWN, 4.5) < inf


def test_a_packet_sent_before_the_move_does_not_show_the_new_address() -> None:
    on = open_tunnel()
    arrives = transmit_data(on, UP, 3.0)
    move(on, 3.001)
    receive(on, DOWN, 1, True, arrives)
    assert isnan(transmit_data(on, DOWN, 3.5))


def test_an_idle_tunnel_forgets_its_keys_after_540_seconds_and_then_does_nothing() -> None:
    on = open_tunnel()
    assert run_tunnel(on, 5000.0)[-1] < 3 * REJECT_AFTER_S + 1.0
    assert key_of(on, UP) == key_of(on, DOWN) == 0
    assert on.tunnel.next_s == inf


# What outages do. With heartbeats every 10 s, and keepalives between them, a key is renewed at most 10 s after the 120,
# so that it still is good for 50 s when an outage begins.

PHASES = st.floats(200.0, 500.0)


@settings(max_examples=40)
@given(PHASES, st.floats(0.5, 50.0), st.sampled_from([1.0, 5.0, 10.0]))
def test_a_short_outage_changes_nothing(from_s: float, length_s: float, interval_s: float) -> None:
    with_tunnel, without = (passage(from_s, length_s, interval_s, kind=kind) for kind in (WIREGUARD, NO_TUNNEL))
    assert with_tunnel.arrived_s == pytest.approx(without.arrived_s, abs=1e-5)
    assert with_tunnel.key_age_s < REJECT_AFTER_S


@settings(max_examples=40)
@given(PHASES, st.floats(55.0, 300.0))
def test_after_an_outage_what_was_staged_arrives_with_the_next_handshake(from_s: float, length_s: float) -> None:
    with_tunnel, without = (passage(from_s, length_s, kind=kind) for kind in (WIREGUARD, NO_TUNNEL))
    # A handshake that both ends began at once fails, and another takes as long.
    latest_s = 2 * RETRY_S + 3 * RTT_S
    if with_tunnel.waited:
        assert with_tunnel.first_after_s <= latest_s
    # TCP's next retransmission may find no key though nothing was staged: then it waits for the handshake too.
    assert with_tunnel.first_after_s <= without.first_after_s + latest_s


@pytest.mark.parametrize("length_s", [75.0, 90.0, 120.0, 150.0])
def test_the_share_of_outages_that_outlast_a_key_follows_from_its_age(length_s: float) -> None:
    from_s = np.random.default_rng(7).uniform(200.0, 600.0, 200)
    passed = [passage(float(at), length_s, jitter=0.1, seed=i) for i, at in enumerate(from_s)]
    share = np.mean([each.key_age_s >= REJECT_AFTER_S for each in passed])
    # A key lives for 120 s and until something is sent, here 3.4 s on average.
    later_s = 3.4
    assert share == pytest.approx((length_s - 60.0 + later_s) / (120.0 + later_s), abs=0.08)
    in_time = [each.first_after_s <= RETRY_S + 2 * RTT_S for each in passed if each.waited]
    assert np.mean(in_time) >= 0.9  # else both ends began at once
    assert any(what == EXPIRED for each in passed for what, _ in each.notes)
