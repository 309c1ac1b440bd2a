"""Commands to nodes: each is sent at most once, and its result is returned to the caller.

    waiting    the node is not connected, or its stream has not taken the command yet
    sent       a stream took it: it is never sent again, even if that stream fails
    answered   the result came, on any stream of the node
    expired    its time is over: not delivered if it was waiting, unknown if it was sent

The number of commands of one node that wait or are unanswered is limited, and so are the bytes of all nodes' commands
together; none outlives its deadline. A stream takes a command only when it writes it, so a stream that ends loses no
waiting command.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from heartbench.hub.errors import NoRoomError
from heartbench.hub.printable import shown

BYTES_BESIDE_PAYLOAD = 24_576
"""What the call of a waiting command takes in memory beside its payload, measured with 1,000 of them (grpcio 1.85)."""


class Outcome(Enum):
    """The outcome of a command."""

    ANSWERED = "answered"
    NOT_DELIVERED = "not delivered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A node's answer to a command; `error` is empty if it succeeded."""

    payload: bytes
    error: str


@dataclass(slots=True)
class Command:
    """A command that is waiting or sent. `expires_s` is on the event loop's clock."""

    command_id: str
    payload: bytes
    expires_s: float
    answer: "asyncio.Future[Answer]"
    sent: bool = False


class Commands:
    """The commands of all nodes; belongs to one event loop."""

    def __init__(self, max_per_node: int, max_bytes: int, epoch: int) -> None:
        self.size_bytes = 0  # of those that wait, or whose answer is awaited
        self.refused = 0
        self._max_per_node = max_per_node
        self._max_bytes = max_bytes
        self._epoch = epoch
        self._numbered = self._waiting = 0
        self._of_node: dict[str, dict[str, Command]] = {}
        self._wake: dict[str, Callable[[], None]] = {}

    def __len__(self) -> int:
        return self._waiting

    async def run(self, node_id: str, payload: bytes, within_s: float) -> tuple[str, Outcome, Answer | None]:
        """Send a command to a node; return its id, its outcome, and the answer if any; NoRoomError if too many wait."""
        command = self._post(node_id, payload, within_s)
        try:
            async with asyncio.timeout_at(command.expires_s):
                return command.command_id, Outcome.ANSWERED, await command.answer
        except TimeoutError:
            return command.command_id, Outcome.UNKNOWN if command.sent else Outcome.NOT_DELIVERED, None
        finally:
            self._drop(node_id, command)

    def attach(self, node_id: str, wake: Callable[[], None]) -> None:
        """Call `wake` for each command from now on, and now if any wait: the node's stream has begun."""
        self._wake[node_id] = wake
        if node_id in self._of_node:
            wake()

    def detach(self, node_id: str, wake: Callable[[], None]) -> None:
        """Stop calling `wake`: that stream has ended. Does nothing if another has replaced it."""
        if self._wake.get(node_id) == wake:
            del self._wake[node_id]

    def take(self, node_id: str) -> Command | None:
        """Return the oldest command that was not sent yet, and mark it as sent; None if there is none."""
        for command in self._of_node.get(node_id, {}).values():
            if not command.sent:
                command.sent = True
                return command
        return None

    def answer(self, node_id: str, command_id: str, answer: Answer) -> None:
        """Return a node's answer to the caller; late answers are dropped."""
        command = self._of_node.get(node_id, {}).get(command_id)
        if command is not None and not command.answer.done():
            command.answer.set_result(answer)

    def _post(self, node_id: str, payload: bytes, within_s: float) -> Command:
        self._check_room(node_id, payload)
        loop = asyncio.get_running_loop()
        self._numbered += 1
        self._waiting += 1
        self.size_bytes += size_of(payload)
        command = Command(f"{self._epoch}-{self._numbered}", payload, loop.time() + within_s, loop.create_future())
        self._of_node.setdefault(node_id, {})[command.command_id] = command
        if node_id in self._wake:
            self._wake[node_id]()
        return command

    def _check_room(self, node_id: str, payload: bytes) -> None:
        waiting = len(self._of_node.get(node_id, ()))
        full = ""
        if waiting >= self._max_per_node:
            full = f"{waiting} commands wait for it; HUB_COMMANDS_WAITING allows no more"
        elif self.size_bytes + size_of(payload) > self._max_bytes:
            full = (
                f"the {self._waiting} commands that wait hold {self.size_bytes} bytes, and this one needs "
                f"{size_of(payload)}; HUB_COMMANDS_BYTES allows {self._max_bytes}"
            )
        if full:
            self.refused += 1
            raise NoRoomError(f"node {shown(node_id)}: {full}")

    def _drop(self, node_id: str, command: Command) -> None:
        commands = self._of_node[node_id]
        del commands[command.command_id]
        self._waiting -= 1
        self.size_bytes -= size_of(command.payload)
        if not commands:
            del self._of_node[node_id]


def size_of(payload: bytes) -> int:
    """Return the bytes that a waiting command with this payload counts for."""
    return len(payload) + BYTES_BESIDE_PAYLOAD
