"""A small fleet whose hub is read while it beats: the figures, not their size."""

import asyncio

import pytest

from heartbench.benchmarks.hub.ingest import HUB, server
from heartbench.benchmarks.hub.scrapes import free_port, measure

pytestmark = pytest.mark.slow


def test_periods_with_and_without_a_scraper_are_measured() -> None:
    http = f"127.0.0.1:{free_port()}"
    with server(HUB, HUB_HTTP_LISTEN=http) as (address, process):
        url = f"http://{http}/metrics"
        found = measure(address, process.pid, url, 5, interval_s=0.5, seconds=1.5, pairs=1, per_s=4)
        [without], [scraped] = asyncio.run(found)
    assert (without.heartbeats, without.scrapes) == (15, 0)
    assert scraped.heartbeats == 15
    assert scraped.scrapes > 0
