"""What operators see and do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import BadMessageError, NoRoomError, UnknownNodeError
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.rules import Status
from heartbench.hub.rpc.admin import PAGE, AdminService
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.protobuf_mapping import hub_stats
from heartbench.hub.rpc.upload import UploadService
from heartbench.hub.stats import AccessStats, HubStats, stats_of, summary
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.memory import MemoryStore
from heartbench.mesh.v1 import mesh_pb2 as pb

EPOCH = 7
OPERATOR = Peer("10.0.0.9:50000")


class Office:
    """A hub and its operator."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock(100.0)
        self.hub = open_hub(HubSettings.of(**settings), self.clock, MemoryStore(EPOCH / 1000))
        self.nodes, self.uploads = NodeService(self.hub, self.clock), UploadService(self.hub, self.clock)
        self.admin = AdminService(self.hub, self.clock, self.nodes, self.uploads)

    def stats(self) -> HubStats:
        return stats_of(self.hub, self.clock.now_s, len(self.uploads), None, AccessStats())

    def connect(self, name: str, connection: int = 0) -> Session:
        session, _ = self.hub.hello(Hello(name, 1, connection), self.clock.now_s)
        assert session is not None
        return session


def gone_quiet(office: Office, *names: str) -> None:
    """Nodes that left two minutes ago."""
    for name in names:
        office.hub.goodbye(office.connect(name), office.clock.now_s)
    office.clock.now_s += 120.0


@asynccontextmanager
async def an_upload_that_ends_late(office: Office, name: str) -> AsyncIterator[None]:
    """An Upload stream that keeps `close_node` waiting until the block ends."""
    ended = asyncio.Event()

    async def close_node(node_id: str) -> None:
        if node_id == name:
            await ended.wait()

    office.uploads.close_node = close_node  # type: ignore[method-assign]
    yield
    ended.set()


async def read(events: AsyncIterator[pb.Event], count: int) -> list[pb.Event]:
    return [await anext(events) for _ in range(count)]


def run(scene: Callable[[Office], Awaitable[None]], **settings: object) -> None:
    asyncio.run(asyncio.wait_for(scene(Office(**settings)), 10))  # type: ignore[arg-type]


def watching(epoch: int = 0, after_seq: int = 0, node_id: str = "") -> pb.WatchEventsRequest:
    return pb.WatchEventsRequest(node_id=node_id, epoch=epoch, after_seq=after_seq)


def test_a_list_and_the_events_after_it_have_no_gap() -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        listed = office.admin.list_nodes(OPERATOR, pb.ListNodesRequest())
        office.connect("b")
        with office.admin.watch(OPERATOR, watching(listed.epoch, listed.last_seq)) as events:
            office.connect("c")
            told = await read(events, 2)
        assert [node.node_id for node in listed.nodes] == ["a"]
        assert [(event.seq, event.changed.node_id) for event in told] == [(2, "b"), (3, "c")]
        assert {event.epoch for event in told} == {EPOCH}

    run(scene)


def test_pages_hold_each_node_once_while_others_come_and_go() -> None:
    async def scene(office: Office) -> None:
        for name in ("d", "a", "c", "b", "e"):
            office.connect(name)
        first = office.admin.list_nodes(OPERATOR, pb.ListNodesRequest(page_size=2))
        await office.admin.forget("a")
        office.connect("aa")
        second = office.admin.list_nodes(OPERATOR, pb.ListNodesRequest(page_size=2, page_token=first.next_page_token))
        third = office.admin.list_nodes(OPERATOR, pb.ListNodesRequest(page_size=2, page_token=second.next_page_token))
        pages = [[node.node_id for node in page.nodes] for page in (first, second, third)]
        assert pages == [["a", "b"], ["c", "d"], ["e"]]
        assert third.next_page_token == ""

    run(scene)


def test_a_history_is_read_in_pages_while_it_grows() -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        history = office.hub.history("a")
        asked = pb.GetHistoryRequest(node_id="a", page_size=2)
        seqs = []
        for seq in range(1, 5):
            history.append(StoredChunk(1, seq, 0.0, b"x"))
        for seq in (5, 6):
            page = office.admin.get_history(OPERATOR, asked)
            seqs.append([chunk.seq for chunk in page.chunks])
            asked.page_token = page.next_page_token
            history.append(StoredChunk(1, seq, 0.0, b"x"))
        assert seqs == [[2, 3], [4, 5]]
        assert asked.page_token == ""

    run(scene, history_chunks=3)


