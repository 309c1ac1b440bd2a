"""The hub's changes computed again from what it heard: a pure function over the records of an observer's file.

The receipts, the ends of streams and the moves of deadlines go into a fresh registry in their order; no sweep is
needed before the end, since a change is timed at its cause. What comes out must equal the changes that were recorded:
the same for each node, in the same order (between nodes the order may differ by when the hub's sweeps found them).
"""

import json
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Any

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.events.observer_file import SCHEMA
from heartbench.hub.events.types import Change
from heartbench.hub.liveness.registry import NOTHING, Hello, Registry, Session
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.mesh.kinds import KINDS, Kind

Record = list[Any]


def read_records(path: Path) -> Iterator[Record]:
    """The records of an observer's file; HubError if it is none. A last line that was cut off is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            return
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not is_record(record, first=number == 1):
            raise HubError(f"{path}: line {number} is no record of {SCHEMA}")
        yield record


def is_record(record: object, first: bool) -> bool:
    """Whether a line is what such a file has there; the first is a header."""
    match record:
        case ["header", {"schema": str(schema), "settings": dict()}]:
            return first and schema == SCHEMA
        case [str(), float() | int(), *_]:
            return not first
    return False


def recorded_changes(records: Iterable[Record]) -> list[Change]:
    """The changes that the hub said."""
    return [
        Change(at_s, node_id, Status(status), connected, flapping, Reason(reason))
        for kind, at_s, node_id, status, connected, flapping, reason in (r for r in records if r[0] == "change")
    ]


def replay(records: Iterable[Record]) -> list[Change]:
    """The changes that follow from the header's settings and from what was heard."""
    feed: Feed | None = None
    changes: list[Change] = []
    for record in records:
        if record[0] == "header":
            feed = Feed(Registry(HubSettings.of(**record[1]["settings"]).policy))
        elif feed is not None:
            changes.extend(feed.take(record))
    if feed is not None:
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
        """What changes by one record."""
        match record:
            case ["change", *_]:
                return NOTHING
            case ["receipt", at_s, node_id, boot_id, connection, kind, seq, _]:
                self.until_s = at_s
                return self._receive(at_s, node_id, boot_id, connection, KINDS[kind], seq)
            case ["closed", at_s, node_id, boot_id, connection]:
                self.until_s = at_s
                return self.registry.closed(self._sessions[node_id, boot_id, connection], at_s)
            case ["throttled", *_]:
                self._throttled = True
            case ["restored", at_s, *_]:
                self._restore(record)
            case ["deadline", at_s, node_id, deadline_s, _]:
                self.until_s = at_s
                self.registry.move_deadline(self.registry.nodes[node_id], deadline_s)
            case ["forgotten", at_s, node_id]:
                self.until_s = at_s
                return self.registry.forget(node_id, at_s)
            case ["end", at_s]:
                self.until_s = at_s
        return NOTHING

    def _receive(
        self, at_s: float, node_id: str, boot_id: int, connection: int, kind: Kind, seq: int
    ) -> Iterable[Change]:
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

    def _restore(self, record: Record) -> None:
        _, self.until_s, node_id, boot_id, connection, status, flapping, flaps, heard_s, deadline_s = record
        node = self.registry.new_node(node_id)
        node.boot_id, node.connection, node.status = boot_id, connection, Status(status)
        node.flapping, node.flaps, node.heard_s = flapping, tuple(flaps), heard_s
        node.deadline_s = -inf if deadline_s is None else deadline_s
        self.registry.restore(node)
