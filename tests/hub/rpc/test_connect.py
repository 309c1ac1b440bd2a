"""One connection's behaviour over an in-memory transport: no gRPC, no time but what is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, OutdatedStreamError, ReplacedStreamError
from heartbench.hub.liveness.rules import Status
from heartbench.hub.liveness.takeovers import MOST
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.work.admission import Admission
from heartbench.mesh.encoding import goodbye, heartbeat, hello
from heartbench.mesh.v1.mesh_pb2 import HubMessage, NodeMessage

NODE = Peer("10.0.0.1:40000")


class Line:
    """A stream in memory: what the node said, and what the hub answered."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[NodeMessage | None] = asyncio.Queue()
        self.answered: list[HubMessage] = []

    def say(self, *messages: NodeMessage | None) -> "Line":
        for message in messages:
            self.said.put_nowait(message)
        return self

    async def __aiter__(self) -> AsyncIterator[NodeMessage]:
        while (message := await self.said.get()) is not None:
            yield message

    async def send(self, message: HubMessage) -> None:
        self.answered.append(message)

    @property
    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("body") for message in self.answered]


def beat(seq: int, ack: bool = False) -> NodeMessage:
    return heartbeat(seq, sent_unix_s=seq / 2, ack=ack)


CLOCK = ManualClock()


def a_hub() -> Hub:
    return open_hub(HubSettings.of(), CLOCK, MemoryStore(0.007))


