"""The processes of a round in lockstep: a slice of a benchmark each, by turns, on one core.

A neighbour on the other half of a core makes everything 1.6 to 1.9 times as slow for a tenth of a second to some
seconds, and no counter of a virtual machine shows it. Processes that run one after the other differ by that; slices of
2 ms that lie side by side do not, and only such are compared (`samples.log_ratio`). To measure two programs in the same
weather is the idea of duet benchmarking (Bulej et al., ICPE 2020), there on two cores at once.

What the processes say (`probe.py`), a line each:

    suite […]       the benchmarks that it will come to, in order
    begin "…"       it is about to measure that one
    over            its slice is used up
    end             it has measured

After all but the first it waits to be let go on, and is told the number of the turn, which is the same for all slices
that lie side by side.
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
"""How the number of a turn is written."""


class Announcement(NamedTuple):
    """What a process is about to measure, and what it will after that."""

    benchmark: str
    ahead: Sequence[str] = ()


class Signal(Enum):
    """What else a process may say."""

    OVER = "over"
    END = "end"
    GONE = ""
    """It has ended, or its socket has."""


class Player(Protocol):
    """A process that takes turns."""

    def hear(self) -> Announcement | Signal:
        """What it says next."""

    def go(self, turn: int) -> None:
        """Let it go on."""


class Line:
    """A process at the other end of a socket."""

    def __init__(self, own: socket.socket, silence_s: float, hangs: Callable[[], Exception]) -> None:
        """`hangs`: what to raise where it says nothing for longer than `silence_s`."""
        own.settimeout(silence_s)
        self._socket, self._hangs = own, hangs
        self._lines = own.makefile("rb")
        self._ahead: list[str] = []

    def hear(self) -> Announcement | Signal:
        """See Player."""
        word, rest = self._read()
        if word == "suite":
            self._ahead = json.loads(rest)
            return self.hear()
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
            raise self._hangs() from None
        except ConnectionError:  # it was killed while we spoke
            return "", ""
        return word, rest

    def go(self, turn: int) -> None:
        """See Player."""
        with suppress(ConnectionError):  # it has ended
            self._socket.sendall(TURN.pack(turn))

    def close(self) -> None:
        """Let go of it."""
        self._lines.close()
        self._socket.close()


def conduct(players: Sequence[Player], seed: str) -> None:
    """Have each benchmark measured by all who have it, slice by slice, until all processes have ended."""
    order, turn = random.Random(seed), 0
    wishes = _listen(players)
    while wishes:
        next_one = due(list(wishes.values()))
        group = [player for player, wish in wishes.items() if wish.benchmark == next_one]
        turn = _play(group, turn, order)
        wishes = {player: wish for player, wish in wishes.items() if player not in group} | _listen(group)


def due(wishes: Sequence[Announcement]) -> str:
    """The benchmark that nobody has still ahead; where the processes have different orders, the first one's."""
    free = (wish.benchmark for wish in wishes if not any(wish.benchmark in other.ahead for other in wishes))
    return next(free, wishes[0].benchmark)


def _listen(players: Sequence[Player]) -> dict[Player, Announcement]:
    """What each is about to measure, of those that have not ended."""
    heard = ((player, player.hear()) for player in players)
    return {player: wish for player, wish in heard if isinstance(wish, Announcement)}


def _play(group: Sequence[Player], turn: int, order: random.Random) -> int:
    """One benchmark; in each turn everybody has one slice, in an order drawn anew. The number of the next turn."""
    playing = list(group)
    while playing:
        order.shuffle(playing)
        for player in playing.copy():
            player.go(turn)
            if player.hear() is not Signal.OVER:
                playing.remove(player)
        turn += 1
    for player in order.sample(group, len(group)):
        player.go(turn)
    return turn
