"""What the hub heard and what it said, written down so that the one can be computed again from the other.

JSON Lines, an array a line, times in s on the hub's monotonic clock:

    ["header", {"schema", "monotonic_s", "unix_s", "epoch", "settings"}]
    ["receipt", at_s, node_id, boot_id, connection, kind, seq, sent_unix_s]
    ["throttled", at_s, node_id, boot_id, connection]         the hello that follows was a sign of life and no more
    ["closed", at_s, node_id, boot_id, connection]            a stream ended without Goodbye
    ["forgotten", at_s, node_id]                              a node was removed for good
    ["restored", at_s, node_id, boot_id, connection, status, flapping, [flap_s, ...], heard_s, deadline_s or null]
    ["deadline", at_s, node_id, deadline_s, reason]           a deadline moved, and no receipt moved it
    ["change", at_s, node_id, status, connected, flapping, reason]
    ["end", at_s]                                             the hub looked for passed deadlines until here

Lines are collected in memory and written each second by the hub's pulse: a write of some 100 KB into the page cache
takes under a millisecond, a write for each heartbeat would cost more than the heartbeat.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any, NamedTuple

from heartbench.hub.errors import HubError
from heartbench.hub.events.types import Change
from heartbench.hub.liveness.registry import Node
from heartbench.hub.liveness.rules import Status
from heartbench.mesh.kinds import WORDS, Kind

SCHEMA = "heartbench.observer/1"
MOST_LINES_HELD = 20_000

encode = json.JSONEncoder(separators=(",", ":")).encode


class Receipt(NamedTuple):
    """A message that was received and heard."""

    at_s: float
    node_id: str
    boot_id: int
    connection: int
    kind: Kind
    seq: int
    sent_unix_s: float


class Observer:
    """Writes the records to a file; `header` is what the first of them says besides its schema."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        try:
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise HubError(
                f"HUB_OBSERVE_FILE={str(path)!r} cannot be written: {error.strerror}; allowed is a file in a directory "
                "that exists"
            ) from None
        self._lines: list[str] = []
        self._add(["header", {"schema": SCHEMA, **header}])
        self.flush()

    def receipt(self, receipt: Receipt) -> None:
        """A message was received and heard."""
        at_s, node_id, boot_id, connection, kind, seq, sent_unix_s = receipt
        self._add(["receipt", at_s, node_id, boot_id, connection, WORDS[kind], seq, sent_unix_s])

    def closed(self, at_s: float, node_id: str, boot_id: int, connection: int) -> None:
        """A stream ended without Goodbye."""
        self._add(["closed", at_s, node_id, boot_id, connection])

    def throttled(self, at_s: float, node_id: str, boot_id: int, connection: int) -> None:
        """The hello that follows is a sign of life and no more."""
        self._add(["throttled", at_s, node_id, boot_id, connection])

    def forgotten(self, at_s: float, node_id: str) -> None:
        """A node was removed for good."""
        self._add(["forgotten", at_s, node_id])

    def restored(self, at_s: float, node: Node) -> None:
        """A node was taken over from the hub's last run."""
        deadline_s = node.deadline_s if node.status is Status.ONLINE else None
        stream = node.boot_id, node.connection
        flaps = list(node.flaps)
        self._add(
            ["restored", at_s, node.node_id, *stream, node.status, node.flapping, flaps, node.heard_s, deadline_s]
        )

    def deadline(self, at_s: float, node_id: str, deadline_s: float, reason: str) -> None:
        """A deadline moved, and no receipt moved it."""
        self._add(["deadline", at_s, node_id, deadline_s, reason])

    def change(self, change: Change) -> None:
        """The hub said something about a node."""
        self._add(["change", *astuple(change)])

    def end(self, at_s: float) -> None:
        """The hub looked for passed deadlines for the last time; the file is complete."""
        self._add(["end", at_s])
        self.flush()
        self._file.close()

    def flush(self) -> None:
        """Write what is held."""
        if self._lines and not self._file.closed:
            self._file.write("\n".join(self._lines) + "\n")
            self._file.flush()
        self._lines.clear()

    def _add(self, record: list[Any]) -> None:
        self._lines.append(encode(record))
        if len(self._lines) >= MOST_LINES_HELD:
            self.flush()
