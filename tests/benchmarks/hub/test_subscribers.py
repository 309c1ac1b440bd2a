"""The subscriber that never reads, in small: what it is told, not how long the others wait."""

import asyncio

import pytest

from heartbench.benchmarks.hub.ingest import server
from heartbench.benchmarks.hub.subscribers import EVENTS_HUB, Found, Period, Silent, compare

pytestmark = pytest.mark.slow


def test_who_never_reads_is_told_what_it_lost_and_the_others_lose_nothing() -> None:
    with server([*EVENTS_HUB, "1000"], HUB_EVENT_QUEUE="50") as (address, pid):
        found = asyncio.run(compare(address, pid, subscribers=2, seconds=2.0, pairs=1))
    [silent], [alone], [beside] = found.silent, found.alone, found.beside
    assert silent.adds_up
    assert silent.told_lost > 100
    assert beside.events > alone.events / 2
    assert beside.resident_mib < alone.resident_mib + 20


def test_what_counts_is_the_change_between_neighbours() -> None:
    def periods(*p99_ms: float) -> list[Period]:
        return [Period(ms / 1000, 0.0, 0.0, 1) for ms in p99_ms]

    told = [Silent(10, 5, adds_up=True)] * 3
    assert Found(periods(2, 50, 3), periods(3, 51, 4), told).holds
    assert not Found(periods(2, 3, 4), periods(12, 13, 14), told).holds
    assert not Found(periods(2, 3, 4), periods(2, 3, 4), [Silent(10, 0, adds_up=True)] * 3).holds
