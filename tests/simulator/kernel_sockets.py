"""Real TCP sockets of this kernel on a link with a delay and an outage: what the model of TCP is held against.

    node's namespace ── hb0 (TUN) ── Wire: half a round trip each way, outages ── hb0 (TUN) ── hub's namespace

All of it is one process with one thread, which does what is due in the order in which it is due. The namespaces have
no name, and the devices are not kept: both end with the process, however it ends. Packets go nowhere else, because the
two namespaces have no other device. Run as a program it reads cases from standard input and writes what it saw to
standard output, both as JSON. Times are s on the monotonic clock.

It takes root, /dev/net/tun and `ip`.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial

NODE, HUB = "10.99.0.1", "10.99.0.2"
HUB_PORT, FIRST_PORT = 7777, 10000
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_libc = ctypes.CDLL(None, use_errno=True)
TCP_INFO_MIN_RTT = 148  # offset of tcpi_min_rtt, µs (linux/tcp.h)
SPREAD_S = 0.02  # between the beginnings of two connections
PREFACE, SETTINGS, HELLO, WELCOME, HEARTBEAT, ANSWER = 100, 60, 260, 120, 34, 32  # bytes, as in stream.py


@dataclass(frozen=True, slots=True)
class Case:
    """A connection: `warmup` intervals, then an outage that begins at `phase` of the next one."""

    rtt_s: float
    interval_s: float
    warmup: int
    outage_s: float
    phase: float
    user_timeout_s: float = 0.0
    hub_user_timeout_s: float = 0.0
    asks: bool = False  # the hub answers each heartbeat


@dataclass(slots=True)
class Seen:
    """What became of a connection; `sent_s` and `arrived_s` are of all messages of the node, preface and hello too."""

    start_s: float
    out_from_s: float
    out_to_s: float
    min_rtt_s: float | None = None
    sent_s: list[float] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    node_closed_s: float | None = None
    hub_closed_s: float | None = None


class Loop:
    """Timers and file descriptors of one thread."""

    def __init__(self) -> None:
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], object]] = {}

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (when, next(self._count), action))

    def watch(self, fd: int, action: Callable[[], object], events: int = select.EPOLLIN) -> None:
        (self._poll.modify if fd in self._ready else self._poll.register)(fd, events)
        self._ready[fd] = action

    def forget(self, fd: int) -> None:
        if self._ready.pop(fd, None):
            self._poll.unregister(fd)

    def run(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
            wait = self._timers[0][0] - time.monotonic() if self._timers else 0.1
            for fd, _ in self._poll.poll(min(max(wait, 0.0), 0.1)):
                if fd in self._ready:
                    self._ready[fd]()


class Wire:
    """Carries each TCP packet to the other side's device after half a round trip of its connection, or not at all."""

    def __init__(self, loop: Loop, tuns: tuple[int, int], cases: list[Case], seen: list[Seen]) -> None:
        self._loop, self._cases, self._seen = loop, cases, seen
        node_tun, hub_tun = tuns
        loop.watch(node_tun, lambda: self._carry(node_tun, hub_tun, 20))
        loop.watch(hub_tun, lambda: self._carry(hub_tun, node_tun, 22))

    def _carry(self, tun: int, other: int, port_at: int) -> None:
        with suppress(BlockingIOError):
            while packet := os.read(tun, 2048):
                now = time.monotonic()
                if packet[0] != 0x45 or packet[9] != socket.IPPROTO_TCP:
                    continue  # the kernel's own, such as IPv6 router solicitations
                number = struct.unpack_from("!H", packet, port_at)[0] - FIRST_PORT
                if not self._seen[number].out_from_s <= now < self._seen[number].out_to_s:
                    self._loop.at(now + self._cases[number].rtt_s / 2.0, partial(os.write, other, packet))


