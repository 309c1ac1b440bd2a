"""What a real connection sends is what the simulator has, roughly."""

import asyncio

import pytest

from heartbench.benchmarks.hub import message_sizes
from heartbench.benchmarks.hub.message_sizes import MODELLED, measured
from heartbench.hub import HubSettings


def test_a_connection_and_its_heartbeats_have_about_the_modelled_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_sizes, "HEARTBEATS", 20)
    monkeypatch.setattr(message_sizes, "SETTLE_S", 0.1)
    monkeypatch.setattr(message_sizes, "PINGS_FOR_S", 0.0)
    found = {
        name: (up, down)
        for name, up, down in asyncio.run(measured(HubSettings.of(listen="127.0.0.1:0", store_url="memory:")))
    }
    connect, heartbeat = found["connect, Hello and Welcome"], found["heartbeat"]
    assert connect == pytest.approx(MODELLED["connect, Hello and Welcome"], abs=60)
    assert 20 < heartbeat[0] <= MODELLED["heartbeat"][0]
    assert heartbeat[1] < 5
