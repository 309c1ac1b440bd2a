"""Messages of a node, and reading those of the hub."""

from zlib import crc32

import pytest

from heartbench.mesh import encoding
from heartbench.mesh.kinds import KINDS, WORDS, Kind
from heartbench.mesh.v1.mesh_pb2 import Command, Drain, HeartbeatAck, HubMessage, Throttle, Welcome


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (HubMessage(welcome=Welcome(epoch=1)), Welcome(epoch=1)),
        (HubMessage(heartbeat_ack=HeartbeatAck(seq=2)), HeartbeatAck(seq=2)),
        (HubMessage(command=Command(command_id="c")), Command(command_id="c")),
        (HubMessage(throttle=Throttle(retry_after_s=3)), Throttle(retry_after_s=3)),
        (HubMessage(drain=Drain(reconnect_after_s=4)), Drain(reconnect_after_s=4)),
        (HubMessage(), None),
    ],
)
def test_a_message_of_the_hub_is_read_by_type(message: HubMessage, body: encoding.HubBody | None) -> None:
    assert encoding.body_of(message) == body


def test_the_last_part_of_a_file_carries_the_hash_of_the_whole() -> None:
    first, last = encoding.file_chunk("a", 0, b"12"), encoding.file_chunk("a", 2, b"3", b"hash")
    assert (first.crc32, first.last, first.sha256) == (crc32(b"12"), False, b"")
    assert (last.offset, last.last, last.sha256) == (2, True, b"hash")


def test_an_upload_names_its_node_in_the_metadata() -> None:
    assert encoding.upload_metadata("n") == (("node-id", "n"),)
    for name in ("n", "ü", " n", "n\n"):
        assert encoding.node_id_of(encoding.upload_metadata(name)) == name
    assert encoding.node_id_of([("node-id-bin", b"\xff")]) == "\ufffd"  # that of no node
    assert encoding.node_id_of(None) == ""


def test_kinds_have_the_numbers_of_the_trace_and_the_words_of_the_observer_file() -> None:
    assert WORDS == ("hello", "heartbeat", "chunk", "goodbye")
    assert [WORDS[kind] for kind in Kind] == list(KINDS)
    assert [int(kind) for kind in KINDS.values()] == [0, 1, 2, 3]