class Connection:
    """Both ends of a connection: a node that sends heartbeats, a hub that answers as the model's does."""

    def __init__(self, loop: Loop, case: Case, seen: Seen, number: int) -> None:
        self._loop, self._case, self.seen, self._number = loop, case, seen, number
        self._sizes: list[int] = []
        self._told = self._heard = 0  # bytes that have arrived at the hub, at the node
        self._end_s = seen.out_to_s + 1.1 * case.outage_s + 5.0 + 2.0 * case.interval_s
        self._node = socket.socket()
        self._hub: socket.socket | None = None
        loop.at(seen.start_s, self._connect)
        loop.at(seen.out_from_s - 0.001, self._note_rtt)

    def is_over(self) -> bool:
        """Whether what was sent behind the outage has arrived, or an end gave up, or it took too long."""
        seen, now = self.seen, time.monotonic()
        told = len(seen.arrived_s)
        if seen.node_closed_s is not None and (seen.hub_closed_s is not None or self._case.hub_user_timeout_s == 0.0):
            return True
        return now > self._end_s or (told > 0 and seen.sent_s[told - 1] > seen.out_to_s)

    def _connect(self) -> None:
        self._node.setblocking(False)
        _set_options(self._node, self._case.user_timeout_s)
        self._node.bind((NODE, FIRST_PORT + self._number))
        self._loop.watch(self._node.fileno(), self._connected, select.EPOLLOUT)
        self.seen.start_s = time.monotonic()
        with suppress(BlockingIOError):
            self._node.connect((HUB, HUB_PORT))

    def _connected(self) -> None:
        self._loop.watch(self._node.fileno(), self._node_reads)
        self._send(PREFACE)

    def _send(self, size: int) -> None:
        if self.seen.node_closed_s is None:
            with suppress(OSError):
                self._node.send(bytes(size))
                self.seen.sent_s.append(time.monotonic())
                self._sizes.append(size)

    def _beat(self, number: int) -> None:
        self._send(HEARTBEAT)
        self._loop.at(self.seen.start_s + (number + 1) * self._case.interval_s, lambda: self._beat(number + 1))

    def _node_reads(self) -> None:
        data = self._read(self._node)
        if not data:
            self.seen.node_closed_s = time.monotonic()
            return
        if self._heard < SETTINGS <= self._heard + len(data):
            self._send(HELLO)
            number = int((time.monotonic() - self.seen.start_s) / self._case.interval_s) + 1
            self._loop.at(self.seen.start_s + number * self._case.interval_s, lambda: self._beat(number))
        self._heard += len(data)

    def accepted(self, hub: socket.socket) -> None:
        """Take the hub's end."""
        self._hub = hub
        _set_options(hub, self._case.hub_user_timeout_s)
        hub.send(bytes(SETTINGS))
        self._loop.watch(hub.fileno(), self._hub_reads)

    def _hub_reads(self) -> None:
        assert self._hub
        data = self._read(self._hub)
        if not data:
            self.seen.hub_closed_s = time.monotonic()
            return
        self._told += len(data)
        arrived, now = self.seen.arrived_s, time.monotonic()
        while sum(self._sizes[: len(arrived) + 1]) <= self._told and len(arrived) < len(self._sizes):
            arrived.append(now)
            if len(arrived) == 2:
                self._hub.send(bytes(WELCOME))
            elif len(arrived) > 2 and self._case.asks:
                self._hub.send(bytes(ANSWER))

    def _read(self, end: socket.socket) -> bytes:
        """Read what there is; nothing: this end is closed."""
        with suppress(OSError):
            if data := end.recv(65536):
                return data
        self._loop.forget(end.fileno())
        return b""

    def _note_rtt(self) -> None:
        with suppress(OSError):
            info = self._node.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            self.seen.min_rtt_s = struct.unpack_from("I", info, TCP_INFO_MIN_RTT)[0] / 1e6


def _set_options(end: socket.socket, user_timeout_s: float) -> None:
    end.setblocking(False)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout_s * 1000.0))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _make_side(address: str, peer: str) -> int:
    """Enter a new network namespace and put a TUN device into it; give its descriptor."""
    _call("unshare", CLONE_NEWNET)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"hb0", IFF_TUN | IFF_NO_PI))
    commands = ("link set lo up", f"addr add {address} peer {peer} dev hb0", "link set hb0 mtu 1420 txqueuelen 5000 up")
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)
    with open("/proc/sys/net/ipv4/tcp_no_metrics_save", "w", encoding="ascii") as setting:
        setting.write("1")  # what one connection has learnt is not told the next
    return tun


def run(cases: list[Case]) -> list[Seen]:
    """Enter new namespaces and run all cases at once. The hub's lives on with its listening socket."""
    hub_tun = _make_side(HUB, NODE)
    listener = socket.create_server((HUB, HUB_PORT), backlog=4096)
    listener.setblocking(False)
    node_tun = _make_side(NODE, HUB)
    with suppress(PermissionError):  # so that a busy machine makes packets late less often
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    start_s = time.monotonic() + 0.5
    seen = []
    for number, case in enumerate(cases):
        at = start_s + SPREAD_S * number
        out_s = at + (case.warmup + case.phase) * case.interval_s
        seen.append(Seen(at, out_s, out_s + case.outage_s))
    loop = Loop()
    Wire(loop, (node_tun, hub_tun), cases, seen)
    connections = [Connection(loop, *each, number) for number, each in enumerate(zip(cases, seen, strict=True))]

    def accept() -> None:
        hub, (_, port) = listener.accept()
        connections[port - FIRST_PORT].accepted(hub)

    loop.watch(listener.fileno(), accept)
    loop.run(lambda: all(connection.is_over() for connection in connections))
    return seen


if __name__ == "__main__":
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    json.dump([asdict(each) for each in run([Case(**case) for case in json.load(sys.stdin)])], sys.stdout)
