"""The hub without its connections: what it knows, and what it makes of what happens.

Everything that happens to a node passes through here once: it is judged by the registry and told by the chronicle. The
clock is read where something happens, by a message or by the pulse, and nowhere below; who reads it learns too whether
the hub was away (`doubt.py`), before anything is judged by it.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import NoRoomError, NotIntroducedError, UnknownNodeError
from heartbench.hub.events.effects import Effects, observer_of
from heartbench.hub.events.fanout import EventFanout
from heartbench.hub.events.observer_file import Receipt
from heartbench.hub.events.types import Forgotten, Paused, StoreChanged
from heartbench.hub.liveness.mass_silence import MassSilence
from heartbench.hub.liveness.registry import Hello, Node, Registry, Session
from heartbench.hub.liveness.rules import MoveReason, Status
from heartbench.hub.liveness.self_health import CATCH_UP_S, PauseDetector
from heartbench.hub.store import Store
from heartbench.hub.store.history import History
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.hub.store.writer import KnownNode, StoreHealth, Writer
from heartbench.hub.work.admission import Admission
from heartbench.hub.work.commands import Answer, Commands
from heartbench.mesh.kinds import Kind


@dataclass(slots=True)
class Counters:
    """What came since the hub started."""

    heartbeats: int = 0
    chunks: int = 0
    hellos: int = 0


class Hub:
    """Who is here and what each last said. Not thread-safe: one event loop owns it."""

    def __init__(
        self, settings: HubSettings, clock: Clock, store: Store | None = None, seed: int | None = None
    ) -> None:
        """Without a `store` nothing outlives it; `seed` is for the jitter that throttled nodes are given."""
        now = clock.monotonic()
        store = store or MemoryStore(clock.unix(now))
        self.settings = settings
        self.clock = clock
        self.epoch = store.epoch
        self.began_s = now
        self.counters = Counters()
        self.histories: dict[str, History] = {}
        self.registry = Registry(settings.policy)
        self.registry.before_stale = self._before_stale
        self.bus = EventFanout(settings.event_queue, settings.event_log, settings.max_subscribers, store.epoch)
        self.chronicle = Effects(self.bus, observer_of(settings, clock, store.epoch), self._save)
        self.commands = Commands(settings.commands_waiting, store.epoch)
        self.admission = Admission(settings.admit_per_s, random.Random(seed).random, now)
        self.attention = PauseDetector(now, settings.pause_over_s)
        self.silence = MassSilence(
            self.registry,
            settings.mass_silence_fraction,
            settings.mass_silence_nodes,
            settings.mass_silence_max_s,
            lambda node, deadline_s, now: self._move(node, deadline_s, now, MoveReason.MASS_SILENCE),
        )
        self.writer = Writer(
            store,
            durability=settings.store_durability,
            max_chunks=settings.store_queue_chunks,
            max_bytes=settings.max_inflight_bytes // 4,
            linger_s=settings.store_linger_s,
            everything=self._everything,
            on_health=self._store_says,
        )
        self._restore(store, now)

    def hello(self, hello: Hello, sent_unix_s: float = 0.0) -> tuple[Session | None, float]:
        """A node opened a stream: its session, or how long (s) it is to stay away first.

        Raises:
            OutdatedStreamError: It has opened a newer one.
            NoRoomError: The hub knows as many nodes as it may.
        """
        now = self._read_clock()
        if hello.node_id not in self.registry.nodes and len(self.registry.nodes) >= self.settings.max_nodes:
            raise NoRoomError(f"the hub knows {self.settings.max_nodes} nodes; HUB_MAX_NODES allows no more")
        retry_after_s = self.admission.ask(now)
        if retry_after_s:
            self._throttled(hello, now, sent_unix_s)
            return None, retry_after_s
        session, changes = self.registry.hello(hello, now)
        self.counters.hellos += 1
        self._note(now, hello.node_id, hello.boot_id, hello.connection, Kind.HELLO, 0, sent_unix_s)
        self.chronicle.changed(changes)
        return session, 0.0

    def heartbeat(self, session: Session, seq: int, sent_unix_s: float) -> None:
        """A heartbeat came; on a stream that was replaced it is not heard."""
        node = session.node
        if node.session is not session:
            return
        now = self._read_clock()
        changes = self.registry.heartbeat(session, now, seq)
        self.counters.heartbeats += 1
        if self.chronicle.noting:
            self._note(now, node.node_id, session.boot_id, session.connection, Kind.HEARTBEAT, seq, sent_unix_s)
        if changes:
            self.chronicle.changed(changes)

    def sign_of_life(self, node_id: str, boot_id: int, seq: int = 0, sent_unix_s: float = 0.0) -> Node:
        """Something came on an Upload stream of a node.

        Raises:
            NotIntroducedError: The node did not say Hello with this boot before.
        """
        node = self.registry.nodes.get(node_id)
        if node is None or node.boot_id < boot_id:
            raise NotIntroducedError(f"node {node_id!r}: no Hello of boot {boot_id} came before its Upload")
        if node.boot_id == boot_id:
            now = self._read_clock()
            changes = self.registry.sign_of_life(node_id, boot_id, now)
            self.counters.chunks += 1
            if self.chronicle.noting:
                self._note(now, node_id, boot_id, node.connection, Kind.CHUNK, seq, sent_unix_s)
            if changes:
                self.chronicle.changed(changes)
        return node

    def answered(self, session: Session, command_id: str, answer: Answer) -> None:
        """A node answered a command: a sign of life like any other."""
        node = session.node
        if node.session is session:
            now = self._read_clock()
            changes = self.registry.sign_of_life(node.node_id, session.boot_id, now)
            self._note(now, node.node_id, session.boot_id, session.connection, Kind.CHUNK, 0, 0.0)
            self.chronicle.changed(changes)
            self.commands.answer(node.node_id, command_id, answer)

    def saved_seq(self, session: Session) -> int:
        """The greatest chunk of a stream's boot that is as safe as the settings say, 0 for none."""
        node_id = session.node.node_id
        boot_id, seq = self.writer.saved(node_id, self.history(node_id))
        return seq if boot_id == session.boot_id else 0

    def goodbye(self, session: Session) -> None:
        """A node leaves on purpose."""
        if session.node.session is session:
            now = self._read_clock()
            changes = self.registry.goodbye(session, now)
            self._note(now, session.node.node_id, session.boot_id, session.connection, Kind.GOODBYE, 0, 0.0)
            self.chronicle.changed(changes)

    def closed(self, session: Session) -> None:
        """A stream ended. What the hub's own end closes says nothing about a node."""
        if self.chronicle.ended or session.node.session is not session:
            return
        now = self._read_clock()
        changes = self.registry.closed(session, now)
        self.chronicle.closed(now, session)
        self.chronicle.changed(changes)

    def beat(self) -> None:
        """The pulse: find the deadlines that passed, unless there is reason to doubt that they did."""
        now = self._read_clock()
        self.attention.beat(now)
        ended = self.silence.look(now)
        if ended is not None:
            self.chronicle.said(now, ended)
        self.chronicle.changed(self.registry.sweep(now))

    def end(self) -> None:
        """Look for passed deadlines once more, and then say nothing about any node."""
        if not self.chronicle.ended:
            now = self._read_clock()
            self.chronicle.changed(self.registry.sweep(now))
            for node_id in self.registry.nodes:
                self._save(node_id)  # when each was last heard
            self.chronicle.end(now)

    def node(self, node_id: str) -> Node:
        """A node that the hub knows; UnknownNodeError if it does not."""
        try:
            return self.registry.nodes[node_id]
        except KeyError:
            raise UnknownNodeError(f"the hub never saw a node {node_id!r}") from None

    def history(self, node_id: str) -> History:
        """What a node last said, oldest first, also where it was said before the hub's last start."""
        history = self.histories.get(node_id)
        if history is None:
            history = self.histories[node_id] = History(self.settings.history_chunks, self.settings.history_bytes)
        return history

    def forget(self, node_id: str) -> None:
        """Remove a node for good, with its history; UnknownNodeError if the hub does not know it."""
        node = self.node(node_id)
        now = self._read_clock()
        self.chronicle.changed(self.registry.forget(node.node_id, now))
        self.histories.pop(node_id, None)
        self.writer.forget(node_id)
        self.chronicle.said(now, Forgotten(node_id))

    def expired_nodes(self) -> list[str]:
        """Nodes that are not online and were silent for `forget_after`."""
        if not self.settings.forget_after:
            return []
        before_s = self.clock.monotonic() - self.settings.forget_after
        nodes = self.registry.nodes.values()
        return [node.node_id for node in nodes if node.status is not Status.ONLINE and node.heard_s < before_s]

    def _read_clock(self) -> float:
        """Now; where the hub could not hear for a while, every node is given that time first."""
        now = self.clock.monotonic()
        if now > self.attention.suspect_s:
            lapse_s = self.attention.lapse(now)
            for node in self.registry.online():
                at_least_s = now + min(CATCH_UP_S, node.threshold_s)
                self._move(node, max(node.deadline_s + lapse_s, at_least_s), now, MoveReason.PAUSE)
            self.chronicle.said(now, Paused(lapse_s))
        return now

    def _before_stale(self, node: Node, now: float) -> None:
        began = self.silence.before_stale(node, now)
        if began is not None:
            self.chronicle.said(now, began)

    def _move(self, node: Node, deadline_s: float, now: float, reason: MoveReason) -> None:
        self.registry.move_deadline(node, deadline_s)
        self.chronicle.moved(now, node, reason)

    def _throttled(self, hello: Hello, now: float, sent_unix_s: float) -> None:
        """A node that must wait outside is alive all the same."""
        node = self.registry.nodes.get(hello.node_id)
        if node is None or hello.boot_id < node.boot_id or node.status is Status.OFFLINE:
            return
        changes = self.registry.sign_of_life(hello.node_id, hello.boot_id, now)
        stream = hello.boot_id, hello.connection
        self.chronicle.received(Receipt(now, hello.node_id, *stream, Kind.HELLO, 0, sent_unix_s), throttled=True)
        self.chronicle.changed(changes)

    def _note(
        self, now: float, node_id: str, boot_id: int, connection: int, kind: Kind, seq: int, sent_unix_s: float
    ) -> None:
        if self.chronicle.noting:
            self.chronicle.received(Receipt(now, node_id, boot_id, connection, kind, seq, sent_unix_s))

    def _save(self, node_id: str) -> None:
        node = self.registry.nodes.get(node_id)
        if node is not None:  # else it is being forgotten
            self.writer.save(record_of(node, self.clock))

    def _store_says(self, health: StoreHealth) -> None:
        self.chronicle.said(self.clock.monotonic(), StoreChanged(health.state, health.error))

    def _everything(self) -> Iterable[KnownNode]:
        """All nodes, for a store that lost them."""
        nodes = self.registry.nodes.items()
        return [(name, self.histories.get(name), record_of(node, self.clock)) for name, node in nodes]

    def _restore(self, store: Store, now: float) -> None:
        """Take over what the hub knew when it last ran."""
        settings = self.settings
        for stored in store.load():
            if stored.record is not None:
                node = node_of(stored.record, self.registry, self.clock, settings.restart_grace_s)
                self.registry.restore(node)
                self.chronicle.restored(now, node)
            self.histories[stored.node_id] = History.restore(
                settings.history_chunks, settings.history_bytes, stored.chunks, stored.newest
            )
