"""The hub without its connections: what it knows of its nodes, and what follows from each message.

Everything that happens to a node passes through here once: the registry judges it, and the effects carry the outcome to
observer, subscribers and store. The core reads no clock, draws no random number and opens no file (`composition.py`
does): each call is given `now` (s, monotonic, never decreasing), and first gives the nodes the time of a pause that
`now` reveals (`liveness/self_health.py`).
"""

from collections.abc import Callable, Iterable

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import NoRoomError, NotIntroducedError, OutdatedStreamError, UnknownNodeError
from heartbench.hub.events.effects import Effects
from heartbench.hub.events.fanout import EventFanout, Forgotten, NameContested
from heartbench.hub.events.observer_file import Observer, Receipt
from heartbench.hub.events.recorder import Recorder
from heartbench.hub.events.trace_journal import Source
from heartbench.hub.liveness.mass_silence import MassSilence
from heartbench.hub.liveness.node import Hello, Node, Session
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import MoveReason, Status
from heartbench.hub.liveness.self_health import PauseDetector
from heartbench.hub.liveness.takeovers import Takeovers
from heartbench.hub.printable import shown
from heartbench.hub.store.history import HeldBytes, History
from heartbench.hub.store.protocol import StoredNode
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.writer import KnownNode, Writer
from heartbench.hub.work.admission import Admission
from heartbench.hub.work.commands import Answer, Commands
from heartbench.hub.work.latency import HeartbeatLatency
from heartbench.hub.work.shares import Shares
from heartbench.mesh.kinds import WORDS, Kind


