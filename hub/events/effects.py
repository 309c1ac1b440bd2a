"""Where all that is heard and said goes, in one order: observer, subscribers, store, and the log of a debugged node.

It decides nothing. After `end` it still hears and says nothing more: what the hub's own stopping does to its streams is
no news about any node.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields

import structlog

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.events.fanout import EventFanout
from heartbench.hub.events.observer_file import Observer, Receipt
from heartbench.hub.events.types import Body, Change, Forgotten
from heartbench.hub.liveness.registry import Node, Session
from heartbench.hub.liveness.rules import MoveReason, Reason
from heartbench.mesh.kinds import WORDS

STATUS_CHANGED = (Reason.SILENCE, Reason.HEARD, Reason.GOODBYE)

log = structlog.get_logger()


class Effects:
    """Tells whom it concerns. `save` is given the id of each node that changed."""

    def __init__(self, bus: EventFanout, observer: Observer | None, save: Callable[[str], None]) -> None:
        self.bus = bus
        self.flashes = 0  # changes of status of nodes that are not flapping
        self.ended = False
        self.noting = observer is not None  # whether a message need be noted at all
        self._observer = observer
        self._save = save
        self._debugged: set[str] = set()

    def debug(self, node_id: str, on: bool) -> None:
        """Log each message of one node, or no longer."""
        (self._debugged.add if on else self._debugged.discard)(node_id)
        self.noting = self._observer is not None or bool(self._debugged)

    def received(self, receipt: Receipt, throttled: bool = False) -> None:
        """A message was heard; `throttled`: a Hello that was a sign of life and began no stream."""
        if self._observer is not None:
            if throttled:
                self._observer.throttled(receipt.at_s, receipt.node_id, receipt.boot_id, receipt.connection)
            self._observer.receipt(receipt)
        if receipt.node_id in self._debugged:
            log.info("received", throttled=throttled, **receipt._asdict() | {"kind": WORDS[receipt.kind]})

    def closed(self, at_s: float, session: Session) -> None:
        """A stream ended without Goodbye."""
        if self._observer is not None:
            self._observer.closed(at_s, session.node.node_id, session.boot_id, session.connection)
        if session.node.node_id in self._debugged:
            log.info("closed", node_id=session.node.node_id, boot_id=session.boot_id, connection=session.connection)

    def moved(self, at_s: float, node: Node, reason: MoveReason) -> None:
        """A deadline was moved, and no receipt moved it."""
        if self._observer is not None:
            self._observer.deadline(at_s, node.node_id, node.deadline_s, reason)

    def restored(self, at_s: float, node: Node) -> None:
        """A node was taken over from the hub's last run."""
        if self._observer is not None:
            self._observer.restored(at_s, node)

    def changed(self, changes: Iterable[Change]) -> None:
        """Nodes changed."""
        if self.ended:
            return
        for change in changes:
            self.flashes += change.reason in STATUS_CHANGED and not change.flapping
            if self._observer is not None:
                self._observer.change(change)
            self.bus.publish(change.at_s, change)
            self._save(change.node_id)

    def said(self, at_s: float, body: Body) -> None:
        """Something that changes no node's status; it goes to the log too."""
        if self.ended:
            return
        if isinstance(body, Forgotten):
            self.debug(body.node_id, on=False)
            if self._observer is not None:
                self._observer.forgotten(at_s, body.node_id)
        self.bus.publish(at_s, body)
        log.warning(type(body).__name__, **{item.name: getattr(body, item.name) for item in fields(body)})

    def flush(self) -> None:
        """Have the observer write what it holds."""
        if self._observer is not None:
            self._observer.flush()

    def end(self, at_s: float) -> None:
        """Say nothing more; the hub looked for passed deadlines until now."""
        if self._observer is not None and not self.ended:
            self._observer.end(at_s)
        self.ended = True


def observer_of(settings: HubSettings, clock: Clock, epoch: int) -> Observer | None:
    """The observer that the settings ask for."""
    if settings.observe_file is None:
        return None
    now = clock.monotonic()
    header = {
        "monotonic_s": now,
        "unix_s": clock.unix(now),
        "epoch": epoch,
        "settings": settings.model_dump(mode="json"),
    }
    return Observer(settings.observe_file, header)
