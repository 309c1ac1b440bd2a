"""What nodes send, counted in the model."""

from math import isnan

import pytest

from heartbench.analysis import traffic
from heartbench.analysis.explain import rerun
from heartbench.analysis.traffic import Traffic, traffic_of
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.session import MOST_ROWS_AT_ONCE

HEARTBEAT, HEADERS, PING = 34, 52, 17  # bytes, as `simulator.connection` and `simulator.tcp.sender` have them


def a_lan(*changes: str) -> Scenario:
    """Return a fleet on a network without losses and outages, with a heartbeat every 10 s."""
    quiet = ["group.edge.profile=lan", "group.edge.heartbeat_jitter=0", "group.edge.nodes=2", *changes]
    return load_scenario("wireguard-5g", quiet)


def an_hour_of(*changes: str) -> Traffic:
    """Return what a node sends in the second hour."""
    one, two = (traffic_of(a_lan(*changes, f"duration={hours}h")) for hours in (1, 2))
    return Traffic(
        *((2 * b - a) / 24 for a, b in zip(vars_of(one), vars_of(two), strict=True)),
    )


def vars_of(traffic: Traffic) -> tuple[float, ...]:
    return traffic.up_bytes, traffic.down_bytes, traffic.up_packets, traffic.down_packets


def test_a_heartbeat_is_a_packet_up_and_an_acknowledgement_down() -> None:
    hour = an_hour_of()
    assert abs(hour.up_packets - 360) <= 1
    assert abs(hour.up_bytes - 360 * (HEARTBEAT + HEADERS)) <= HEARTBEAT + HEADERS
    assert abs(hour.down_bytes - 360 * HEADERS) <= HEADERS


def test_pings_cost_a_packet_each_way_and_what_acknowledges_them() -> None:
    silent, pinging = an_hour_of(), an_hour_of("group.edge.keepalive_time=30s")
    pings = (pinging.up_packets - silent.up_packets) / 2
    assert 115 < pings <= 120  # after 30 s of silence and a round trip
    assert abs(pinging.up_bytes - silent.up_bytes - pings * (PING + 2 * HEADERS)) <= 2 * (PING + 2 * HEADERS)


def test_a_tunnel_adds_its_headers() -> None:
    plain, inside = an_hour_of(), an_hour_of("group.edge.tunnel=wireguard")
    assert inside.up_bytes > plain.up_bytes + 360 * 60


def test_a_node_that_sends_more_than_estimated_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = traffic_of(a_lan("duration=1h"))
    monkeypatch.setattr(traffic, "rows_a_node", lambda *_: 1)
    monkeypatch.setattr(rerun, "SPARE_ROWS", 2 * MOST_ROWS_AT_ONCE)
    assert traffic_of(a_lan("duration=1h")) == usual


def test_nodes_that_share_a_queue_are_not_counted() -> None:
    shared = a_lan("duration=1h", "group.edge.separate_uploads=true")
    assert isnan(traffic_of(shared).bytes_per_node_day)
