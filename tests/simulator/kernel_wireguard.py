"""wireguard-go against the model of it: what both put on the wire if the same is sent through them.

    node's namespace ── TUN ── wireguard-go ── Relay: sees every datagram, or drops them ── wireguard-go ── TUN ── hub's

A script says when the node and the hub send datagrams and when the link is cut. Both give a list of what was sent by
whom: kind, time, and for wireguard-go the size. Times of retries have jitter.

    python -m tests.simulator.kernel_wireguard      runs LONG, six minutes, and prints both lists side by side

It takes root, /dev/net/tun, `ip`, `wireguard-go` and `wg`.
"""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from math import inf, isnan
from pathlib import Path
from typing import Any

from tests.simulator.tunnel.tunnelled import tunnelled

from heartbench.simulator.link import DOWN, UP
from heartbench.simulator.tcp.staging import MOST_STAGED
from heartbench.simulator.tunnel import handshake
from heartbench.simulator.tunnel.wireguard import receive, step, transmit_data
from heartbench.simulator.tunnel_state import LEAVE, STAY

INITIATION, RESPONSE, DATA, KEEPALIVE = "initiation", "response", "data", "keepalive"
KINDS = {1: INITIATION, 2: RESPONSE, 4: DATA}
NODE, HUB = "10.98.0.1", "10.98.0.2"
PORT = 9
PAYLOAD_BYTES = 100
PACKET_BYTES = PAYLOAD_BYTES + 28  # with the headers of UDP and IPv4, inside the tunnel
KEEPALIVE_BYTES = 32
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sent:
    """A message of WireGuard that an end sent; `size` is that of the datagram in UDP, bytes."""

    at_s: float
    who: int
    kind: str
    size: int = 0


@dataclass(frozen=True)
class Script:
    """What to do: times in s of what the node and the hub send, and of cuts, from and to."""

    node_s: Sequence[float]
    hub_s: Sequence[float]
    cuts: Sequence[tuple[float, float]]
    end_s: float


# A handshake whose first two messages are lost while more is staged than fits; the hub's keepalive; no answer.
SHORT = Script([0.0] * (MOST_STAGED + 22) + [12.0], [], [(0.0, 6.0), (11.5, 60.0)], 28.0)
# A rekey, an outage in which the handshake is given up, and a key that expires in it.
LONG = Script([*[10.0 * i for i in range(14)], 150.0, 215.0, 320.0], [], [(140.0, 330.0)], 345.0)


def why_not() -> str:
    """Return why wireguard-go cannot be run here; empty: it can."""
    if os.geteuid() != 0:
        return "network namespaces and TUN devices take root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    missing = [name for name in ("ip", "wireguard-go", "wg") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Relay:
    """Carries datagrams between two ends of a tunnel and records each, also those that it drops."""

    def __init__(self, script: Script) -> None:
        self.sent: list[Sent] = []
        self._script = script
        self._node, self._hub = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for each in (self._node, self._hub):
            each.bind(("127.0.0.1", 0))
            each.settimeout(0.1)
        self.port = int(self._node.getsockname()[1])
        self.hub_port = _free_port()
        self._node_address: Any = None
        self.origin_s = inf
        self._over = False
        self._threads = [threading.Thread(target=self._carry, args=(who,), daemon=True) for who in (UP, DOWN)]

    def __enter__(self) -> "Relay":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()
        self._node.close()
        self._hub.close()

    def _carry(self, who: int) -> None:
        source, sink = (self._node, self._hub) if who == UP else (self._hub, self._node)
        while not self._over:
            try:
                datagram, sender = source.recvfrom(4096)
            except TimeoutError:
                continue
            at_s = time.monotonic() - self.origin_s
            if who == UP:
                self._node_address = sender
            kind = KEEPALIVE if len(datagram) == KEEPALIVE_BYTES else KINDS[datagram[0]]
            self.sent.append(Sent(at_s, who, kind, len(datagram)))
            if not any(from_s <= at_s < to_s for from_s, to_s in self._script.cuts):
                sink.sendto(datagram, ("127.0.0.1", self.hub_port) if who == UP else self._node_address)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(*command: str, given: str | None = None) -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _namespace(name: str) -> Iterator[str]:
    _run("ip", "netns", "add", name)
    try:
        yield name
    finally:
        _run("ip", "netns", "delete", name)


