"""The queue of a slow way up: what waits in it by hand calculation, what finds no room, and what TCP makes of that."""

from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.test_link import OUT_OFTEN, profile
from tests.simulator.test_scenario import GROUPS, load
from tests.simulator.test_stream import deliveries, ready

from heartbench.simulator.connection import CHUNK, HEARTBEAT
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import DOWN, OWN, UP, make_link, next_outage, transmit
from heartbench.simulator.stream import advance, send
from heartbench.simulator.tcp.sender import HEADER_BYTES
from heartbench.simulator.uplink import LEAST_BUFFER_BYTES

DELAY_S, MSS_BYTES = 0.01, 1368  # of the link below


def slow(bytes_per_s: float = 1000.0, buffer_bytes: float = 3000.0, **fields: Any) -> Any:
    """A link of 10 ms each way with a queue in front of the way up."""
    tables = profile(**fields)
    tables[0].uplink.bytes_per_s, tables[0].uplink.buffer_bytes = bytes_per_s, buffer_bytes
    return make_link(tables, (), 1, 0)


def test_packets_leave_one_after_the_other_at_the_rate() -> None:
    queue = slow()
    arrivals = [transmit(queue, UP, t, size) for t, size in ((0.0, 500), (0.1, 1000), (0.2, 100), (5.0, 100))]
    assert arrivals == pytest.approx([0.5 + DELAY_S, 1.5 + DELAY_S, 1.6 + DELAY_S, 5.1 + DELAY_S])


def test_a_packet_that_finds_no_room_is_dropped_and_takes_none() -> None:
    queue = slow()
    arrivals = [transmit(queue, UP, 0.0, size) for size in (1000, 1000, 1001, 1000, 1)]
    assert arrivals == pytest.approx([1.0 + DELAY_S, 2.0 + DELAY_S, nan, 3.0 + DELAY_S, nan], nan_ok=True)
    assert transmit(queue, UP, 1.0, 1000) == pytest.approx(4.0 + DELAY_S)  # the first has left, and there is room again


def test_an_empty_queue_takes_any_packet() -> None:
    assert transmit(slow(), UP, 0.0, 9000) == pytest.approx(9.0 + DELAY_S)


def test_the_way_down_has_no_queue() -> None:
    queue = slow()
    assert [transmit(queue, DOWN, 1.0, 1500) for _ in range(5)] == pytest.approx([1.0 + DELAY_S] * 5)


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(52, 1500)), min_size=1, max_size=60).map(sorted))
def test_the_queue_never_holds_more_than_its_buffer_nor_passes_more_than_its_rate(
    sent: list[tuple[float, int]],
) -> None:
    queue = slow()
    taken = [(t, arrival - DELAY_S, size) for t, size in sent if not isnan(arrival := transmit(queue, UP, t, size))]
    for t, _, _ in taken:
        waiting = [min(size, 1000.0 * (left - t)) for came, left, size in taken if came <= t < left]
        assert sum(waiting) <= 3000 + 1e-6
    assert all(left >= before + size / 1000.0 - 1e-9 for (_, before, _), (_, left, size) in pairwise(taken))


def test_a_packet_meets_the_outage_of_the_time_at_which_it_leaves() -> None:
    begins, ends, *_ = next_outage(slow(**OUT_OFTEN), OWN, 0.0)
    into, behind = slow(buffer_bytes=1e6, **OUT_OFTEN), slow(buffer_bytes=1e6, **OUT_OFTEN)
    assert isnan(transmit(into, UP, begins - 1.0, 2000))
    assert begins + 1.0 < ends < begins + 6.0
    assert transmit(behind, UP, begins + 1.0, 5000) == pytest.approx(begins + 6.0 + DELAY_S)


def test_a_long_queue_hides_no_outage_from_the_other_direction() -> None:
    begins, ends, *_ = next_outage(slow(**OUT_OFTEN), OWN, 0.0)
    queue = slow(buffer_bytes=1e6, **OUT_OFTEN)
    transmit(queue, UP, 0.0, round(1000 * ends) + 100)
    assert [isnan(transmit(queue, DOWN, t)) for t in (begins - 0.1, begins + 0.1, ends + 0.1)] == [False, True, False]


def on_the_wire(payload: int) -> int:
    """Bytes of the packets that carry so many bytes of a stream."""
    return payload + HEADER_BYTES * -(-payload // MSS_BYTES)


@pytest.mark.parametrize("buffer_bytes", [1e9, 30e3, 10e3])
def test_a_heartbeat_waits_for_the_file_before_it_and_drop_tail_costs_tcp_little(buffer_bytes: float) -> None:
    queue = slow(125e3, buffer_bytes)
    made, at = ready(queue)
    send(made, queue, at, 200_000, CHUNK, 0)
    send(made, queue, at, 34, HEARTBEAT, 1)
    advance(made, queue, at + 60.0)
    acknowledgement = HEADER_BYTES  # of the hub's SETTINGS, before the file
    expected = (acknowledgement + on_the_wire(200_034)) / 125e3 + DELAY_S
    assert deliveries(made) == pytest.approx([at + expected])
    assert (made.up.lost_total > 0) == (buffer_bytes < 1e9)


UPLINK = {"bit_rate": 2e6, "buffer_bytes": 64_000}


def test_a_scenario_sets_the_queue_and_nothing_has_one_unasked(tmp_path: Path) -> None:
    changed = load(tmp_path, GROUPS, "group.edge.link.uplink.bit_rate=2e6", "group.edge.link.uplink.buffer_bytes=64000")
    edge, core = (group.link for group in changed.group)
    tables: Any = edge.to_link().view(np.recarray)[0].uplink
    assert (tables.bytes_per_s, tables.buffer_bytes, bool(tables.is_shared)) == (250e3, 64e3, False)
    assert core.uplink is None
    assert core.to_link().view(np.recarray)[0].uplink.bytes_per_s == 0
    assert "uplink" not in core.to_data()
    assert load(tmp_path, changed.to_toml()) == changed


@pytest.mark.parametrize(
    ("override", "refusal"),
    [
        ("bit_rate=0", "uplink.bit_rate: 0: must be greater than 0"),
        ("buffer_bytes=1499", f"uplink.buffer_bytes: 1499: must be greater than or equal to {LEAST_BUFFER_BYTES}"),
        ("rate=5", "uplink: unknown key rate"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(override: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=refusal):
        load(
            tmp_path,
            GROUPS,
            "group.edge.link.uplink={bit_rate=1000, buffer_bytes=9000}",
            f"group.edge.link.uplink.{override}",
        )
