"""Real TCP sockets of this kernel on a simulated link, to compare the model of TCP with.

    node's namespace ── hb0 (TUN) ── Wire: delay, losses, outages ── hb0 (TUN) ── hub's namespace

All of it is one process with one thread, which does what is due in the order in which it is due. The namespaces have
no name, and the devices are not kept: both end with the process, however it ends. Packets go nowhere else, because the
two namespaces have no other device. Run as a program it reads cases from standard input and writes what it saw to
standard output, both as JSON.

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
from dataclasses import asdict
from functools import partial
from math import isnan

from tests.simulator.kernel_case import Case, Seen, make_case_link

from heartbench.simulator.link import DOWN, UP, Link, transmit

NODE, HUB = "10.99.0.1", "10.99.0.2"
HUB_PORT, FIRST_PORT = 7777, 10000
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
SO_SNDBUFFORCE = 32  # linux/socket.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_libc = ctypes.CDLL(None, use_errno=True)
TCP_INFO_MIN_RTT = 148  # offset of tcpi_min_rtt, µs (linux/tcp.h)
SPREAD_S = 0.02  # between the beginnings of two connections
SEND_BUFFER_BYTES = 16 << 20  # a chunk is written whole, whatever is still unsent
PREFACE, SETTINGS, HELLO, WELCOME, HEARTBEAT, ANSWER = 100, 60, 260, 120, 34, 32  # bytes, as in stream.py


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
    """Carries each TCP packet to the other side's device when its connection's link says, or not at all."""

    def __init__(self, loop: Loop, tuns: tuple[int, int], links: list[Link], seen: list[Seen]) -> None:
        self._loop, self._links, self._seen = loop, links, seen
        node_tun, hub_tun = tuns
        loop.watch(node_tun, lambda: self._carry(node_tun, hub_tun, UP))
        loop.watch(hub_tun, lambda: self._carry(hub_tun, node_tun, DOWN))

    def _carry(self, tun: int, other: int, direction: int) -> None:
        port_at = 20 if direction == UP else 22
        with suppress(BlockingIOError):
            while packet := os.read(tun, 2048):
                now = time.monotonic()
                if packet[0] != 0x45 or packet[9] != socket.IPPROTO_TCP:
                    continue  # the kernel's own, such as IPv6 router solicitations
                number = struct.unpack_from("!H", packet, port_at)[0] - FIRST_PORT
                origin_s = self._seen[number].origin_s
                arrives_s = transmit(self._links[number], direction, now - origin_s)
                if not isnan(arrives_s):
                    self._loop.at(origin_s + arrives_s, partial(os.write, other, packet))


class Connection:
    """Both ends of a connection: a node that sends heartbeats, a hub that answers as the model's does."""

    def __init__(self, loop: Loop, case: Case, seen: Seen, number: int) -> None:
        self._loop, self._case, self.seen, self._number = loop, case, seen, number
        self._written = 0  # bytes up to the last message of `seen.sizes` that has arrived
        self._told = self._heard = 0  # bytes that have arrived at the hub, at the node
        self._end_s = seen.out_to_s + 1.1 * case.outage_s + 5.0 + 2.0 * case.interval_s
        self._node = socket.socket()
        self._hub: socket.socket | None = None
        self._at(0.0, self._connect)
        self._at(seen.out_from_s - 0.001, self._note_rtt)

    def is_over(self) -> bool:
        """Whether what was sent behind the outage has arrived, or an end gave up, or it took too long."""
        seen = self.seen
        told = len(seen.arrived_s)
        if seen.node_closed_s is not None and (seen.hub_closed_s is not None or self._case.hub_user_timeout_s == 0.0):
            return True
        return self._now() > self._end_s or (told > 0 and seen.sent_s[told - 1] > seen.out_to_s)

    def _now(self) -> float:
        return time.monotonic() - self.seen.origin_s

    def _at(self, when_s: float, action: Callable[[], object]) -> None:
        self._loop.at(self.seen.origin_s + when_s, action)

    def _connect(self) -> None:
        _set_options(self._node, self._case.user_timeout_s)
        if self._case.chunk_bytes:
            self._node.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
        self._node.bind((NODE, FIRST_PORT + self._number))
        self._loop.watch(self._node.fileno(), self._connected, select.EPOLLOUT)
        self.seen.start_s = self._now()
        with suppress(BlockingIOError):
            self._node.connect((HUB, HUB_PORT))

    def _connected(self) -> None:
        self._loop.watch(self._node.fileno(), self._node_reads)
        self._send(PREFACE)

    def _send(self, size: int) -> None:
        if self.seen.node_closed_s is None:
            with suppress(OSError):
                assert self._node.send(bytes(size)) == size
                self.seen.sent_s.append(self._now())
                self.seen.sizes.append(size)

    def _repeat(self, size: int, interval_s: float, number: int) -> None:
        """Send `size` bytes now, `number` intervals from the origin, and at each interval from now on."""
        self._send(size)
        self._at((number + 1) * interval_s, lambda: self._repeat(size, interval_s, number + 1))

    def _begin(self, size: int, interval_s: float) -> None:
        number = int(self._now() / interval_s) + 1
        self._at(number * interval_s, lambda: self._repeat(size, interval_s, number))

    def _node_reads(self) -> None:
        data = self._read(self._node)
        if not data:
            self.seen.node_closed_s = self._now()
            return
        if self._heard < SETTINGS <= self._heard + len(data):
            self._send(HELLO)
            self._begin(HEARTBEAT, self._case.interval_s)
            if self._case.chunk_bytes:
                self._begin(self._case.chunk_bytes, self._case.chunk_interval_s)
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
            self.seen.hub_closed_s = self._now()
            return
        self._told += len(data)
        arrived, sizes, now = self.seen.arrived_s, self.seen.sizes, self._now()
        while len(arrived) < len(sizes) and self._written + sizes[len(arrived)] <= self._told:
            self._written += sizes[len(arrived)]
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


def _outage(case: Case) -> tuple[float, float]:
    from_s = (case.warmup + case.phase) * case.interval_s
    return from_s, from_s + case.outage_s


def run(cases: list[Case]) -> list[Seen]:
    """Enter new namespaces and run all cases at once. The hub's lives on with its listening socket."""
    hub_tun = _make_side(HUB, NODE)
    listener = socket.create_server((HUB, HUB_PORT), backlog=4096)
    listener.setblocking(False)
    node_tun = _make_side(NODE, HUB)
    with suppress(PermissionError):  # so that a busy machine makes packets late less often
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    outages = [_outage(case) for case in cases]
    links = [make_case_link(case, case.rtt_s, out_s) for case, out_s in zip(cases, outages, strict=True)]
    transmit(make_case_link(Case(0.0, 1.0, 0, 0.0, 0.0), 0.0, (0.0, 0.0)), UP, 0.0)  # it compiles at its first call
    start_s = time.monotonic() + 0.5
    seen = [Seen(start_s + SPREAD_S * number, *out_s) for number, out_s in enumerate(outages)]
    loop = Loop()
    Wire(loop, (node_tun, hub_tun), links, seen)
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
