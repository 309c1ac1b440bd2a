"""`heartbench nodes|events|history|stats` against a real hub."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.hub.security.pki import Pki

from heartbench.cli import nodes
from heartbench.cli.app import invoke
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.registry import Hello
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_channel
from heartbench.mesh.encoding import chunk, hello, upload_metadata
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

NODES = 7


class Served:
    """A hub in a thread of its own, so that commands can call it."""

    def __init__(self, **settings: Any) -> None:
        self.server = HubServer(HubSettings.of(**{"listen": "127.0.0.1:0", "store_url": "memory:", **settings}))
        self.ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self.thread.start()
        assert self.ready.wait(10)

    async def _serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        async with self.server:
            now = self.loop.time()
            for number in range(NODES):
                self.server.hub.hello(Hello(f"n{number}", 1, 0, 10.0, {"site": "a"}), now)
            self.ready.set()
            await self.server.run_until(self.stop)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    with open_channel(served.server.address) as channel:
        stub = NodeMeshStub(channel)
        stream = stub.Connect(iter([hello("w\x1b[2J")]))
        next(stream)
        acks = stub.Upload(iter([chunk(1, b"one\ntwo\x1b]0;title\x07\xff\n")]), metadata=upload_metadata("n0"))
        next(acks)
        yield served
    served.close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = invoke(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_nodes_are_listed_page_by_page(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "PAGE", 3)
    status, out, _ = run(capsys, "nodes", "--hub", served.server.address, "--json")
    assert status == 0
    listed = json.loads(out)
    assert listed["schema"] == "heartbench.nodes/1"
    assert [node["node_id"] for node in listed["nodes"]][:NODES] == [f"n{number}" for number in range(NODES)]
    first = listed["nodes"][0]
    assert (first["status"], first["connected"], first["labels"]) == ("online", True, {"site": "a"})
    assert first["heartbeat_interval_s"] == 10
    _, out, _ = run(capsys, "nodes", "--hub", served.server.address, "--status", "stale", "--json")
    assert json.loads(out)["nodes"] == []


def test_a_table_carries_no_control_characters_of_a_node(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "nodes", "--hub", served.server.address)
    assert status == 0
    assert "n6" in out
    assert "w\\u001b[2J" in out
    assert "\x1b" not in out


def test_events_end_with_the_newest(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "events", "--hub", served.server.address, "--json")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["changed"]["reason"] == "registered"
    _, out, _ = run(capsys, "events", "--hub", served.server.address, "--node", "n3")
    (line,) = out.splitlines()
    assert "changed node_id=n3 status=online connected=True flapping=False reason=registered" in line


def test_history_is_shown_without_commands_to_the_terminal(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "history", "n0", "--hub", served.server.address)
    assert (status, out) == (0, "one\ntwo\\u001b]0;title\\u0007\\xff\n\n")
    _, out, _ = run(capsys, "history", "n0", "--hub", served.server.address, "--json")
    (kept,) = json.loads(out)["chunks"]
    assert (kept["boot_id"], kept["seq"], kept["data_base64"]) == (1, 1, "b25lCnR3bxtdMDt0aXRsZQf/Cg==")


def test_stats_show_all_figures(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "stats", "--hub", served.server.address, "--json")
    figures = json.loads(out)
    assert figures["online"] == NODES + 1
    assert figures["store"]["state"] == "ok"
    status, out, _ = run(capsys, "stats", "--hub", served.server.address)
    assert status == 0
    assert "loop_lag_max_s" in out
    assert "commits" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nodes", "--hub", "nowhere"), '--hub: "nowhere": must be HOST:PORT'),
        (("stats", "--hub", "127.0.0.1:1"), "--hub: 127.0.0.1:1: no hub answers there"),
        (("events", "--token", "t"), "--token: t: needs --tls-ca FILE"),
        (("nodes", "--status", "dead"), "'dead' is not one of 'online', 'stale', 'offline'"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_node_that_the_hub_never_saw_is_named(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "history", "ghost", "--hub", served.server.address)
    assert status == 2
    assert "the hub never saw a node 'ghost'" in err


def test_each_shows_credentials_and_says_why_they_are_refused(pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    operator, node = "operator-operator", "node-a"
    with closing(Served(listen="localhost:0", admin_listen="localhost:0", **pki.settings(tokens=True))) as served:
        at = ["--hub", served.server.admin_address]
        for command in (["nodes"], ["events"], ["history", "n0"], ["stats"]):
            assert run(capsys, *command, *at, *pki.options(operator))[0] == 0, command
        for other in (
            [*pki.options(node)[:-1], *pki.options(operator)[-1:]],
            [*pki.options(operator)[:-1], *pki.options(node)[-1:]],
        ):
            status, _, err = run(capsys, "nodes", *at, *other)
            assert status == 2
            assert "the hub refuses our credentials: the credential of node a is not an operator's" in err
        status, _, err = run(capsys, "nodes", "--hub", served.server.address, *pki.options(operator))
        assert status == 2
        assert "the hub serves operators elsewhere (HUB_ADMIN_LISTEN); name that address with --hub" in err
        assert "no hub answers there" in run(capsys, "nodes", *at)[2]
