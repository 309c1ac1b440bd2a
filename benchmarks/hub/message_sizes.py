"""What a heartbeat, a ping and a new connection really send, against the sizes that the simulator has.

    python -m heartbench.benchmarks.hub.message_sizes

A hub and one node on loopback, and between them a relay that counts the bytes of the stream in both directions: what
TCP carries, without its headers. Nothing else is sent while a step is counted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import typer

from heartbench.hub import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc
from heartbench.simulator import connection as model

HEARTBEATS = 100
SETTLE_S = 0.5
"""Time for what was sent to pass the relay."""
PINGS_FOR_S = 12.0
"""Long enough for several pings: gRPC sends none sooner than 1 s after another here."""


@dataclass
class Relay:
    """Passes a stream on, and counts its bytes up and down."""

    port: int
    up: int = 0
    down: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Yield the address to connect to."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            yield f"{host}:{port}"
            for writer in self.writers:
                writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += [writer, hub_writer]
        await asyncio.gather(self._pass(reader, hub_writer, "up"), self._pass(hub_reader, writer, "down"))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        while data := await reader.read(65_536):
            setattr(self, way, getattr(self, way) + len(data))
            writer.write(data)

    def counted(self) -> tuple[int, int]:
        """Return the bytes up and down so far."""
        return self.up, self.down


async def measured(settings: HubSettings) -> list[tuple[str, float, float]]:
    """Return what was sent up and down for each step, in bytes."""
    async with HubServer(settings) as server:
        relay = Relay(int(server.address.rpartition(":")[2]))
        async with relay.listening() as address:
            return await _steps(address, relay)


async def _steps(address: str, relay: Relay) -> list[tuple[str, float, float]]:
    options = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 20_000)]
    found: list[tuple[str, float, float]] = []
    async with open_aio_channel(address) as channel:
        call = pb_grpc.NodeMeshStub(channel).Connect()
        await call.write(hello("edge-00000", boot_id=1))
        await call.read()
        await asyncio.sleep(SETTLE_S)
        found.append(("connect, Hello and Welcome", float(relay.up), float(relay.down)))
        for ack in (False, True):
            before = relay.counted()
            for seq in range(HEARTBEATS):
                await call.write(heartbeat(1000 + seq, sent_unix_s=1.79e9 + seq / 7, ack=ack))
                if ack:
                    await call.read()
            await asyncio.sleep(SETTLE_S)
            up, down = (after - b for after, b in zip(relay.counted(), before, strict=True))
            found.append((f"heartbeat{' with an answer' if ack else ''}", up / HEARTBEATS, down / HEARTBEATS))
    async with open_aio_channel(address, options=options) as channel:
        call = pb_grpc.NodeMeshStub(channel).Connect()
        await call.write(hello("edge-00000", boot_id=2))
        await call.read()
        await asyncio.sleep(SETTLE_S)
        before = relay.counted()
        await asyncio.sleep(PINGS_FOR_S)
        up, down = (after - b for after, b in zip(relay.counted(), before, strict=True))
        found.append((f"pings in {PINGS_FOR_S:g} s, all", float(up), float(down)))
    return found


MODELLED = {
    "connect, Hello and Welcome": (
        model.PREFACE_BYTES + model.HELLO_BYTES,
        model.SETTINGS_BYTES + model.WELCOME_BYTES,
    ),
    "heartbeat": (model.HEARTBEAT_BYTES, 0),
    "heartbeat with an answer": (model.HEARTBEAT_BYTES, model.HEARTBEAT_ACK_BYTES),
}


def main() -> None:
    """Print what each step sends, and what the simulator has for it."""
    settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:")
    typer.echo("| step | up, bytes | down, bytes | in the model, up and down |\n| --- | ---: | ---: | ---: |")
    for name, up, down in asyncio.run(measured(settings)):
        known = MODELLED.get(name)
        modelled = f"{model.PING_BYTES} a ping, each way" if known is None else f"{known[0]} and {known[1]}"
        typer.echo(f"| {name} | {up:.1f} | {down:.1f} | {modelled} |")


if __name__ == "__main__":
    typer.run(main)
