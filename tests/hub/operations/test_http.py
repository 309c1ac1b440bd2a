"""Metrics and health over real HTTP."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.operations import http
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5"


def settings(**changes: object) -> HubSettings:
    return HubSettings.of(**{"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "store_url": "memory:", **changes})


def run(scene: Callable[[HubServer], Awaitable[None]], **changes: object) -> None:
    async def served() -> None:
        async with HubServer(settings(**changes)) as server:
            await scene(server)

    asyncio.run(asyncio.wait_for(served(), 20))


async def get(server: HubServer, path: str, accept: str = "") -> tuple[int, str, str]:
    """Return status, content type and text of a page."""

    def read() -> tuple[int, str, str]:
        assert server.http is not None
        request = Request(f"http://{server.http.address}{path}", headers={"Accept": accept})
        try:
            with urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["content-type"], answer.read().decode()
        except HTTPError as error:
            return error.code, error.headers["content-type"], error.read().decode()

    return await asyncio.to_thread(read)


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [("", "text/plain; version=0.0.4", parse_text), (OPENMETRICS, "application/openmetrics-text", parse_openmetrics)],
)
def test_a_scraper_reads_the_figures(accept: str, content_type: str, parse: Callable[[str], Iterator]) -> None:  # type: ignore[type-arg]
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("n"))
            await stream.read()
            await stream.write(heartbeat(1, time.time(), ack=True))
            await stream.read()
            status, type_, text = await get(server, "/metrics", accept)
        assert status == 200
        assert type_.startswith(content_type)
        samples: dict[tuple[str, str], float] = {}
        for family in parse(text):
            for sample in family.samples:
                assert isinstance(sample, Sample)
                samples[sample.name, ",".join(dict(sorted(sample.labels.items())).values())] = sample.value
        assert samples["heartbench_hub_nodes", "online"] == 1
        assert samples["heartbench_hub_nodes", "stale"] == 0
        assert samples["heartbench_hub_heartbeats_total", ""] == 1
        assert samples["heartbench_hub_flaps_total", ""] == 0
        assert samples["heartbench_hub_heartbeat_latency_seconds_count", ""] == 1
        assert samples["grpc_server_started_total", "Connect,heartbench.mesh.v1.NodeMesh,bidi_stream"] == 1
        assert samples["process_open_fds", ""] > 3

    run(scene)


def test_probes_tell_alive_from_ready() -> None:
    async def scene(server: HubServer) -> None:
        assert (await get(server, "/healthz"))[::2] == (200, "ok\n")
        assert (await get(server, "/readyz"))[::2] == (200, "ok\n")
        server.health.set_store(ok=False)
        assert (await get(server, "/readyz"))[::2] == (503, "the store cannot be written\n")
        server.health.set_store(ok=True)
        server.health.drain()
        assert (await get(server, "/readyz"))[::2] == (503, "the hub is about to stop\n")
        assert (await get(server, "/healthz"))[0] == 200
        assert (await get(server, "/"))[0] == 404

    run(scene)


def test_a_hub_whose_event_loop_hangs_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.05)

    async def scene(server: HubServer) -> None:
        answered = threading.Event()
        answers = []

        def ask() -> None:
            assert server.http is not None
            try:
                urlopen(f"http://{server.http.address}/healthz", timeout=10)
            except HTTPError as error:
                answers.append(error.code)
                error.close()
            answered.set()

        threading.Thread(target=ask).start()
        answered.wait(10)  # on the event loop, which serves nothing meanwhile
        assert answers == [503]

    run(scene)


def test_connections_without_a_request_shut_nobody_out() -> None:
    async def scene(server: HubServer) -> None:
        assert server.http is not None
        host, port = server.http.address.split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(3 * http.MOST_CONNECTIONS)]
        assert (await get(server, "/healthz"))[0] == 200
        for each in idle:
            each.close()

    run(scene)


def test_the_address_is_checked() -> None:
    with pytest.raises(HubError, match=r"HUB_HTTP_LISTEN='0\.0\.0\.0:1' is not a loopback address"):
        settings(http_listen="0.0.0.0:1")
    assert settings(http_listen="0.0.0.0:1", insecure=True).http_listen == "0.0.0.0:1"
    with pytest.raises(HubError, match="HUB_HTTP_LISTEN='nowhere': expected HOST:PORT"):
        settings(http_listen="nowhere")


def test_a_busy_address_is_refused() -> None:
    async def scene(server: HubServer) -> None:
        assert server.http is not None
        with pytest.raises(HubError, match=f"HUB_HTTP_LISTEN='{server.http.address}' cannot be bound"):
            async with HubServer(settings(http_listen=server.http.address)):
                pass

    run(scene)


def test_without_the_packages_one_line_says_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "heartbench.hub.operations.http", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    async def scene() -> None:
        with pytest.raises(HubError, match=r"HUB_HTTP_LISTEN=.* needs uvicorn: pip install .*\[metrics\]"):
            async with HubServer(settings()):
                pass

    asyncio.run(scene())
