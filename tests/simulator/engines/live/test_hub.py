"""What is known of a hub that runs already."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
import pytest

from heartbench.mesh.channel import open_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminServicer, HubAdminStub, add_HubAdminServicer_to_server
from heartbench.simulator.engines.live.hub import ExternalHub
from heartbench.simulator.errors import SimulatorError


class Telling(HubAdminServicer):
    """A hub that says what it is given to say, and ends, or stays until it is left."""

    def __init__(self, events: list[pb.Event], stays: bool) -> None:
        self.events = events
        self.stays = stays
        self.left = threading.Event()

    def GetStats(self, request: pb.GetStatsRequest, context: grpc.ServicerContext) -> pb.HubStats:  # noqa: N802
        return pb.HubStats()

    def WatchEvents(self, request: pb.WatchEventsRequest, context: grpc.ServicerContext) -> Iterator[pb.Event]:  # noqa: N802
        context.send_initial_metadata(())
        yield from self.events
        if self.stays:
            context.add_callback(self.left.set)
            self.left.wait(20)


@contextmanager
def telling(events: list[pb.Event], stays: bool = False) -> Iterator[ExternalHub]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_HubAdminServicer_to_server(Telling(events, stays), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield ExternalHub(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


def watch(hub: ExternalHub) -> NoReturn:
    while True:
        hub.check()


def changed(node_id: str) -> pb.Event:
    body = pb.NodeChanged(node_id=node_id, status=pb.STATUS_STALE, reason=pb.REASON_SILENCE)
    return pb.Event(at_unix_s=1.0, changed=body)


def test_events_that_were_lost_are_counted_among_those_that_were_heard() -> None:
    lost = [pb.Event(lost=pb.EventsLost(count=count)) for count in (3, 4)]
    with telling([changed("a"), lost[0], changed("b"), lost[1]]) as hub:
        hub.wait_until_ready()
        with pytest.raises(SimulatorError, match="the hub has gone"):
            watch(hub)
        hub.stop()
    record = hub.record()
    assert record.events_lost == 7
    assert record.changes.node_id.tolist() == ["a", "b"]
    assert set(record.changes.reason) == {"silence"}


def test_it_is_known_until_when_a_hub_was_heard_whoever_ended_that() -> None:
    with telling([changed("a")]) as hub:
        began_s = time.monotonic()
        hub.wait_until_ready()
        with pytest.raises(SimulatorError, match="the hub has gone"):
            watch(hub)
        ended_s = time.monotonic()
        hub.stop()
    assert began_s < hub.record().until_s < ended_s

    with telling([changed("a")], stays=True) as hub:
        hub.wait_until_ready()
        while hub.record().changes.empty:
            hub.check()
        ended_s = time.monotonic()
        hub.stop()
    assert hub.record().until_s > ended_s
    assert hub.record().changes.node_id.tolist() == ["a"]


@pytest.mark.parametrize("stays", [False, True])
def test_a_hub_that_is_listened_to_no_longer_has_no_connection_to_us(
    stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = []

    def recorded(*arguments: Any) -> grpc.Channel:
        channels.append(open_channel(*arguments))
        return channels[-1]

    monkeypatch.setattr("heartbench.simulator.engines.live.hub.open_channel", recorded)
    with telling([], stays) as hub:
        hub.wait_until_ready()
        hub.stop()
        hub.stop()
        assert len(channels) == 2
        for channel in channels:
            with pytest.raises(ValueError, match="closed channel"):
                HubAdminStub(channel).GetStats(pb.GetStatsRequest())
