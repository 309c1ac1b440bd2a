"""Commands to nodes: each is handed over at most once, and its result finds the one who asked.

    waiting    the node is away, or its stream has not taken the command yet
    sent       a stream took it: it is never sent again, whatever becomes of that stream
    answered   the result came, on whichever stream of the node
    expired    nobody waits any longer: not delivered if it was waiting, unknown if it was sent

So many commands of one node may wait or be unanswered at a time, and none outlives its deadline. A stream takes a
command at the moment at which it writes it: one that ends with commands before it takes none of them along.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from heartbench.hub.errors import NoRoomError


class Outcome(Enum):
    """What became of a command."""

    ANSWERED = "answered"
    NOT_DELIVERED = "not delivered"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said to a command; an empty `error`: it went well."""

    payload: bytes
    error: str


@dataclass(slots=True)
class Command:
    """A command on its way. `expires_s` is on the event loop's clock."""

    command_id: str
    payload: bytes
    expires_s: float
    answer: "asyncio.Future[Answer]"
    sent: bool = False


class Commands:
    """The commands of all nodes; of one event loop."""

    def __init__(self, most_for_a_node: int, epoch: int) -> None:
        self._most = most_for_a_node
        self._epoch = epoch
        self._numbered = self._waiting = 0
        self._of_node: dict[str, dict[str, Command]] = {}
        self._wake: dict[str, Callable[[], None]] = {}

    def __len__(self) -> int:
        return self._waiting

    async def run(self, node_id: str, payload: bytes, within_s: float) -> tuple[str, Outcome, Answer | None]:
        """Have a node carry out a command: its id, what became of it, and the answer if there is one.

        Raises:
            NoRoomError: As many as are allowed wait for this node.
        """
        command = self._post(node_id, payload, within_s)
        try:
            async with asyncio.timeout_at(command.expires_s):
                return command.command_id, Outcome.ANSWERED, await command.answer
        except TimeoutError:
            return command.command_id, Outcome.UNKNOWN if command.sent else Outcome.NOT_DELIVERED, None
        finally:
            self._drop(node_id, command)

    def attach(self, node_id: str, wake: Callable[[], None]) -> None:
        """The node's stream has begun: wake it for each command, and for those that wait."""
        self._wake[node_id] = wake
        if node_id in self._of_node:
            wake()

    def detach(self, node_id: str, wake: Callable[[], None]) -> None:
        """That stream has ended; nothing happens if another has taken its place."""
        if self._wake.get(node_id) == wake:
            del self._wake[node_id]

    def take(self, node_id: str) -> Command | None:
        """The oldest command that was not sent yet; from now on it was."""
        for command in self._of_node.get(node_id, {}).values():
            if not command.sent:
                command.sent = True
                return command
        return None

    def answer(self, node_id: str, command_id: str, answer: Answer) -> None:
        """A node answered; what nobody waits for any longer is dropped."""
        command = self._of_node.get(node_id, {}).get(command_id)
        if command is not None and not command.answer.done():
            command.answer.set_result(answer)

    def _post(self, node_id: str, payload: bytes, within_s: float) -> Command:
        commands = self._of_node.setdefault(node_id, {})
        if len(commands) >= self._most:
            raise NoRoomError(
                f"node {node_id!r}: {len(commands)} commands wait for it; HUB_COMMANDS_WAITING allows no more"
            )
        loop = asyncio.get_running_loop()
        self._numbered += 1
        self._waiting += 1
        command = Command(f"{self._epoch}-{self._numbered}", payload, loop.time() + within_s, loop.create_future())
        commands[command.command_id] = command
        if node_id in self._wake:
            self._wake[node_id]()
        return command

    def _drop(self, node_id: str, command: Command) -> None:
        commands = self._of_node[node_id]
        del commands[command.command_id]
        self._waiting -= 1
        if not commands:
            del self._of_node[node_id]