async def settle() -> None:
    """Run every task until all of them wait."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(scene: Callable[[Hub, NodeService], Awaitable[None]]) -> None:
    hub = a_hub()
    asyncio.run(asyncio.wait_for(scene(hub, NodeService(hub, CLOCK)), 10))  # type: ignore[arg-type]


def test_a_node_is_welcomed_and_acknowledged_where_it_asks() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello("n"), beat(1), beat(2, ack=True), goodbye())
        await service.connect(NODE, aiter(line), line.send)
        assert line.kinds == ["welcome", "heartbeat_ack"]
        assert (line.answered[0].welcome.epoch, line.answered[0].welcome.stale_after_s) == (7, 30.0)
        assert (line.answered[1].heartbeat_ack.seq, line.answered[1].heartbeat_ack.sent_unix_s) == (2, 1.0)
        assert hub.registry.nodes["n"].status is Status.OFFLINE
        assert hub.registry.nodes["n"].heartbeats == 2

    run(scene)


def test_a_heartbeat_with_the_time_of_its_sending_has_a_latency() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        on_time = heartbeat(1, sent_unix_s=CLOCK.unix(CLOCK.now_s) - 0.25)
        line = Line().say(hello("n"), on_time, heartbeat(2), goodbye())
        await service.connect(NODE, aiter(line), line.send)
        assert (hub.heartbeats, hub.latency.seconds.total, hub.latency.clock_errors) == (2, 0.25, 0)

    run(scene)


def test_a_stream_that_just_ends_leaves_the_status() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello("n"), beat(1), None)
        await service.connect(NODE, aiter(line), line.send)
        node = hub.registry.nodes["n"]
        assert (node.status, node.connected) == (Status.ONLINE, False)

    run(scene)


def test_a_stream_that_is_cancelled_has_ended() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(hello("n"))
        task = asyncio.create_task(service.connect(NODE, aiter(line), line.send))
        await settle()
        assert hub.registry.nodes["n"].connected
        task.cancel()
        await asyncio.wait([task])
        assert not hub.registry.nodes["n"].connected
        assert task.cancelled()  # type: ignore[unreachable]

    run(scene)


def test_the_newer_stream_ends_the_older_and_is_heard() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        old, new = Line().say(hello("n")), Line().say(hello("n", connection=1))
        first = asyncio.create_task(service.connect(NODE, aiter(old), old.send))
        await settle()
        second = asyncio.create_task(service.connect(Peer("10.0.0.2:40000"), aiter(new), new.send))
        with pytest.raises(ReplacedStreamError, match=r"from 10\.0\.0\.2:40000"):
            await first
        new.say(beat(1))
        await settle()
        node = hub.registry.nodes["n"]
        assert (node.connected, node.connection, node.heartbeats) == (True, 1, 1)
        new.say(None)
        await second
        assert not node.connected

    run(scene)


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (beat(1), BadMessageError),
        (hello(""), BadMessageError),
        (hello("n", boot_id=0), OutdatedStreamError),
        (hello("n", boot_id=2**64 - 1), BadMessageError),
    ],
)
def test_a_stream_that_begins_wrongly_is_refused(first: NodeMessage, error: type[Exception]) -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        known, line = Line().say(hello("n"), None), Line().say(first)
        await service.connect(NODE, aiter(known), known.send)
        with pytest.raises(error):
            await service.connect(NODE, aiter(line), line.send)
        assert line.answered == []

    run(scene)


def test_clones_do_not_replace_each_other_for_ever() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        lines = []
        for number in range(30):
            peer, line = Peer(f"10.0.0.{number % 2}:40000"), Line().say(hello("n", connection=number))
            lines.append((line, asyncio.create_task(service.connect(peer, aiter(line), line.send))))
            await settle()
        kept = [line for line, task in lines if not task.done()]
        assert [line.kinds for line in kept] == [["welcome"]]
        sent_away = [line.answered[0].throttle for line, _ in lines if line.kinds == ["throttle"]]
        assert len(sent_away) == 30 - 1 - MOST
        assert {"a clone" in throttle.reason and throttle.retry_after_s >= 15 for throttle in sent_away} == {True}
        kept[0].say(None)
        ends = await asyncio.gather(*(task for _, task in lines), return_exceptions=True)
        assert sum(isinstance(end, ReplacedStreamError) for end in ends) == MOST
        free = Line().say(hello("n", connection=31), goodbye())  # nobody has the name now
        await service.connect(NODE, aiter(free), free.send)
        assert free.kinds == ["welcome"]

    run(scene)


def test_a_stream_without_a_word_is_nothing() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        line = Line().say(None)
        await service.connect(NODE, aiter(line), line.send)
        assert not hub.registry.nodes

    run(scene)


def test_a_node_that_does_not_read_is_heard_all_the_same() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        reads = asyncio.Event()

        async def send(message: HubMessage) -> None:
            await reads.wait()
            line.answered.append(message)

        line = Line().say(hello("n"), *(beat(seq, ack=True) for seq in range(1, 501)))
        task = asyncio.create_task(service.connect(NODE, aiter(line), send))
        await settle()
        await asyncio.sleep(0.01)
        assert hub.registry.nodes["n"].heartbeats == 500
        reads.set()
        line.say(None)
        await task
        assert len(line.answered) == hub.settings.acks_waiting + 1
        assert line.answered[-1].heartbeat_ack.seq == 500

    run(scene)


def test_a_hub_that_drains_says_so_on_each_stream_and_ends_it() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        lines = [Line().say(hello(name)) for name in ("a", "b")]
        tasks = [asyncio.create_task(service.connect(NODE, aiter(line), line.send)) for line in lines]
        await settle()
        hub.end(CLOCK.now_s)
        service.drain(2.5)
        await asyncio.gather(*tasks)
        assert [line.kinds for line in lines] == [["welcome", "drain"]] * 2
        delays_s = [line.answered[1].drain.reconnect_after_s for line in lines]
        assert delays_s[0] != delays_s[1]
        assert all(2.5 <= delay_s < 3.5 for delay_s in delays_s)
        assert all(node.connected for node in hub.registry.nodes.values())

    run(scene)


def test_nodes_come_back_from_a_drain_as_slowly_as_they_are_admitted() -> None:
    async def scene(hub: Hub, service: NodeService) -> None:
        lines = [Line().say(hello(f"n{number}")) for number in range(16)]
        tasks = [asyncio.create_task(service.connect(NODE, aiter(line), line.send)) for line in lines]
        await settle()
        service.drain(1.0)
        await asyncio.gather(*tasks)
        assert 3.0 < max(line.answered[-1].drain.reconnect_after_s for line in lines) < 5.0

    hub = open_hub(HubSettings.of(admit_per_s=4), CLOCK, MemoryStore(0.007), seed=1)
    hub.admission = Admission(0, hub.draw, CLOCK.now_s)  # they came before
    asyncio.run(asyncio.wait_for(scene(hub, NodeService(hub, CLOCK)), 10))  # type: ignore[arg-type]
