"""Interleaves the processes of a round on one core: each measures a slice of the same benchmark in each turn.

A neighbour on the other half of a core makes everything 1.6 to 1.9 times as slow for a tenth of a second to some
seconds, and no counter of a virtual machine shows it. Processes that run one after the other differ by that; slices of
2 ms in the same turn do not, and only those are compared (`samples.log_ratio`). Measuring two programs under the same
disturbances is the idea of duet benchmarking (Bulej et al., ICPE 2020), there on two cores at once.

A process (`probe.py`) sends one line per message:

    suite […]       the benchmarks that it will run, in order
    begin "…"       it is about to measure that benchmark
    over            its slice is used up
    end             it has measured the benchmark

After each of them but the first it waits for the number of its next turn, which is the same for all slices of a turn.
"""

import json
import random
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple, Protocol

TURN = struct.Struct("!q")
"""Encoding of the number of a turn."""


class Announcement(NamedTuple):
    """The benchmark that a process is about to measure, and those that follow."""

    benchmark: str
    ahead: Sequence[str] = ()


class Signal(Enum):
    """Any other message of a process."""

    OVER = "over"
    END = "end"
    GONE = ""
    """The process, or its connection, has ended."""


class Player(Protocol):
    """A process that takes turns."""

    def receive(self) -> Announcement | Signal:
        """Return its next message."""

    def go(self, turn: int) -> None:
        """Start its slice of a turn."""


class Line:
    """A player at the other end of a socket."""

    def __init__(self, own: socket.socket, silence_s: float, hang: Callable[[], Exception]) -> None:
        """`hang` returns the error to raise if no message arrives within `silence_s`."""
        own.settimeout(silence_s)
        self._socket, self._hang = own, hang
        self._lines = own.makefile("rb")
        self._ahead: list[str] = []

    def receive(self) -> Announcement | Signal:
        """See Player."""
        word, rest = self._read()
        if word == "suite":
            self._ahead = json.loads(rest)
            return self.receive()
        if word == "begin":
            benchmark = json.loads(rest)
            if benchmark in self._ahead:
                del self._ahead[: self._ahead.index(benchmark) + 1]
            return Announcement(benchmark, tuple(self._ahead))
        return Signal(word)

    def _read(self) -> tuple[str, str]:
        try:
            word, _, rest = self._lines.readline().decode().strip().partition(" ")
        except TimeoutError:
            raise self._hang() from None
        except ConnectionError:  # it was killed
            return "", ""
        return word, rest

    def go(self, turn: int) -> None:
        """See Player."""
        with suppress(ConnectionError):  # it has ended
            self._socket.sendall(TURN.pack(turn))

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()


def conduct(players: Sequence[Player], seed: str) -> None:
    """Run each benchmark in all processes that have it, interleaved, until all processes have ended."""
    order, turn = random.Random(seed), 0
    waiting = _announcements(players)
    while waiting:
        benchmark = due(list(waiting.values()))
        group = [player for player, announced in waiting.items() if announced.benchmark == benchmark]
        turn = _play(group, turn, order)
        rest = {player: announced for player, announced in waiting.items() if player not in group}
        waiting = rest | _announcements(group)


def due(announced: Sequence[Announcement]) -> str:
    """Return a benchmark that no other process still has ahead; if all of them are, the first process's."""
    free = (each.benchmark for each in announced if not any(each.benchmark in other.ahead for other in announced))
    return next(free, announced[0].benchmark)


def _announcements(players: Sequence[Player]) -> dict[Player, Announcement]:
    """Return what each player is about to measure, without those that have ended."""
    received = ((player, player.receive()) for player in players)
    return {player: message for player, message in received if isinstance(message, Announcement)}


def _play(group: Sequence[Player], turn: int, order: random.Random) -> int:
    """Run one benchmark, in each turn one slice per player in a new random order; return the next turn."""
    playing = list(group)
    while playing:
        order.shuffle(playing)
        for player in playing.copy():
            player.go(turn)
            if player.receive() is not Signal.OVER:
                playing.remove(player)
        turn += 1
    for player in order.sample(group, len(group)):
        player.go(turn)
    return turn