@pytest.mark.parametrize("wrong", [{"page_token": "1/x"}, {"page_token": "1"}, {"page_size": -1}])
def test_a_page_of_a_history_that_cannot_be(wrong: dict[str, Any]) -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        with pytest.raises(BadMessageError, match="page_"):
            office.admin.get_history(OPERATOR, pb.GetHistoryRequest(node_id="a", **wrong))

    run(scene)


def test_pages_are_of_the_status_that_is_asked_for() -> None:
    async def scene(office: Office) -> None:
        for name in ("a", "b", "c", "d"):
            session = office.connect(name)
            if name in "bd":
                office.hub.goodbye(session, office.clock.now_s)
        asked = pb.ListNodesRequest(status=pb.STATUS_OFFLINE, page_size=1)
        first = office.admin.list_nodes(OPERATOR, asked)
        second = office.admin.list_nodes(
            OPERATOR, pb.ListNodesRequest(status=asked.status, page_size=1, page_token=first.next_page_token)
        )
        assert [node.node_id for page in (first, second) for node in page.nodes] == ["b", "d"]
        assert second.next_page_token == ""

    run(scene)


@pytest.mark.parametrize("page_size", [0, 1_000_000])
def test_a_page_is_bounded_whatever_is_asked_for(page_size: int) -> None:
    async def scene(office: Office) -> None:
        for number in range(PAGE + 2):
            office.connect(f"n{number}")
        first = office.admin.list_nodes(OPERATOR, pb.ListNodesRequest(page_size=page_size))
        asked = pb.ListNodesRequest(page_size=page_size, page_token=first.next_page_token)
        second = office.admin.list_nodes(OPERATOR, asked)
        assert (len(first.nodes), len(second.nodes), second.next_page_token) == (PAGE, 2, "")
        names = [node.node_id for page in (first, second) for node in page.nodes]
        assert names == sorted(f"n{number}" for number in range(PAGE + 2))

    run(scene, admit_per_s=0)


def test_a_page_of_one_status_looks_at_so_many_nodes_and_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartbench.hub.rpc.admin.LOOKED_AT", 3)

    async def scene(office: Office) -> None:
        for name in "abcdefg":
            session = office.connect(name)
            if name in "fg":
                office.hub.goodbye(session, office.clock.now_s)
        pages, token = [], None
        while token != "":
            asked = pb.ListNodesRequest(status=pb.STATUS_OFFLINE, page_token=token or "")
            page = office.admin.list_nodes(OPERATOR, asked)
            pages.append([node.node_id for node in page.nodes])
            token = page.next_page_token
        assert pages == [[], ["f"], ["g"]]

    run(scene)


@pytest.mark.parametrize("asked", [pb.ListNodesRequest(page_size=-1), pb.ListNodesRequest(page_token="no token")])
def test_a_page_that_cannot_be_is_refused(asked: pb.ListNodesRequest) -> None:
    async def scene(office: Office) -> None:
        with pytest.raises(BadMessageError, match="must be"):
            office.admin.list_nodes(OPERATOR, asked)

    run(scene)


def test_who_comes_back_too_late_is_told_how_many_events_are_gone() -> None:
    async def scene(office: Office) -> None:
        for number in range(10):
            office.connect(f"n{number}")
        with office.admin.watch(OPERATOR, watching(EPOCH, 2)) as events:
            lost, *told = await read(events, 6)
        assert (lost.lost.count, lost.seq) == (3, 5)
        assert [event.seq for event in told] == [6, 7, 8, 9, 10]

    run(scene, event_log=5)


def test_who_comes_back_to_another_epoch_is_told_that_it_is_another_log() -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        with office.admin.watch(OPERATOR, watching(EPOCH - 1, 500)) as events:
            office.connect("b")
            began, told = await read(events, 2)
        assert (began.log_began.asked_epoch, began.epoch, began.seq) == (EPOCH - 1, EPOCH, 1)
        assert (told.seq, told.changed.node_id) == (2, "b")

    run(scene)


