"""The hub without its connections: registry, history, events and observer, told of what happens by whoever listens.

Everything that changes passes through here once: it is counted, observed and published in the same order. The clock is
read where something happens (a receipt, a pulse) and nowhere below.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from heartbench.hub.bus import EventBus
from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import NotIntroducedError
from heartbench.hub.events import Change
from heartbench.hub.history import History, StoredChunk
from heartbench.hub.liveness import Reason
from heartbench.hub.observer import Kind, Observer, Receipt
from heartbench.hub.registry import Hello, Node, Registry, Session

NO_CHUNKS = History(1, 1)
STATUS_CHANGED = (Reason.SILENCE, Reason.HEARD, Reason.GOODBYE)


@dataclass(slots=True)
class Counters:
    """What happened since the hub started."""

    heartbeats: int = 0
    chunks: int = 0
    hellos: int = 0
    flashes: int = 0  # changes of status of nodes that are not flapping


class Hub:
    """Who is here and what each last said. Not thread-safe: one event loop owns it."""

    def __init__(self, settings: HubSettings, clock: Clock, epoch: int) -> None:
        self.settings = settings
        self.clock = clock
        self.epoch = epoch
        self.registry = Registry.from_settings(settings)
        self.bus = EventBus(settings.event_queue)
        self.counters = Counters()
        self.histories: dict[str, History] = {}
        self.ended = False
        self._now = clock.monotonic
        self._observer = observer_of(settings, clock, epoch)

    def hello(self, hello: Hello, sent_unix_s: float = 0.0) -> Session:
        """A node opened a stream; OutdatedStreamError if it has opened a newer one."""
        now = self._now()
        session, changes = self.registry.hello(hello, now)
        self.counters.hellos += 1
        self._note(now, session, Kind.HELLO, 0, sent_unix_s)
        self._tell(changes)
        return session

    def heartbeat(self, session: Session, seq: int, sent_unix_s: float) -> None:
        """A heartbeat came; on a stream that was replaced it is not heard."""
        if session.node.session is not session:
            return
        now = self._now()
        changes = self.registry.heartbeat(session, now)
        self.counters.heartbeats += 1
        if self._observer is not None:
            self._note(now, session, Kind.HEARTBEAT, seq, sent_unix_s)
        if changes:
            self._tell(changes)

    def chunk(self, node_id: str, chunk: StoredChunk) -> None:
        """Terminal output came; NotIntroducedError unless the node said Hello with this boot or a later one."""
        node = self.registry.nodes.get(node_id)
        if node is None or node.boot_id < chunk.boot_id:
            raise NotIntroducedError(f"node {node_id!r}: no Hello of boot {chunk.boot_id} came before its chunks")
        if node.boot_id > chunk.boot_id:
            return
        now = self._now()
        changes = self.registry.chunk(node_id, chunk.boot_id, now)
        self.counters.chunks += 1
        stream = Session(node, node.boot_id, node.connection)
        self._note(now, stream, Kind.CHUNK, chunk.seq, chunk.sent_unix_s)
        self._tell(changes)
        self._history(node_id).append(chunk)

    def goodbye(self, session: Session) -> None:
        """A node leaves on purpose."""
        if session.node.session is session:
            now = self._now()
            changes = self.registry.goodbye(session, now)
            self._note(now, session, Kind.GOODBYE, 0, 0.0)
            self._tell(changes)

    def closed(self, session: Session) -> None:
        """A stream ended. What the hub's own end closes says nothing about a node."""
        if self.ended or session.node.session is not session:
            return
        now = self._now()
        changes = self.registry.closed(session, now)
        if self._observer is not None:
            self._observer.closed(now, session.node.node_id, session.boot_id, session.connection)
        self._tell(changes)

    def sweep(self) -> None:
        """Find the deadlines that passed."""
        self._tell(self.registry.sweep(self._now()))

    def move_deadlines(self, later_s: float, reason: str) -> None:
        """Give every online node more time than its last sign of life did."""
        now = self._now()
        for node in self.registry.online():
            self.registry.move_deadline(node, node.deadline_s + later_s)
            if self._observer is not None:
                self._observer.deadline(now, node.node_id, node.deadline_s, reason)

    def end(self) -> None:
        """Look for passed deadlines once more, and then say nothing about any node."""
        if self.ended:
            return
        now = self._now()
        self._tell(self.registry.sweep(now))
        if self._observer is not None:
            self._observer.end(now)
        self.ended = True

    def flush(self) -> None:
        """Have the observer write what it holds."""
        if self._observer is not None:
            self._observer.flush()

    def history(self, node_id: str) -> Iterable[StoredChunk]:
        """What a node last said, oldest first."""
        return self.histories.get(node_id, NO_CHUNKS)

    def last_chunk_seq(self, node: Node) -> int:
        """The greatest chunk of the node's boot that the hub holds, 0 for none."""
        return self.histories.get(node.node_id, NO_CHUNKS).last_seq(node.boot_id)

    def _history(self, node_id: str) -> History:
        history = self.histories.get(node_id)
        if history is None:
            history = self.histories[node_id] = History(self.settings.history_chunks, self.settings.history_bytes)
        return history

    def _note(self, now: float, session: Session, kind: Kind, seq: int, sent_unix_s: float) -> None:
        if self._observer is not None:
            node_id = session.node.node_id
            receipt = Receipt(now, node_id, session.boot_id, session.connection, kind, seq, sent_unix_s)
            self._observer.receipt(receipt)

    def _tell(self, changes: Iterable[Change]) -> None:
        if self.ended:
            return
        for change in changes:
            if change.reason in STATUS_CHANGED and not change.flapping:
                self.counters.flashes += 1
            if self._observer is not None:
                self._observer.change(change)
            self.bus.publish(change.at_s, change)


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
