"""The subscriber that never reads, in small: the events reported as lost, not how long the others wait."""

import asyncio

import pytest

from heartbench.benchmarks.hub.ingest import server
from heartbench.benchmarks.hub.subscribers import EVENTS_HUB, Found, Period, Silent, compare

pytestmark = pytest.mark.slow


def test_a_silent_subscriber_learns_what_it_lost_and_the_others_lose_nothing() -> None:
    with server([*EVENTS_HUB, "1000"], HUB_EVENT_QUEUE="50") as (address, process):
        found = asyncio.run(compare(address, process.pid, subscribers=2, seconds=2.0, pairs=1))
    [silent], [alone], [beside] = found.silent, found.alone, found.beside
    assert silent.adds_up
    assert silent.reported_lost > 100
    assert beside.events > alone.events / 2
    assert beside.resident_mib < alone.resident_mib + 20


def test_the_bounds_apply_to_the_change_between_neighbouring_periods() -> None:
    def periods(*p99_ms: float) -> list[Period]:
        return [Period(ms / 1000, 0.0, 0.0, 1) for ms in p99_ms]

    silent = [Silent(10, 5, adds_up=True)] * 3
    assert Found(periods(2, 50, 3), periods(3, 51, 4), silent).holds
    assert not Found(periods(2, 3, 4), periods(12, 13, 14), silent).holds
    assert not Found(periods(2, 3, 4), periods(2, 3, 4), [Silent(10, 0, adds_up=True)] * 3).holds