def test_a_backlog_may_be_longer_than_the_queue_of_a_subscriber() -> None:
    async def scene(office: Office) -> None:
        for number in range(50):
            office.connect(f"n{number}")
        with office.admin.watch(OPERATOR, watching(EPOCH, 0)) as events:
            assert [event.seq for event in await read(events, 50)] == list(range(1, 51))

    run(scene, event_queue=10)


def test_a_subscriber_cannot_come_from_the_future() -> None:
    async def scene(office: Office) -> None:
        ahead = watching(EPOCH, 1)
        with pytest.raises(BadMessageError, match="after_seq=1 lies ahead"), office.admin.watch(OPERATOR, ahead):
            pass

    run(scene)


def test_only_so_many_may_watch() -> None:
    async def scene(office: Office) -> None:
        with (
            office.admin.watch(OPERATOR, watching()),
            pytest.raises(NoRoomError, match="HUB_MAX_SUBSCRIBERS"),
            office.admin.watch(OPERATOR, watching()),
        ):
            pass

    run(scene, max_subscribers=1)


def test_one_peer_has_its_share_of_the_subscriptions() -> None:
    async def scene(office: Office) -> None:
        with ExitStack() as watched:
            for _ in range(2):
                watched.enter_context(office.admin.watch(OPERATOR, watching()))
            with pytest.raises(NoRoomError, match=r"10\.0\.0\.9 has 2 of at most 4 subscriptions; HUB_PEER_SHARE"):
                watched.enter_context(office.admin.watch(OPERATOR, watching()))
            watched.enter_context(office.admin.watch(Peer("10.0.0.8:50000"), watching()))
        with office.admin.watch(OPERATOR, watching()):
            pass

    run(scene, max_subscribers=4)


def test_an_event_is_made_into_a_message_once_for_all_subscribers() -> None:
    async def scene(office: Office) -> None:
        with ExitStack() as watched:
            several = [watched.enter_context(office.admin.watch(OPERATOR, watching())) for _ in range(3)]
            office.connect("a")
            told = [await anext(events) for events in several]
        assert len({id(event) for event in told}) == 1

    run(scene)


def test_one_who_watches_a_node_hears_of_it_and_of_the_hub() -> None:
    async def scene(office: Office) -> None:
        with office.admin.watch(OPERATOR, watching(node_id="b")) as events:
            for name in "abc":
                office.connect(name)
            office.clock.now_s += 20.0
            office.hub.tick(office.clock.now_s)  # it was away for 20 s
            office.admin.close()
            told = [event async for event in events]
        assert [event.WhichOneof("body") for event in told] == ["changed", "paused"]
        assert told[1].paused.lasted_s == pytest.approx(19.9)

    run(scene)


def test_a_command_that_nobody_comes_for_was_not_delivered() -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        response = await office.admin.send_command(OPERATOR, pb.SendCommandRequest(node_id="a", within_s=0.01))
        assert response.outcome == pb.COMMAND_OUTCOME_NOT_DELIVERED
        assert response.command_id == f"{EPOCH}-1"

    run(scene)


@pytest.mark.parametrize(("node_id", "within_s", "error"), [("x", 1.0, UnknownNodeError), ("a", 0.0, BadMessageError)])
def test_a_command_that_makes_no_sense_is_refused(node_id: str, within_s: float, error: type[Exception]) -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        with pytest.raises(error):
            await office.admin.send_command(OPERATOR, pb.SendCommandRequest(node_id=node_id, within_s=within_s))

    run(scene)


def test_commands_beyond_what_the_hub_may_hold_are_refused_and_counted() -> None:
    async def scene(office: Office) -> None:
        for number in range(10):
            office.connect(f"n{number}")
        asked = [pb.SendCommandRequest(node_id=f"n{n}", within_s=60.0, payload=bytes(250_000)) for n in range(10)]
        calls = [asyncio.create_task(office.admin.send_command(OPERATOR, one)) for one in asked]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        stats = hub_stats(office.stats())
        assert (stats.commands_waiting, stats.commands_refused) == (3, 7)
        assert 750_000 < stats.commands_bytes <= 1 << 20
        assert {str(call.exception()).partition("; ")[2] for call in done} == {"HUB_COMMANDS_BYTES allows 1048576"}
        for call in waiting:
            call.cancel()
        await asyncio.wait(calls)
        assert office.stats().commands_bytes == 0

    run(scene, commands_bytes=1 << 20)


