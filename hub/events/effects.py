"""Fans out what happens, in one order, to the observer's file, subscribers, store, and the log of a debugged node.

It decides nothing. After `end` it still takes calls but reports nothing: what the hub's own stop does to its streams is
not news about any node.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields

import structlog

from heartbench.hub.events import observer_file
from heartbench.hub.events.fanout import Announcement, EventFanout, Forgotten
from heartbench.hub.events.observer_file import Observer, Receipt, Record
from heartbench.hub.events.recorder import Recorder
from heartbench.hub.liveness.node import Node, Session
from heartbench.hub.liveness.rules import Change, MoveReason, Reason, Status
from heartbench.hub.liveness.self_health import Paused

STATUS_CHANGED = (Reason.SILENCE, Reason.HEARD, Reason.GOODBYE)

log = structlog.get_logger()


class Effects:
    """Carries each outcome to its destinations; `save` is called with the id of each node that changed."""

    def __init__(
        self, fanout: EventFanout, observer: Observer | None, recorder: Recorder | None, save: Callable[[str], None]
    ) -> None:
        self.fanout = fanout
        self.flashes = 0  # changes of status of nodes that are not flapping
        self.ended = False
        self.records_messages = observer is not None  # whether anything reads each message
        self._observer = observer
        self._recorder = recorder
        self._save = save
        self._debugged: set[str] = set()

    @property
    def records_lost(self) -> int:
        """Number of records that the observer could not write."""
        return self._observer.lost if self._observer is not None else 0

    @property
    def messages_lost(self) -> int:
        """Number of messages that the recorder could not write."""
        return self._recorder.lost if self._recorder is not None else 0

    def debug(self, node_id: str, on: bool) -> None:
        """Start or stop logging each message of one node."""
        (self._debugged.add if on else self._debugged.discard)(node_id)
        self.records_messages = self._observer is not None or bool(self._debugged)

    def received(self, receipt: Receipt, throttled: bool = False) -> None:
        """Record a message; `throttled`: a Hello that was a sign of life and began no stream."""
        if throttled:
            self._write(observer_file.Throttled(*receipt[:4]))
        self._write(receipt)
        if receipt.node_id in self._debugged:
            log.info("received", throttled=throttled, **receipt._asdict())

    def closed(self, at_s: float, session: Session) -> None:
        """Record the end of a stream without Goodbye."""
        stream = observer_file.Closed(at_s, session.node.node_id, session.boot_id, session.connection)
        self._write(stream)
        if stream.node_id in self._debugged:
            log.info("closed", node_id=stream.node_id, boot_id=stream.boot_id, connection=stream.connection)

    def moved(self, at_s: float, node: Node, reason: MoveReason) -> None:
        """Record a deadline that moved without a sign of life."""
        if self._observer is not None:
            self._observer.write(observer_file.DeadlineMoved(at_s, node.node_id, node.deadline_s, reason))

    def restored(self, at_s: float, node: Node) -> None:
        """Record a node that was taken over from the hub's last run."""
        deadline_s = node.deadline_s if node.status is Status.ONLINE else None
        stream, flaps = (node.node_id, node.boot_id, node.connection), list(node.flaps)
        self._write(observer_file.Restored(at_s, *stream, node.status, node.flapping, flaps, node.heard_s, deadline_s))

    def changed(self, changes: Iterable[Change]) -> None:
        """Publish, record and save changes of nodes."""
        if self.ended:
            return
        for change in changes:
            self.flashes += change.reason in STATUS_CHANGED and not change.flapping
            self._write(change)
            self.fanout.publish(change.at_s, change)
            self._save(change.node_id)

    def announce(self, at_s: float, body: Announcement) -> None:
        """Publish and log an event that changes no node's status."""
        if self.ended:
            return
        if isinstance(body, Forgotten):
            self.debug(body.node_id, on=False)
            self._write(observer_file.Removed(at_s, body.node_id))
        if isinstance(body, Paused) and self._recorder is not None:
            self._recorder.paused(at_s, body.lasted_s)
        self.fanout.publish(at_s, body)
        log.warning(type(body).__name__, **{item.name: getattr(body, item.name) for item in fields(body)})

    def flush(self) -> None:
        """Write the lines that the observer holds."""
        if self._observer is not None:
            self._observer.flush()

    def end(self, at_s: float) -> None:
        """Report nothing more; `at_s` is when the hub last looked for passed deadlines."""
        if self._observer is not None and not self.ended:
            self._observer.end(at_s)
        if self._recorder is not None and not self.ended:
            self._recorder.end(at_s)
        self.ended = True

    def _write(self, record: Record) -> None:
        if self._observer is not None:
            self._observer.write(record)
