from heartbench.benchmarks.hub.frames import DATA, PING, RawNode, frame, frames, messages
from heartbench.mesh.v1 import mesh_pb2 as pb


class Wire:
    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data


def message(body: pb.HubMessage | pb.ChunkAck) -> bytes:
    data = body.SerializeToString()
    return b"\0" + len(data).to_bytes(4) + data


def test_frames_are_taken_out_when_they_are_whole() -> None:
    whole = frame(DATA, 1, 3, b"abc") + frame(PING, 0, 0, b"12345678")
    buffer, found = bytearray(), []
    for byte in whole:
        buffer.append(byte)
        found += list(frames(buffer))
    assert found == [(DATA, 1, 3, b"abc"), (PING, 0, 0, b"12345678")]
    assert not buffer


def test_messages_are_put_together_from_pieces() -> None:
    buffer = bytearray(message(pb.ChunkAck(seq=7))[:4])
    assert list(messages(buffer)) == []
    buffer += message(pb.ChunkAck(seq=7))[4:] + message(pb.ChunkAck(seq=8))
    assert [pb.ChunkAck.FromString(data).seq for data in messages(buffer)] == [7, 8]


def test_a_node_hears_both_streams_and_answers_pings() -> None:
    told: list[pb.HubMessage] = []
    acknowledged: list[pb.ChunkAck] = []
    node = RawNode("n", told.append, acknowledged.append)
    wire = Wire()
    node._transport = wire  # type: ignore[assignment]
    welcome, ack = pb.HubMessage(welcome=pb.Welcome(epoch=3)), pb.ChunkAck(boot_id=1, seq=2)
    node.data_received(frame(DATA, 0, 1, message(welcome)) + frame(DATA, 0, 3, message(ack)))
    node.data_received(frame(PING, 0, 0, b"12345678"))
    assert (told, acknowledged) == ([welcome], [ack])
    assert wire.written == frame(PING, 1, 0, b"12345678")
