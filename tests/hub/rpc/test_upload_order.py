"""What is acknowledged is held, and what is not taken is refused with the reason."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.hub.rpc.test_upload import CLOCK, NODE, GatedStore, Stream, chunk, run, settle

from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, HubError, OutdatedStreamError, OutOfOrderError
from heartbench.hub.liveness.node import Hello
from heartbench.hub.rpc.upload import UploadService
from heartbench.hub.store.order import LONGEST_SKIP
from heartbench.mesh.v1.mesh_pb2 import Chunk


def text(seq: int, boot_id: int = 1, data: bytes | None = None) -> Chunk:
    return chunk(seq, boot_id, f"{boot_id}/{seq}".encode() if data is None else data)


async def send(uploads: UploadService, *chunks: Chunk) -> Stream:
    """Send on a stream of its own, to its end."""
    stream = Stream().put(*chunks, None)
    await uploads.upload(NODE, "n", aiter(stream), stream.send)
    return stream


def held(hub: Hub) -> list[tuple[int, int]]:
    return [stored.position for stored in hub.history("n")]


@pytest.mark.parametrize(
    ("before", "refused", "error", "reason"),
    [
        ([1, 2, 5], text(3), OutOfOrderError, "1/3.*not held.*1/6 or later"),
        (range(1, 11), text(1, data=b"a counter that was reset"), BadMessageError, "1/1.*other data.*1/11 or later"),
        (range(1, 201), text(1, data=b"the same, long after"), OutOfOrderError, "1/1.*1/201 or later"),
        ([1], text(2 + LONGEST_SKIP), BadMessageError, "1/1 "),
        ([], text(2**63 - 1), BadMessageError, str(LONGEST_SKIP)),
        ([1], text(0), BadMessageError, "from 1"),
        ([1], text(1, boot_id=0), BadMessageError, "from 1"),
    ],
)
def test_what_the_hub_does_not_hold_is_refused_and_not_acknowledged(
    before: Sequence[int], refused: Chunk, error: type[HubError], reason: str
) -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        await send(uploads, *(text(seq) for seq in before))
        known = held(hub)
        stream = Stream().put(refused, None)
        with pytest.raises(error, match=reason):
            await uploads.upload(NODE, "n", aiter(stream), stream.send)
        assert stream.acks == []
        assert held(hub) == known

    run(scene)


def test_a_node_that_is_refused_goes_on_after_the_newest_or_in_a_new_boot() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        await send(uploads, text(1), text(LONGEST_SKIP))
        with pytest.raises(OutOfOrderError):
            await send(uploads, text(2))
        assert (await send(uploads, text(LONGEST_SKIP + 1))).acks[-1].seq == LONGEST_SKIP + 1
        hub.hello(Hello("n", 2, 0), CLOCK.now_s)
        assert (await send(uploads, text(1, boot_id=2))).acks[-1].boot_id == 2
        assert held(hub)[-1] == (2, 1)

    run(scene)


def test_a_node_may_skip_what_it_dropped_itself() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        await send(uploads, text(1), text(2))
        assert (await send(uploads, text(700), text(701))).acks[-1].seq == 701
        assert held(hub) == [(1, 1), (1, 2), (1, 700), (1, 701)]

    run(scene)


def test_what_is_sent_again_before_it_is_stored_is_a_duplicate_even_if_the_history_dropped_it() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        store.reachable = False
        broken, second = Stream().put(*map(text, range(1, 11))), Stream().put(*map(text, range(1, 13)), None)
        first = asyncio.create_task(uploads.upload(NODE, "n", aiter(broken), broken.send))
        await settle()
        first.cancel()
        await asyncio.wait([first])
        task = asyncio.create_task(uploads.upload(NODE, "n", aiter(second), second.send))
        await settle()
        assert second.acks == []
        store.reachable = True
        await task
        assert second.acks[-1].seq == 12
        assert held(hub) == [(1, 10), (1, 11), (1, 12)]

    run(scene, history_chunks=3)


def test_a_boot_that_is_over_gets_an_error() -> None:
    async def scene(hub: Hub, uploads: UploadService, store: GatedStore) -> None:
        hub.hello(Hello("n", 2, 0), CLOCK.now_s)
        with pytest.raises(OutdatedStreamError, match="boot 1 ended with the Hello of boot 2"):
            await send(uploads, text(1))
        assert held(hub) == []

    run(scene)