@contextmanager
def _device(name: str, namespace: str, address: str, settings: Sequence[str]) -> Iterator[None]:
    """Run wireguard-go here, with its device in `namespace`."""
    daemon = subprocess.Popen(["wireguard-go", "-f", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: Path(f"/var/run/wireguard/{name}.sock").exists())
        _run("wg", "set", name, *settings)
        _run("ip", "link", "set", name, "netns", namespace)
        _run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", name)
        _run("ip", "-n", namespace, "link", "set", name, "mtu", "1420", "up")
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10.0
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def _socket_in(namespace: str, address: str) -> socket.socket:
    """Return a UDP socket at `address` in a namespace; the thread that makes it does nothing else."""
    made = []

    def make() -> None:
        with open(f"/run/netns/{namespace}") as handle:
            assert _libc.setns(handle.fileno(), CLONE_NEWNET) == 0
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made[0].bind((address, PORT))  # or its kernel would answer that there is no such port

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def ask_wireguard_go(script: Script) -> list[Sent]:
    """Return what two processes of wireguard-go send."""
    tag = str(os.getpid())
    private = [_run("wg", "genkey") for _ in range(2)]
    public = [_run("wg", "pubkey", given=key) for key in private]
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(script))
        spaces = [stack.enter_context(_namespace(f"hb-{name}-{tag}")) for name in ("node", "hub")]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for who, key in enumerate(private):
            (folder / str(who)).write_text(key)
        node = ["private-key", str(folder / "0"), "peer", public[1], "allowed-ips", f"{HUB}/32"]
        hub = ["private-key", str(folder / "1"), "listen-port", str(relay.hub_port), "peer", public[0]]
        stack.enter_context(_device(f"hbn{tag}", spaces[UP], NODE, [*node, "endpoint", f"127.0.0.1:{relay.port}"]))
        stack.enter_context(_device(f"hbh{tag}", spaces[DOWN], HUB, [*hub, "allowed-ips", f"{NODE}/32"]))
        sockets = [stack.enter_context(_socket_in(*each)) for each in zip(spaces, (NODE, HUB), strict=True)]
        time.sleep(1.5)  # wireguard-go sees that its device is up by looking once a second
        relay.origin_s = time.monotonic()
        relay.sent.clear()
        orders = sorted([(at, UP) for at in script.node_s] + [(at, DOWN) for at in script.hub_s])
        for at_s, who in orders:
            time.sleep(max(relay.origin_s + at_s - time.monotonic(), 0.0))
            sockets[who].sendto(bytes(PAYLOAD_BYTES), (HUB if who == UP else NODE, PORT))
        time.sleep(max(relay.origin_s + script.end_s - time.monotonic(), 0.0))
        return sorted(relay.sent, key=lambda sent: sent.at_s)


class _Model:
    """The model's tunnel, driven by datagrams instead of TCP. It runs as plain Python, so that it can be watched."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._on = tunnelled(*script.cuts)
        self._data: list[tuple[float, int, int]] = []  # in flight: arrival, sender, key
        self.sent: list[Sent] = []
        self._send_own = handshake._send_own
        handshake._send_own = self._watch

    def _watch(self, link: Any, who: int, what: int, number: int, at: float) -> None:
        self.sent.append(Sent(at, who, (INITIATION, RESPONSE, KEEPALIVE)[what]))
        self._send_own(link, who, what, number, at)

    def send(self, at_s: float, who: int) -> None:
        end = self._on.tunnel.ends[who]
        arrives_s = transmit_data(self._on, who, at_s)
        if arrives_s == inf:
            end.staged = min(int(end.staged) + 1, MOST_STAGED)
            return
        self.sent.append(Sent(at_s, who, DATA))
        if not isnan(arrives_s):
            self._data.append((arrives_s, who, int(end.current)))

    def run(self) -> list[Sent]:
        orders = sorted([(at, UP) for at in self._script.node_s] + [(at, DOWN) for at in self._script.hub_s])
        for at_s, who in orders:
            self._run(at_s)
            self.send(at_s, who)
        self._run(self._script.end_s)
        return self.sent

    def _run(self, until: float) -> None:
        while (at_s := min([float(self._on.tunnel.next_s), *(each[0] for each in self._data)])) <= until:
            if self._data and self._data[0][0] <= at_s:
                _, who, key = self._data.pop(0)
                receive(self._on, 1 - who, key, True, at_s)
            else:
                step(self._on, at_s)
            for who in (UP, DOWN):
                self._settle(who, at_s)

    def _settle(self, who: int, at_s: float) -> None:
        end = self._on.tunnel.ends[who]
        outcome, staged = int(end.staged_outcome), int(end.staged)
        end.staged_outcome = STAY
        if outcome != STAY:
            end.staged = 0
            for _ in range(staged if outcome == LEAVE else 0):
                self.send(at_s, who)


def ask_model(script: Script) -> list[Sent]:
    """Return what the model sends."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.simulator.kernel_wireguard", "model"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        input=json.dumps(asdict(script)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return [Sent(**each) for each in json.loads(found.stdout)]


def runs(sent: Sequence[Sent]) -> list[tuple[str, int, int, float]]:
    """Return (kind, who, how many, when) for each run of equal messages within 50 ms."""
    found: list[tuple[str, int, int, float]] = []
    for each in sent:
        if found and found[-1][:2] == (each.kind, each.who) and each.at_s - found[-1][3] < 0.05:
            found[-1] = (each.kind, each.who, found[-1][2] + 1, found[-1][3])
        else:
            found.append((each.kind, each.who, 1, each.at_s))
    return found


def main() -> None:
    """Print both lists for LONG, or the model's for the script on standard input."""
    if sys.argv[1:] == ["model"]:
        print(json.dumps([asdict(each) for each in _Model(Script(**json.loads(sys.stdin.read()))).run()]))
        return
    if reason := why_not():
        sys.exit(reason)
    both = [runs(ask(LONG)) for ask in (ask_wireguard_go, ask_model)]
    print(f"{'wireguard-go':<40}model")
    for pair in zip_longest(*both):
        print("".join(f"{_line(*each) if each else '':<40}" for each in pair).rstrip())


def _line(kind: str, who: int, count: int, at_s: float) -> str:
    return f"{at_s:8.2f} s  {('node', 'hub')[who]:<4}  {count} × {kind}"


if __name__ == "__main__":
    main()
