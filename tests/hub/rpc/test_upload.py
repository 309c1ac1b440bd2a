"""Terminal output and files of a node: kept once, acknowledged when safe, within bounds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, NoRoomError, NotIntroducedError, ReplacedStreamError
from heartbench.hub.liveness.node import Hello
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.upload import Files, UploadService
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import FencedError, NodeWrite, StoreUnavailableError
from heartbench.hub.store.received_files import FileReceiver, FileRefusedError
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.mesh import encoding
from heartbench.mesh.encoding import file_chunk, upload_of
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, FileChunk

NODE = Peer("10.0.0.1:40000")
AFTERWARDS = Peer("10.0.0.1:40001")


class GatedStore(MemoryStore):
    """A store that is out of reach until it a test lets it through."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.reachable = True
        self.fenced = False
        self.written: list[NodeWrite] = []

    def write(self, batch: Sequence[NodeWrite]) -> None:
        if self.fenced:
            raise FencedError("another hub has the store")
        if not self.reachable:
            raise StoreUnavailableError("not now")
        self.written.extend(batch)


class Stream:
    """An Upload stream in memory."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.acks: list[ChunkAck] = []
        self.taken = 0

    def put(self, *chunks: Chunk | None) -> "Stream":
        for one in chunks:
            self.sent.put_nowait(one)
        return self

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        while (message := await self.sent.get()) is not None:
            self.taken += 1
            yield message

    async def send(self, ack: ChunkAck) -> None:
        self.acks.append(ack)


def chunk(seq: int, boot_id: int = 1, data: bytes = b"text") -> Chunk:
    return encoding.chunk(seq, data, boot_id)


CLOCK = ManualClock()
Scene = Callable[[Hub, UploadService, GatedStore], Awaitable[None]]


def run(scene: Scene, files_dir: Path | None = None, **settings: object) -> None:
    async def played() -> None:
        store = GatedStore()
        hub = open_hub(HubSettings.of(store_linger_s=0, **settings), CLOCK, store)
        hub.hello(Hello("n", 1, 0), CLOCK.now_s)
        files = None
        if files_dir is not None:
            executor = BoundedExecutor(1, 4)
            executor.start()
            files = Files(FileReceiver(files_dir, 1000, 1 << 20), executor, 1 << 20)
        writing = asyncio.create_task(hub.writer.run())
        try:
            await scene(hub, UploadService(hub, CLOCK, files), store)
        finally:
            if files:
                await files.executor.close()
            writing.cancel()
            await asyncio.wait([writing])

    asyncio.run(asyncio.wait_for(played(), 10))


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)


def test_chunks_are_kept_once_and_acknowledged_in_order() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        stream = Stream().put(chunk(1), chunk(2), chunk(1), chunk(3), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        assert [stored.seq for stored in hub.history("n")] == [1, 2, 3]
        seqs = [ack.seq for ack in stream.acks]
        assert seqs[-1] == 3
        assert len(uploads) == 0

    run(scene)


def test_a_chunk_is_acknowledged_only_when_it_is_stored() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        stream = Stream().put(chunk(1), chunk(2))
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(stream), stream.send))
        await settle()
        assert (stream.taken, stream.acks) == (2, [])
        session, _ = hub.hello(Hello("n", 1, 1), CLOCK.now_s)
        assert session is not None
        assert hub.saved_seq(session) == 0
        store.reachable = True
        stream.put(None)
        await task
        assert [ack.seq for ack in stream.acks] == [2]
        assert hub.saved_seq(session) == 2

    run(scene)


def test_buffered_chunks_are_acknowledged_at_once() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        stream = Stream().put(chunk(1), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        assert [ack.seq for ack in stream.acks] == [1]

    run(scene, store_durability="buffered")


def test_a_node_with_too_much_in_flight_is_not_read() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        stream = Stream().put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 11)))
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(stream), stream.send))
        await settle()
        assert stream.taken == 4  # three fit, one waits
        store.reachable = True
        stream.put(None)
        await task
        assert stream.acks[-1].seq == 10

    run(scene, node_inflight_bytes=3500)


def test_a_stream_that_breaks_gives_its_room_back() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        broken, other = Stream().put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 6))), Stream()
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(broken), broken.send))
        second = asyncio.create_task(uploads.upload(NODE, "n", aiter(other), other.send))
        await settle()
        task.cancel()
        await asyncio.wait([task])
        store.reachable = True
        other.put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 6)), None)
        await second
        assert other.acks[-1].seq == 5

    run(scene, node_inflight_bytes=3500)


@pytest.mark.parametrize(
    ("node_id", "sent", "error"),
    [
        ("unknown", chunk(1), NotIntroducedError),
        ("n", chunk(1, boot_id=2), NotIntroducedError),
        ("n", chunk(1 << 63), BadMessageError),
        ("n", upload_of(FileChunk(path="a")), BadMessageError),
    ],
)
def test_what_cannot_be_taken_is_refused(node_id: str, sent: Chunk, error: type[Exception]) -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        stream = Stream().put(sent)
        with pytest.raises(error):
            await uploads.upload(NODE, node_id, aiter(stream), stream.send)
        assert stream.acks == []

    run(scene)


def test_only_so_many_streams_are_open_on_one_connection() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        streams = [Stream() for _ in range(2)]
        tasks = [asyncio.create_task(uploads.upload(NODE, "n", aiter(one), one.send)) for one in streams]
        await settle()
        with pytest.raises(NoRoomError, match="HUB_UPLOADS_PER_NODE"):
            await uploads.upload(NODE, "n", aiter(Stream()), streams[0].send)
        uploads.close()
        await asyncio.gather(*tasks)
        assert len(uploads) == 0

    run(scene, uploads_per_node=2)


def test_one_from_another_connection_replaces_the_one_that_was_silent_longest() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        dead, busy, new = Stream(), Stream(), Stream()
        first, second = (asyncio.create_task(uploads.upload(NODE, "n", aiter(one), one.send)) for one in (dead, busy))
        await settle()
        CLOCK.now_s += 1.0
        busy.put(chunk(1))
        await settle()
        third = asyncio.create_task(uploads.upload(AFTERWARDS, "n", aiter(new), new.send))
        with pytest.raises(ReplacedStreamError, match=r"from 10\.0\.0\.1:40001"):
            await first
        assert len(uploads) == 2
        for stream in (busy, new):
            stream.put(None)
        await asyncio.gather(second, third)
        assert len(uploads) == 0

    run(scene, uploads_per_node=2)


def test_one_that_waits_for_the_store_gives_its_place_and_its_room_up_at_once() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        dead, new = Stream().put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 6))), Stream()
        first = asyncio.create_task(uploads.upload(NODE, "n", aiter(dead), dead.send))
        await settle()
        second = asyncio.create_task(uploads.upload(AFTERWARDS, "n", aiter(new), new.send))
        with pytest.raises(ReplacedStreamError):
            await first
        store.reachable = True
        new.put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 6)), None)
        await second
        assert new.acks[-1].seq == 5

    run(scene, uploads_per_node=1, node_inflight_bytes=3500)


def test_a_hello_of_another_boot_ends_the_uploads_of_the_one_before() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        old, new, fresh = Stream().put(chunk(1)), Stream(), Stream()
        tasks = [asyncio.create_task(uploads.upload(NODE, "n", aiter(one), one.send)) for one in (old, new, fresh)]
        await settle()
        hub.hello(Hello("n", 2, 0), CLOCK.now_s)
        new.put(chunk(1, boot_id=2))
        await settle()
        uploads.places.replaced("n", 2, None, AFTERWARDS)
        with pytest.raises(ReplacedStreamError, match="newer Hello"):
            await tasks[0]
        assert len(uploads) == 2
        uploads.close()
        await asyncio.gather(*tasks[1:])

    run(scene)


def test_a_node_that_comes_back_with_a_smaller_boot_can_write_again() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        greatest, _ = hub.hello(Hello("n", 2**62, 0), CLOCK.now_s)
        assert greatest is not None
        stream = Stream().put(chunk(5, boot_id=2**62), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        hub.goodbye(greatest, CLOCK.now_s)
        session, _ = hub.hello(Hello("n", 3, 0), CLOCK.now_s)
        assert session is not None
        assert hub.saved_seq(session) == 0
        stream = Stream().put(chunk(1, boot_id=3), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        assert [(ack.boot_id, ack.seq) for ack in stream.acks] == [(3, 1)]
        assert [stored.position for stored in hub.history("n")] == [(3, 1)]
        last = store.written[-1]
        assert [stored.position for stored in last.chunks] == [(3, 1)]
        assert any(write.anew for write in store.written)

    run(scene)


def test_a_hello_on_another_connection_ends_the_uploads_on_that_of_the_stream_it_replaces() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        streams = [Stream() for _ in range(3)]
        peers = NODE, AFTERWARDS, Peer("10.0.0.1:40002")
        tasks = [
            asyncio.create_task(uploads.upload(peer, "n", aiter(one), one.send))
            for peer, one in zip(peers, streams, strict=True)
        ]
        await settle()
        uploads.places.replaced("n", 1, NODE, NODE)
        assert len(uploads) == 3
        uploads.places.replaced("n", 1, NODE, AFTERWARDS)
        with pytest.raises(ReplacedStreamError):
            await tasks[0]
        assert len(uploads) == 2
        uploads.close()
        await asyncio.gather(*tasks[1:])

    run(scene)


def test_all_streams_together_are_bounded_by_what_grpc_may_hold_of_them() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        assert hub.settings.max_uploads == 2
        streams = [Stream() for _ in range(2)]
        tasks = [
            asyncio.create_task(uploads.upload(NODE, f"n{i}", aiter(one), one.send)) for i, one in enumerate(streams)
        ]
        await settle()
        with pytest.raises(NoRoomError, match="HUB_MAX_INFLIGHT_BYTES"):
            await uploads.upload(NODE, "n", aiter(Stream()), streams[0].send)
        await uploads.close_node("n0")
        uploads.close()
        await asyncio.gather(*tasks)

    run(scene, max_inflight_bytes=4 << 20, window_bytes=1 << 20, peer_share=1)


def test_one_peer_takes_no_more_than_its_share_of_all_streams() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        greedy, other = Stream(), Stream()
        tasks = [asyncio.create_task(uploads.upload(NODE, "n", aiter(greedy), greedy.send))]
        await settle()
        with pytest.raises(NoRoomError, match=r"10\.0\.0\.1 has 1 of at most 2 .* HUB_PEER_SHARE"):
            await uploads.upload(AFTERWARDS, "m", aiter(Stream()), greedy.send)
        tasks.append(asyncio.create_task(uploads.upload(Peer("10.0.0.2:1"), "m", aiter(other), other.send)))
        await settle()
        assert len(uploads) == 2
        uploads.close()
        await asyncio.gather(*tasks)
        await uploads.upload(AFTERWARDS, "m", aiter(Stream().put(None)), greedy.send)

    run(scene, max_inflight_bytes=4 << 20, window_bytes=1 << 20)


def test_a_stream_without_messages_ends_unless_its_node_is_connected() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        streams = {name: Stream() for name in ("n", "stranger", "talker")}
        hub.closed(hub.hello(Hello("talker", 1, 0), CLOCK.now_s)[0], CLOCK.now_s)  # type: ignore[arg-type]
        tasks = {
            name: asyncio.create_task(uploads.upload(NODE, name, aiter(one), one.send)) for name, one in streams.items()
        }
        await settle()
        CLOCK.now_s += hub.settings.hello_within_s
        streams["talker"].put(chunk(1))
        await settle()
        uploads.places.end_idle()
        assert len(uploads) == 3
        CLOCK.now_s += 1.0
        uploads.places.end_idle()
        with pytest.raises(NotIntroducedError, match=r"'stranger' at 10\.0\.0\.1:40000: no Connect stream"):
            await tasks["stranger"]
        assert len(uploads) == 2
        uploads.close()
        await asyncio.gather(tasks["n"], tasks["talker"])

    run(scene)


def test_a_newcomer_takes_the_place_of_an_idle_stream_if_all_are_taken() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        streams = [Stream() for _ in range(3)]
        tasks = [asyncio.create_task(uploads.upload(NODE, "n", aiter(one), one.send)) for one in streams[:2]]
        await settle()
        CLOCK.now_s += hub.settings.hello_within_s + 1.0
        streams[1].put(chunk(1))
        await settle()
        tasks.append(asyncio.create_task(uploads.upload(NODE, "n", aiter(streams[2]), streams[2].send)))
        with pytest.raises(NoRoomError, match="idle"):
            await tasks[0]
        with pytest.raises(NoRoomError, match="HUB_MAX_INFLIGHT_BYTES"):
            await uploads.upload(NODE, "n", aiter(Stream()), streams[0].send)
        uploads.close()
        await asyncio.gather(*tasks[1:])

    run(scene, max_inflight_bytes=4 << 20, window_bytes=1 << 20, peer_share=1)


def test_a_peer_that_has_its_share_may_replace_an_idle_stream_of_its_own() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        elsewhere, behind_a_nat = Stream(), Stream()
        first = Peer("10.0.0.2:1"), "m", aiter(elsewhere), elsewhere.send
        second = NODE, "n", aiter(behind_a_nat), behind_a_nat.send
        tasks = [asyncio.create_task(uploads.upload(*arguments)) for arguments in (first, second)]
        await settle()
        CLOCK.now_s += hub.settings.hello_within_s + 1.0
        await uploads.upload(AFTERWARDS, "o", aiter(Stream().put(None)), behind_a_nat.send)
        with pytest.raises(NoRoomError, match="idle"):
            await tasks[1]
        uploads.close()
        await tasks[0]

    run(scene, max_inflight_bytes=4 << 20, window_bytes=1 << 20)


def test_a_stream_that_the_hub_does_not_read_is_not_idle() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        session, _ = hub.hello(Hello("n", 1, 1), CLOCK.now_s)
        assert session is not None
        stream = Stream().put(*(chunk(seq, data=bytes(1000)) for seq in range(1, 6)))
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(stream), stream.send))
        await settle()
        hub.closed(session, CLOCK.now_s)
        CLOCK.now_s += 60.0
        uploads.places.end_idle()
        store.reachable = True
        stream.put(None)
        await task
        assert stream.acks[-1].seq == 5

    run(scene, node_inflight_bytes=3500)


def test_a_store_that_another_hub_took_ends_the_stream() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.fenced = True
        stream = Stream().put(chunk(1))
        with pytest.raises(FencedError, match="another hub"):
            await uploads.upload(NODE, "n", aiter(stream), stream.send)
        assert stream.acks == []

    run(scene)


def piece(path: str, offset: int, data: bytes, whole: bytes | None = None) -> Chunk:
    return upload_of(file_chunk(path, offset, data, sha256(whole).digest() if whole is not None else None))


def test_a_stream_that_is_refused_ends_after_the_message_that_is_being_written() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        reads, written = asyncio.Event(), []

        async def send(ack: ChunkAck) -> None:
            await reads.wait()
            written.append(ack.seq)

        stream = Stream().put(chunk(1))
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(stream), send))
        await settle()
        stream.put(chunk(0))
        await settle()
        assert not task.done()
        reads.set()
        with pytest.raises(BadMessageError):
            await task
        assert written == [1]

    run(scene)


def test_a_file_arrives_beside_chunks(tmp_path: Path) -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        stream = Stream().put(piece("a/b", 0, b"12"), chunk(1), piece("a/b", 2, b"34", b"1234"), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        told = [(ack.file.held_bytes, ack.file.complete) for ack in stream.acks if ack.HasField("file")]
        assert told == [(2, False), (4, True)]
        assert (tmp_path / "files" / "n" / "a" / "b").read_bytes() == b"1234"

    run(scene, files_dir=tmp_path)


def test_an_incomplete_file_goes_with_its_node(tmp_path: Path) -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        stream = Stream().put(piece("a", 0, b"12"), piece("b", 0, b"1", b"1"), None)
        await uploads.upload(NODE, "n", aiter(stream), stream.send)
        await uploads.forget_files("n")

    run(scene, files_dir=tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]


def test_a_file_that_cannot_be_taken_ends_the_stream_with_a_reason(tmp_path: Path) -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        stream = Stream().put(piece("../a", 0, b"1"))
        with pytest.raises(FileRefusedError):
            await uploads.upload(NODE, "n", aiter(stream), stream.send)

    run(scene, files_dir=tmp_path)
