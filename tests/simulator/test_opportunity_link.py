"""Delivery opportunities: packets wait for them in order, as in a queue that is served opportunity by opportunity."""

from collections.abc import Iterator
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.simulator.link import DOWN, OWN, SITE, UP, make_link, next_outage, transmit
from heartbench.simulator.replay import Replay, digest_of, resolved


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def link_of(folder: Path, up: list[int], down: list[int] | None = None, node: int = 0, **keys: Any) -> Any:
    """Return the link of a node on traces of these times in ms."""
    data: dict[str, Any] = {"file": "trace.up", "shift": False, **keys}
    (folder / "trace.up").write_text("".join(f"{at}\n" for at in up))
    if down is not None:
        data["down_file"] = "trace.down"
        (folder / "trace.down").write_text("".join(f"{at}\n" for at in down))
    return make_link(Replay.model_validate(resolved(data, folder)).to_link(), (), 1, node)


def opportunities(times_ms: list[int]) -> Iterator[float]:
    """Yield the time of each opportunity, s, lap after lap."""
    for lap in count():
        yield from ((lap * times_ms[-1] + at) / 1000 for at in times_ms)


def served_s(times_ms: list[int], packets: list[tuple[float, int]]) -> list[float]:
    """Return when the last byte of each packet (sent at s, bytes) is taken: a loop over opportunities."""
    found: list[float] = []
    waiting: list[list[float]] = [[at_s, size] for at_s, size in packets]
    for now_s in opportunities(times_ms):
        room = 1500.0
        while waiting and room and waiting[0][0] <= now_s:
            taken = min(room, waiting[0][1])
            room, waiting[0][1] = room - taken, waiting[0][1] - taken
            if not waiting[0][1]:
                found.append(now_s)
                waiting.pop(0)
        if not waiting:
            return found
    raise AssertionError


PACKETS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 4000)), min_size=1, max_size=40).map(sorted)
TRACES = st.lists(st.integers(0, 900), min_size=1, max_size=40).map(sorted).filter(lambda times: times[-1] > 0)


@given(TRACES, PACKETS, st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_packets_pass_as_in_a_queue_that_is_served(
    folder: Path, times: list[int], packets: list[tuple[int, int]], direction: int
) -> None:
    link = link_of(folder, times)
    sent = [(at / 1000 + 0.0005, size) for at, size in packets]  # between two opportunities: floats may tie otherwise
    assert [transmit(link, direction, *packet) for packet in sent] == pytest.approx(served_s(times, sent))


def test_each_way_has_its_trace_and_the_base_delay(folder: Path) -> None:
    link = link_of(folder, [10, 20], [500, 1000], base_delay="30ms")
    assert transmit(link, UP, 0.012, 100) == pytest.approx(0.05)
    assert transmit(link, DOWN, 0.05, 100) == pytest.approx(0.53)


def test_an_opportunity_takes_several_small_packets_and_no_more_bytes(folder: Path) -> None:
    link = link_of(folder, [100, 200, 300])
    assert [transmit(link, UP, 0.05, 500) for _ in range(7)] == pytest.approx([0.1] * 3 + [0.2] * 3 + [0.3])


def test_waits_of_a_second_are_holds_of_their_way(folder: Path) -> None:
    link = link_of(folder, [100, 5000, 5100], [100, 200])
    assert next_outage(link, OWN, 0.0) == pytest.approx((0.1, 5.0, UP, True))
    assert next_outage(link, OWN, 5.0) == pytest.approx((5.2, 10.1, UP, True))
    assert next_outage(link, SITE, 0.0)[0] == inf
    assert transmit(link, UP, 1.0, 100) == pytest.approx(5.0)


def test_nodes_begin_at_places_of_their_own(folder: Path) -> None:
    links = [link_of(folder, [100, 5000, 90_000], node=node, shift=True) for node in range(9)]
    assert len({next_outage(link, OWN, 0.0)[1] for link in links}) > 5


def test_the_digest_is_that_of_both_files(folder: Path) -> None:
    link_of(folder, [100], [200])
    both = str(folder / "trace.up"), str(folder / "trace.down")
    assert digest_of(both) != digest_of(both[:1])
    (folder / "whole").write_text("100\n200\n")
    assert digest_of(both) == digest_of((str(folder / "whole"),))