def test_a_forgotten_node_is_unknown() -> None:
    async def scene(office: Office) -> None:
        office.connect("a")
        await office.admin.forget_node(OPERATOR, pb.ForgetNodeRequest(node_id="a"))
        for call in (
            lambda: office.admin.get_node(OPERATOR, pb.GetNodeRequest(node_id="a")),
            lambda: office.admin.get_history(OPERATOR, pb.GetHistoryRequest(node_id="a")),
            lambda: office.admin.debug_node(OPERATOR, pb.DebugNodeRequest(node_id="a", on=True)),
        ):
            with pytest.raises(UnknownNodeError):
                call()
        with pytest.raises(UnknownNodeError):
            await office.admin.forget_node(OPERATOR, pb.ForgetNodeRequest(node_id="a"))

    run(scene)


def test_the_old_are_forgotten_by_themselves() -> None:
    async def scene(office: Office) -> None:
        session = office.connect("a")
        office.connect("b")
        office.hub.goodbye(session, office.clock.now_s)
        office.clock.now_s += 120.0
        await office.admin.forget_expired()
        assert list(office.hub.registry.nodes) == ["b"]

    run(scene, forget_after="1m")


def test_a_node_that_is_forgotten_by_hand_during_the_sweep_is_no_fault() -> None:
    async def scene(office: Office) -> None:
        gone_quiet(office, "a", "b")
        sweep = asyncio.create_task(office.admin.forget_expired())
        async with an_upload_that_ends_late(office, "a"):
            await asyncio.sleep(0)
            office.hub.forget("a", office.clock.now_s)
            office.hub.forget("b", office.clock.now_s)
        await sweep
        assert list(office.hub.registry.nodes) == []

    run(scene, forget_after="1m")


def test_a_node_that_returns_during_the_sweep_is_kept() -> None:
    async def scene(office: Office) -> None:
        gone_quiet(office, "a", "b", "c")
        async with an_upload_that_ends_late(office, "a"):
            sweep = asyncio.create_task(office.admin.forget_expired())
            await asyncio.sleep(0)
            for name in "ab":
                office.connect(name, connection=1)
        await sweep
        assert {node.node_id: node.status for node in office.hub.registry.nodes.values()} == {
            "a": Status.ONLINE,
            "b": Status.ONLINE,
        }

    run(scene, forget_after="1m")


def test_the_messages_of_one_node_can_be_logged_while_it_is_wanted() -> None:
    async def scene(office: Office) -> None:
        sessions = [office.connect(name) for name in ("a", "b")]
        with capture_logs() as logs:
            for on in (True, False):
                office.admin.debug_node(OPERATOR, pb.DebugNodeRequest(node_id="a", on=on))
                for session in sessions:
                    office.hub.heartbeat(session, office.clock.now_s, 5, 0.0)
        received = [entry for entry in logs if entry["event"] == "received"]
        assert [entry["operator"] for entry in logs if entry["event"] == "debug node"] == [OPERATOR.address] * 2
        assert [(entry["node_id"], entry["kind"], entry["seq"]) for entry in received] == [("a", "heartbeat", 5)]

    run(scene)


def test_heartbeats_are_counted_and_never_logged() -> None:
    async def scene(office: Office) -> None:
        session = office.connect("a")
        before = office.stats()
        with capture_logs() as logs:
            for seq in range(1000):
                office.clock.now_s += 0.01
                office.hub.heartbeat(session, office.clock.now_s, seq, 0.0)
                office.hub.pauses.tick(office.clock.now_s)
        assert logs == []
        line = summary(office.stats(), before)
        assert (line["online"], line["heartbeats_per_s"]) == (1, pytest.approx(100.0))

    run(scene)


def test_stats_say_how_things_stand() -> None:
    async def scene(office: Office) -> None:
        session = office.connect("a")
        office.connect("b")
        office.hub.goodbye(session, office.clock.now_s)
        stats = hub_stats(office.stats())
        assert (stats.online, stats.offline, stats.connected, stats.hellos) == (1, 1, 1, 2)
        assert (stats.store.state, stats.executor.workers, stats.epoch) == ("ok", 0, EPOCH)
        assert stats.events == 3

    run(scene)