class Hub:
    """The nodes, their status and their histories. Not thread-safe: one event loop owns it."""

    def __init__(
        self,
        settings: HubSettings,
        now: float,
        *,
        epoch: int,
        writer: Writer,
        record_of: Callable[[Node], NodeRecord],
        draw: Callable[[], float],
        observer: Observer | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """`record_of` returns what is stored of a node; `draw` a number in [0, 1), for the jitter of delays."""
        self.settings = settings
        self.epoch = epoch
        self.began_s = now
        self.heartbeats = self.chunks = self.hellos = self.throttled = 0  # received since the start
        self.latency = HeartbeatLatency()  # added where messages are read: it would double the time of `heartbeat`
        self.histories: dict[str, History] = {}
        self.history_bytes = HeldBytes()
        self.writer = writer
        self.draw = draw
        self.registry = Registry(settings.policy)
        self.registry.before_stale = self._before_stale
        self.fanout = EventFanout(
            settings.event_queue, settings.event_log, settings.max_subscribers, epoch, settings.peer_share
        )
        self.recorder = recorder
        self._record = recorder.add if recorder else None  # called directly: it is on the path of every heartbeat
        self.effects = Effects(self.fanout, observer, recorder, self._save)
        self.commands = Commands(settings.commands_waiting, settings.commands_bytes, epoch)
        self.admission = Admission(settings.admit_per_s, draw, now)
        self.takeovers = Takeovers(draw)
        self._nodes_of_peer = Shares(settings.max_nodes, settings.peer_share)
        self.pauses = PauseDetector(self.registry, settings.pause_over_s, now, self._mover(MoveReason.PAUSE))
        self.mass_silence = MassSilence(
            self.registry,
            settings.mass_silence_fraction,
            settings.mass_silence_nodes,
            settings.mass_silence_max_s,
            now,
            self._mover(MoveReason.MASS_SILENCE),
        )
        self._record_of = record_of

    def adopt(self, settings: HubSettings, now: float) -> None:
        """Use other settings from now on; `operations/reload.py` says which of them may differ."""
        self._check_for_pause(now)
        if settings.policy != self.settings.policy:
            self.effects.changed(self.registry.adopt(settings.policy, now))
        self.admission.per_s = settings.admit_per_s
        self._nodes_of_peer.resize(settings.max_nodes)
        self.settings = settings

    def restore(self, stored: StoredNode, node: Node | None, now: float) -> None:
        """Take over what the hub knew of a node when it last ran; `node` is None if only its history is stored."""
        if node is not None:
            self.registry.restore(node)
            self._nodes_of_peer.add(node.peer)
            self.effects.restored(now, node)
        self.history(stored.node_id).restore(stored.chunks, stored.newest)

    def hello(self, hello: Hello, now: float, sent_unix_s: float = 0.0) -> tuple[Session | None, float]:
        """Begin a node's stream: return its session, or None and how long (s) the node must wait before it retries.

        Raises NoRoomError if the hub knows as many nodes as it may, in all or from this peer, OutdatedStreamError if a
        newer stream of the node is known, and the node online.
        """
        self._check_for_pause(now)
        node = self.registry.nodes.get(hello.node_id)
        if node is None:
            self._check_room(hello.peer)
        else:
            self.effects.changed(self.registry.expire(node, now))  # an older stream may return to a stale node
        retry_after_s = self.admission.ask(now, hello.peer) or self._held_back(node, hello, now)
        if retry_after_s:
            self._throttled(hello, now, sent_unix_s)
            return None, retry_after_s
        known_peer = node.peer if node else None
        session, changes = self.registry.hello(hello, now)
        self._nodes_of_peer.move(known_peer, hello.peer)
        self._follow_boot(hello)
        self.hellos += 1
        self._received(now, hello.node_id, hello.boot_id, hello.connection, Kind.HELLO, 0, sent_unix_s)
        self.effects.changed(changes)
        return session, 0.0

    def heartbeat(self, session: Session, now: float, seq: int, sent_unix_s: float) -> None:
        """Receive a heartbeat; on a stream that was replaced it counts for nothing."""
        node = session.node
        if node.session is not session:
            return
        if now > self.pauses.suspect_s:
            self._check_for_pause(now)
        changes = self.registry.heartbeat(session, now, seq)
        self.heartbeats += 1
        if self._record is not None:
            self._record((now, session, seq, sent_unix_s))
        if self.effects.records_messages:
            self._observed(now, node.node_id, session.boot_id, session.connection, Kind.HEARTBEAT, seq, sent_unix_s)
        if changes:
            self.effects.changed(changes)

    def sign_of_life(self, node_id: str, boot_id: int, now: float, seq: int = 0, sent_unix_s: float = 0.0) -> None:
        """Receive a message on an Upload stream of a node.

        Raises NotIntroducedError before the boot's Hello, OutdatedStreamError after the Hello of a newer boot.
        """
        node = self.registry.nodes.get(node_id)
        if node is None or node.boot_id < boot_id:
            raise NotIntroducedError(f"node {shown(node_id)}: no Hello of boot {boot_id} came before its Upload")
        if node.boot_id > boot_id:
            raise OutdatedStreamError(
                f"node {shown(node_id)}: boot {boot_id} ended with the Hello of boot {node.boot_id}"
            )
        self._check_for_pause(now)
        changes = self.registry.sign_of_life(node_id, boot_id, now)
        self.chunks += 1
        self._received(now, node_id, boot_id, node.connection, Kind.CHUNK, seq, sent_unix_s)
        if changes:
            self.effects.changed(changes)

    def answered(self, session: Session, now: float, command_id: str, answer: Answer) -> None:
        """Receive a node's answer to a command: a sign of life like any other."""
        node = session.node
        if node.session is session:
            self._check_for_pause(now)
            changes = self.registry.sign_of_life(node.node_id, session.boot_id, now)
            self._received(now, node.node_id, session.boot_id, session.connection, Kind.CHUNK, 0, 0.0)
            self.effects.changed(changes)
            self.commands.answer(node.node_id, command_id, answer)

    def saved_seq(self, session: Session) -> int:
        """Return the greatest chunk of a stream's boot that is as safe as the settings require, 0 for none."""
        node_id = session.node.node_id
        boot_id, seq = self.writer.saved(node_id, self.history(node_id))
        return seq if boot_id == session.boot_id else 0

    def goodbye(self, session: Session, now: float) -> None:
        """Receive a node's Goodbye."""
        if session.node.session is session:
            self._check_for_pause(now)
            changes = self.registry.goodbye(session, now)
            self._received(now, session.node.node_id, session.boot_id, session.connection, Kind.GOODBYE, 0, 0.0)
            self.effects.changed(changes)

    def closed(self, session: Session, now: float) -> None:
        """Record the end of a stream, unless the hub's own end closed it: that is not news about the node."""
        if self.effects.ended or session.node.session is not session:
            return
        self._check_for_pause(now)
        changes = self.registry.closed(session, now)
        self.effects.closed(now, session)
        self.effects.changed(changes)

    def tick(self, now: float) -> None:
        """Find the deadlines that passed, unless the hub has a reason to doubt that they did."""
        self._check_for_pause(now)
        self.pauses.tick(now)
        ended = self.mass_silence.close_if_over(now)
        if ended is not None:
            self.effects.announce(now, ended)
        self.effects.changed(self.registry.sweep(now))
        for node_id in self.takeovers.expire(now):
            self.effects.announce(now, NameContested(node_id, over=True))

    def end(self, now: float) -> None:
        """Look for passed deadlines once more, save when each node was last heard, and report nothing after that."""
        if not self.effects.ended:
            self._check_for_pause(now)
            self.effects.changed(self.registry.sweep(now))
            for node_id in self.registry.nodes:
                self._save(node_id)
            self.effects.end(now)

    def node(self, node_id: str) -> Node:
        """Return a known node; raise UnknownNodeError for any other."""
        try:
            return self.registry.nodes[node_id]
        except KeyError:
            raise UnknownNodeError(f"the hub never saw a node {shown(node_id)}") from None

    def is_connected(self, node_id: str) -> bool:
        """Return whether a node has a Connect stream."""
        node = self.registry.nodes.get(node_id)
        return node is not None and node.connected

    def all_nodes(self) -> Iterable[KnownNode]:
        """Return all nodes with their histories and records, for a store that lost them."""
        nodes = self.registry.nodes.items()
        return [(name, self.histories.get(name), self._record_of(node)) for name, node in nodes]

    def history(self, node_id: str) -> History:
        """Return a node's newest chunks, oldest first, including those from before the hub's last start."""
        if node_id not in self.histories:
            chunks, size_bytes = self.settings.history_chunks, self.settings.history_bytes
            self.histories[node_id] = History(chunks, size_bytes, self.history_bytes)
        return self.histories[node_id]

    def forget(self, node_id: str, now: float) -> None:
        """Remove a node for good, with its history; raise UnknownNodeError if the hub does not know it."""
        node = self.node(node_id)
        self._check_for_pause(now)
        self.effects.changed(self.registry.forget(node.node_id, now))
        self._nodes_of_peer.remove(node.peer)
        self.takeovers.forget(node_id)
        history = self.histories.pop(node_id, None)
        if history is not None:
            history.release()
        self.writer.forget(node_id)
        self.effects.announce(now, Forgotten(node_id))

    def expired_nodes(self, now: float) -> list[str]:
        """Return the nodes that are not online and were silent for `forget_after`."""
        if not self.settings.forget_after:
            return []
        return [node_id for node_id in self.registry.nodes if self.is_expired(node_id, now)]

    def is_expired(self, node_id: str, now: float) -> bool:
        """Return whether a node is known, is not online and was silent for `forget_after`."""
        node = self.registry.nodes.get(node_id)
        if node is None or node.status is Status.ONLINE:
            return False
        return node.heard_s < now - self.settings.forget_after

    def _follow_boot(self, hello: Hello) -> None:
        """Begin a history anew that has chunks of a greater boot: none of this boot could ever follow them."""
        history = self.histories.get(hello.node_id)
        if history is not None and history.newest[0] > hello.boot_id:
            del self.histories[hello.node_id]
            history.release()
            self.writer.forget(hello.node_id)

    def _check_room(self, peer: str) -> None:
        """Raise NoRoomError if a new node of this peer is one too many."""
        if len(self.registry.nodes) >= self.settings.max_nodes:
            raise NoRoomError(f"the hub knows {self.settings.max_nodes} nodes; HUB_MAX_NODES allows no more")
        if peer:
            self._nodes_of_peer.check(peer, "known nodes")

    def _held_back(self, node: Node | None, hello: Hello, now: float) -> float:
        """Return how long a Hello must wait because its name is contested, s."""
        if node is None or not node.connected or (hello.boot_id, hello.connection) < (node.boot_id, node.connection):
            return 0.0
        before = node.node_id in self.takeovers.contested
        retry_after_s = self.takeovers.ask(node.node_id, now)
        if retry_after_s and not before:
            self.effects.announce(now, NameContested(node.node_id, node.address, hello.address))
        return retry_after_s

    def _check_for_pause(self, now: float) -> None:
        paused = self.pauses.check(now)
        if paused is not None:
            self.effects.announce(now, paused)

    def _before_stale(self, node: Node, now: float) -> None:
        began = self.mass_silence.before_stale(node, now)
        if began is not None:
            self.effects.announce(now, began)

    def _mover(self, reason: MoveReason) -> Callable[[Node, float, float], None]:
        """Return the function that moves a node's deadline for `reason`."""

        def move(node: Node, deadline_s: float, now: float) -> None:
            self.registry.move_deadline(node, deadline_s)
            self.effects.moved(now, node, reason)

        return move

    def _throttled(self, hello: Hello, now: float, sent_unix_s: float) -> None:
        """Count the Hello of a node that must retry later, also as a sign of life."""
        self.throttled += 1
        node = self.registry.nodes.get(hello.node_id)
        if node is None or hello.boot_id < node.boot_id or node.status is Status.OFFLINE:
            return
        changes = self.registry.sign_of_life(hello.node_id, hello.boot_id, now)
        self._received(now, hello.node_id, hello.boot_id, hello.connection, Kind.HELLO, 0, sent_unix_s, throttled=True)
        self.effects.changed(changes)

    def _received(
        self, now: float, node_id: str, boot_id: int, connection: int, kind: Kind, seq: int, sent_unix_s: float,
        throttled: bool = False,
    ) -> None:  # fmt: skip
        """Record a message that is not a heartbeat."""
        if self._record is not None:
            self._record((now, Source(node_id, boot_id, connection, kind), seq, sent_unix_s))
        self._observed(now, node_id, boot_id, connection, kind, seq, sent_unix_s, throttled)

    def _observed(
        self, now: float, node_id: str, boot_id: int, connection: int, kind: Kind, seq: int, sent_unix_s: float,
        throttled: bool = False,
    ) -> None:  # fmt: skip
        if self.effects.records_messages:
            receipt = Receipt(now, node_id, boot_id, connection, WORDS[kind], seq, sent_unix_s)
            self.effects.received(receipt, throttled)

    def _save(self, node_id: str) -> None:
        node = self.registry.nodes.get(node_id)
        if node is not None:  # else it is being forgotten
            self.writer.save(self._record_of(node))
