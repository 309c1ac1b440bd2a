"""`heartbench nodes|events|history|stats` against a real hub."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hub.security.pki import Pki

from heartbench.cli import nodes
from heartbench.cli.app import invoke
from heartbench.cli.inspection import operators_address
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.node import Hello
from heartbench.hub.rpc import protobuf_mapping
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_channel
from heartbench.mesh.encoding import chunk, hello, upload_metadata
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

NODES = 7
GET_HISTORY = "unary", "heartbench.mesh.v1.HubAdmin", "GetHistory"


class Served:
    """A hub in a thread of its own, so that commands can call it."""

    def __init__(self, **settings: Any) -> None:
        self.server = HubServer(HubSettings.of(listen="127.0.0.1:0", store_url="memory:", **settings))
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


@pytest.fixture(scope="module")
def guarded(pki: Pki) -> Iterator[Served]:
    """A hub that asks for certificates."""
    served = Served(**pki.settings())
    yield served
    served.close()


@pytest.fixture(scope="module")
def tokens(pki: Pki) -> Iterator[Served]:
    """A hub that asks for tokens."""
    served = Served(**pki.settings(client_ca=False, tokens=True))
    yield served
    served.close()


def certificate(pki: Pki, stem: str) -> list[str | Path]:
    return ["--tls-ca", pki.file("ca.pem"), "--cert", pki.file(f"{stem}.pem"), "--key", pki.file(f"{stem}.key")]


def token(pki: Pki, stem: str) -> list[str | Path]:
    return ["--tls-ca", pki.file("ca.pem"), "--token", pki.file(f"{stem}.token")]


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


def test_a_history_is_read_page_by_page(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protobuf_mapping, "LARGEST_RESPONSE", 100)
    with open_channel(served.server.address) as channel:
        chunks = (chunk(seq, b"x" * 60) for seq in range(1, 8))
        for _ in NodeMeshStub(channel).Upload(chunks, metadata=upload_metadata("n1")):
            pass
    asked = served.server.calls.started[GET_HISTORY]
    status, out, _ = run(capsys, "history", "n1", "--hub", served.server.address, "--json")
    assert status == 0
    assert [kept["seq"] for kept in json.loads(out)["chunks"]] == list(range(1, 8))
    assert served.server.calls.started[GET_HISTORY] - asked == 7


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


@pytest.mark.parametrize("command", [["nodes"], ["events"], ["history", "n0"], ["stats"]], ids=lambda words: words[0])
def test_each_command_shows_its_credentials(
    guarded: Served, tokens: Served, pki: Pki, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    for hub, shown in (guarded, certificate(pki, "operator-operator")), (tokens, token(pki, "operator-operator")):
        status, _, err = run(capsys, *command, "--hub", hub.server.address, *map(str, shown))
        assert (status, err) == (0, "")


def test_refused_credentials_are_one_line_that_says_what_to_try(
    served: Served, guarded: Served, tokens: Served, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    strangers_ca: list[str | Path] = ["--tls-ca", pki.stranger / "ca.pem"]
    cases: list[tuple[Served, list[str | Path], str]] = [
        (guarded, [], "it may ask for TLS (--tls-ca)"),
        (guarded, ["--tls-ca", pki.file("ca.pem")], "a valid certificate of its CA (--cert, --key)"),
        (guarded, strangers_ca, "its certificate is not of the CA in --tls-ca"),
        (guarded, certificate(pki, "node-a"), "the credential of node a is not an operator's; use an operator's"),
        (tokens, ["--tls-ca", pki.file("ca.pem")], "this hub needs a token"),
        (tokens, token(pki, "node-a"), "the credential of node a is not an operator's; use an operator's"),
        (served, strangers_ca, "it does not use TLS there: leave --tls-ca out"),
    ]
    for hub, shown, words in cases:
        status, _, err = run(capsys, "stats", "--hub", hub.server.address, *map(str, shown))
        assert (status, err.count("\n")) == (2, 1)
        assert words in err


def test_a_failed_handshake_is_one_line_on_the_terminal_too(guarded: Served, pki: Pki) -> None:
    options = ["--hub", guarded.server.address, "--tls-ca", str(pki.stranger / "ca.pem")]
    program = "from heartbench.cli.app import main; main()"
    users = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    done = subprocess.run(
        [sys.executable, "-c", program, "stats", *options], env=users, capture_output=True, text=True, check=False
    )
    line = f"heartbench: --hub: {guarded.server.address}: its certificate is not of the CA in --tls-ca\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1:50551"),
        ({"HUB_LISTEN": "127.0.0.1:7000"}, "127.0.0.1:7000"),
        ({"HUB_LISTEN": "0.0.0.0:7000"}, "127.0.0.1:50552"),
        ({"HUB_LISTEN": "0.0.0.0:7000", "HUB_ADMIN_LISTEN": "127.0.0.1:7001"}, "127.0.0.1:7001"),
    ],
)
def test_operators_are_where_a_hub_of_this_environment_has_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], address: str
) -> None:
    for name in "HUB_LISTEN", "HUB_ADMIN_LISTEN":
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert operators_address() == address


def test_an_address_in_the_environment_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUB_ADMIN_LISTEN", raising=False)
    monkeypatch.setenv("HUB_LISTEN", "nowhere")
    status, out, err = run(capsys, "stats")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "HUB_LISTEN='nowhere': expected HOST:PORT" in err


def test_watch_judges_the_events_that_a_hub_holds(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "watch", served.server.address, "--now", "30s", "--for", "1s", "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["schema"], found["promise"]["verdict"]) == ("heartbench.watch/1", "unsure")
    assert found["fleet"]["nodes"] == NODES + 1
