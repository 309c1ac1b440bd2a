"""A node that speaks HTTP/2 by hand: for loads under which gRPC's own client would need more CPU than the hub itself.

It can do just what a node needs against a hub on loopback: one connection, `Connect` on stream 1, `Upload` on stream 3,
small messages. Headers are sent as literals and received ones are not looked at, so there is no compression to keep in
step (RFC 7541, 6.2.2). It sends no more than it has been given credit for, and receives too little to have to give any.
"""

import asyncio
from collections.abc import Callable, Iterator

from heartbench.mesh.v1 import mesh_pb2 as pb

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
CONNECT, UPLOAD = 1, 3
FIRST_CREDIT = 65_535
"""Of a connection (RFC 9113, 6.9.2); the hub grants a stream no less."""

Sent = pb.NodeMessage | pb.Chunk


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def headers(stream: int, method: str, metadata: dict[str, str]) -> bytes:
    """What opens a call: each field as a literal, neither indexed nor compressed."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/heartbench.mesh.v1.NodeMesh/{method}",
        ":authority": "hub",
        "te": "trailers",
        "content-type": "application/grpc",
        **metadata,
    }
    block = b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())
    return frame(HEADERS, END_HEADERS, stream, block)


def text(words: str) -> bytes:
    """A string of up to 126 bytes (RFC 7541, 5.2)."""
    data = words.encode()
    assert len(data) < 127  # noqa: S101
    return bytes((len(data),)) + data


def frames(buffer: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Take the whole frames out of a buffer: kind, flags, stream, payload."""
    while len(buffer) >= 9:
        end = 9 + int.from_bytes(buffer[:3])
        if len(buffer) < end:
            return
        yield buffer[3], buffer[4], int.from_bytes(buffer[5:9]), bytes(buffer[9:end])
        del buffer[:end]


def messages(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole messages out of a stream's buffer."""
    while len(buffer) >= 5:
        end = 5 + int.from_bytes(buffer[1:5])
        if len(buffer) < end:
            return
        yield bytes(buffer[5:end])
        del buffer[:end]


class RawNode(asyncio.Protocol):
    """A node on one connection. `told` and `acknowledged` are called with what the hub says on either stream."""

    def __init__(
        self, name: str, told: Callable[[pb.HubMessage], None], acknowledged: Callable[[pb.ChunkAck], None]
    ) -> None:
        self.name = name
        self.ended: str = ""
        """Why the connection or a stream is over, once it is."""
        self._told = told
        self._acknowledged = acknowledged
        self._buffer = bytearray()
        self._streams = {CONNECT: bytearray(), UPLOAD: bytearray()}
        self._credit = {0: FIRST_CREDIT, CONNECT: FIRST_CREDIT, UPLOAD: FIRST_CREDIT}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open both calls and say Hello; no chunk may be sent before the Welcome."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101
        self._transport = transport
        transport.write(PREFACE + frame(SETTINGS, 0, 0) + headers(CONNECT, "Connect", {}))
        self.send(CONNECT, pb.NodeMessage(hello=pb.Hello(node_id=self.name, boot_id=1)))
        transport.write(headers(UPLOAD, "Upload", {"node-id": self.name}))

    def send(self, stream: int, message: Sent) -> None:
        """Send a message now."""
        data = message.SerializeToString()
        payload = b"\0" + len(data).to_bytes(4) + data
        for which in (0, stream):
            self._credit[which] -= len(payload)
            assert self._credit[which] >= 0, "more than the hub gave credit for"  # noqa: S101
        self._transport.write(frame(DATA, 0, stream, payload))

    def close(self) -> None:
        """Close the connection."""
        self.ended = self.ended or "closed here"
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data
        for kind, flags, stream, payload in frames(self._buffer):
            if kind == DATA:
                self._hear(stream, payload)
            elif kind == WINDOW_UPDATE and stream in self._credit:
                self._credit[stream] += int.from_bytes(payload)
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self._transport.write(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind in (RESET, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
                self.ended = self.ended or f"frame {kind} on stream {stream}"

    def connection_lost(self, error: Exception | None) -> None:
        """Note that it is over."""
        self.ended = self.ended or f"connection lost: {error}"

    def _hear(self, stream: int, payload: bytes) -> None:
        buffer = self._streams[stream]
        buffer += payload
        for message in messages(buffer):
            if stream == CONNECT:
                self._told(pb.HubMessage.FromString(message))
            else:
                self._acknowledged(pb.ChunkAck.FromString(message))
