"""What the hub said follows from what it heard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hub.events.replay import read_records, recorded_changes, replay

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import HubError
from heartbench.hub.events.observer_file import Change, End, Receipt
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import StoredNode
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.record_mapping import record_of
from heartbench.hub.work.admission import Admission


def welcomed(hub: Hub, node_id: str, connection: int, now: float = 0.0) -> Session:
    session, _ = hub.hello(Hello(node_id, 1, connection), now)
    assert session is not None
    return session


def by_node(changes: list[Change]) -> dict[str, list[Change]]:
    return {name: [change for change in changes if change.node_id == name] for name in "ab"}


class Kept(MemoryStore):
    """A store that held these records."""

    def __init__(self, records: list[NodeRecord]) -> None:
        super().__init__(0.0)
        self.records = records

    def load(self) -> Iterator[StoredNode]:
        return (StoredNode(record.node_id, record, (), (0, 0)) for record in self.records)


class Play:
    """A hub that is observed, two nodes, and everything that can happen to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(5.0, unix_offset_s=0.0)  # what is stored comes back exactly
        self.number = 0
        self.runs = 0
        self.begin([])

    def begin(self, records: list[NodeRecord]) -> None:
        self.runs += 1
        self.path = self.path_of(self.runs)
        settings = HubSettings.of(
            stale_after_s=3,
            flap_window_s=30,
            mass_silence_nodes=2,
            mass_silence_max_s=20,
            restart_grace_s=5,
            observe_file=self.path,
        )
        self.hub = open_hub(settings, self.clock, Kept(records))
        self.sessions: dict[str, Session] = {}

    def path_of(self, run: int) -> Path:
        return self.folder / f"observer-{run}.jsonl"

    def end(self) -> None:
        self.hub.end(self.clock.now_s)
        self.check()

    def check(self) -> None:
        """The registry alone says the same of what was recorded."""
        header, lines = read_records(self.path)
        records = list(lines)
        assert by_node(replay(header, records)) == by_node(recorded_changes(records))

    def step(self, verb: str, name: str, seconds: float) -> None:
        self.number += 1
        hub, session = self.hub, self.sessions.get(name)
        if verb == "run":
            for _ in range(round(seconds / TICK_S)):
                self.clock.now_s += TICK_S
                hub.tick(self.clock.now_s)
        elif verb == "stop":
            self.clock.now_s += seconds
        elif verb == "hello":
            self.sessions[name] = welcomed(hub, name, self.number, self.clock.now_s)
        elif verb == "throttled":
            hub.admission = Admission(1.0, lambda: 0.0, self.clock.now_s)
            while hub.hello(Hello(name, 1, self.number), self.clock.now_s)[0] is not None:
                pass
            hub.admission = Admission(0.0, lambda: 0.0, self.clock.now_s)
        elif verb == "forget" and name in hub.registry.nodes:
            hub.forget(name, self.clock.now_s)
            self.sessions.pop(name, None)
        elif verb == "restart":
            self.end()
            self.clock.now_s += seconds
            self.begin([record_of(node, self.clock) for node in hub.registry.nodes.values()])
        elif session is not None:
            self.say(verb, name, session)

    def say(self, verb: str, name: str, session: Session) -> None:
        now = self.clock.now_s
        match verb:
            case "beat":
                self.hub.heartbeat(session, now, self.number, 0.0)
            case "chunk":
                self.hub.sign_of_life(name, 1, now, self.number)
            case "goodbye":
                self.hub.goodbye(session, now)
            case "closed":
                self.hub.closed(session, now)


VERBS = ["run"] * 3 + ["stop", "hello", "beat", "beat", "chunk", "goodbye", "closed", "throttled", "forget", "restart"]
SECONDS = st.sampled_from([0.1, 1.0, 2.9, 3.0, 3.2, 7.0, 25.0])


@given(st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from("ab"), SECONDS), max_size=40))
def test_the_recorded_changes_are_those_computed_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, float]]
) -> None:
    play = Play(tmp_path_factory.mktemp("replay"))
    for verb, name, seconds in steps:
        play.step(verb, name, seconds)
    play.end()


def test_nothing_is_said_after_the_end(tmp_path: Path) -> None:
    clock = ManualClock()
    hub = open_hub(HubSettings.of(observe_file=tmp_path / "o"), clock)
    session = welcomed(hub, "n", 0)
    hub.end(0.0)
    said = hub.fanout.seq
    hub.closed(session, 500.0)
    hub.heartbeat(session, 500.0, 1, 0.0)
    hub.tick(500.0)
    hub.end(500.0)
    assert hub.fanout.seq == said
    _, records = read_records(tmp_path / "o")
    assert [type(record) for record in records] == [Receipt, Change, End]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "o"
    open_hub(HubSettings.of(observe_file=path), ManualClock()).end(0.0)
    path.write_text(path.read_text() + '["receipt",1.0,"n"')
    header, records = read_records(path)
    assert (header.monotonic_s, [type(record) for record in records]) == (0.0, [End])


@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"{}\n", b"node,at\n1,2\n", b'["header",{"schema":"other/1"}]\n', b"[]\n"]
)
def test_what_is_no_observer_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o"
    path.write_bytes(content)
    with pytest.raises(HubError, match=str(path)):
        read_records(path)
    with pytest.raises(HubError, match="cannot be read"):
        read_records(tmp_path / "missing")


def test_a_file_that_cannot_be_written_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"HUB_OBSERVE_FILE=.* cannot be written: Is a directory"):
        open_hub(HubSettings.of(observe_file=tmp_path), ManualClock())
