"""The hub's changes, computed again from what it received: a pure function over the records of an observer's file.

The receipts, the ends of streams and the moves of deadlines go into a new registry in their order; no sweep is needed
before the end, because a change is timed at its cause. The result must equal the recorded changes: the same for each
node, in the same order. Between nodes the order may differ, by when the hub's sweeps found the changes.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import get_type_hints

from heartbench.hub.config import HubSettings
from heartbench.hub.events import observer_file as file
from heartbench.hub.events.observer_file import RECORDS, Header, Receipt, Record, Restored, Row, read_batches
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.registry import NOTHING, Registry
from heartbench.hub.liveness.rules import Change
from heartbench.mesh.kinds import KINDS, Kind


def read_records(path: Path) -> tuple[Header, Iterator[Record]]:
    """Return the header of an observer's file, and its records in order; raise HubError for any other file."""
    header, batches = read_batches(path)
    return header, (to_record(row) for rows in batches for row in rows)


def to_record(row: Row) -> Record:
    """Return a row as its record, with enums for the words of its status and reason."""
    record, values = RECORDS[row[0]], row[1:]
    for index, hint in enumerate(get_type_hints(record).values()):
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            values[index] = hint(values[index])
    return record._make(values)


def recorded_changes(records: Iterable[Record]) -> list[Change]:
    """Return the changes that the hub reported."""
    return [record for record in records if isinstance(record, Change)]


def replay(header: Header, records: Iterable[Record]) -> list[Change]:
    """Return the changes that follow from the header's settings and from what was received."""
    feed = Feed(Registry(HubSettings.of(**header.settings).policy))
    changes = [change for record in records for change in feed.take(record)]
    changes.extend(feed.registry.sweep(feed.until_s))
    return changes


class Feed:
    """Plays records into a registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.until_s = 0.0
        self._sessions: dict[tuple[str, int, int], Session] = {}
        self._throttled = False

    def take(self, record: Record) -> Iterable[Change]:
        """Return what changes by one record."""
        if isinstance(record, Change):
            return NOTHING
        if not isinstance(record, file.Throttled):
            self.until_s = record.at_s
        match record:
            case Receipt():
                return self._receive(record)
            case file.Closed(at_s, node_id, boot_id, connection):
                return self.registry.closed(self._sessions[node_id, boot_id, connection], at_s)
            case file.Throttled():
                self._throttled = True
            case Restored():
                self._restore(record)
            case file.DeadlineMoved(_, node_id, deadline_s):
                self.registry.move_deadline(self.registry.nodes[node_id], deadline_s)
            case file.Removed(at_s, node_id):
                return self.registry.forget(node_id, at_s)
            case file.End():
                pass
        return NOTHING

    def _receive(self, receipt: Receipt) -> Iterable[Change]:
        at_s, node_id, boot_id, connection, word, seq, _ = receipt
        kind = KINDS[word]
        key = node_id, boot_id, connection
        throttled, self._throttled = self._throttled, False
        if kind == Kind.HELLO and not throttled:
            self._sessions[key], changes = self.registry.hello(Hello(*key), at_s)
            return changes
        if kind in (Kind.CHUNK, Kind.HELLO):
            return self.registry.sign_of_life(node_id, boot_id, at_s)
        if kind == Kind.GOODBYE:
            return self.registry.goodbye(self._sessions[key], at_s)
        return self.registry.heartbeat(self._sessions[key], at_s, seq)

    def _restore(self, record: Restored) -> None:
        node = self.registry.new_node(record.node_id)
        node.boot_id, node.connection, node.status = record.boot_id, record.connection, record.status
        node.flapping, node.flaps, node.heard_s = record.flapping, tuple(record.flaps_s), record.heard_s
        node.deadline_s = -inf if record.deadline_s is None else record.deadline_s
        self.registry.restore(node)
