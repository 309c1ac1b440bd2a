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
        without, scraping, stats = asyncio.run(measure(address, process.pid, url, 5, 0.5, 1.5, pairs=1))
    assert [period.heartbeats for period in (*without, *scraping)] == [15, 15]
    assert stats.online == 5
    assert stats.heartbeats == 35
