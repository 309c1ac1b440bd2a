"""What the hub said follows from what it heard."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.admission import Admission
from heartbench.hub.clock import ToldClock
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import HubError
from heartbench.hub.events import Change
from heartbench.hub.registry import Hello, Session
from heartbench.hub.replay import read_records, recorded_changes, replay


def welcomed(hub: Hub, node_id: str, connection: int) -> Session:
    session, _ = hub.hello(Hello(node_id, 1, connection))
    assert session is not None
    return session


def by_node(changes: list[Change]) -> dict[str, list[Change]]:
    return {name: [change for change in changes if change.node_id == name] for name in "ab"}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 2.9, 3.0, 3.1, 20.0]),
        st.sampled_from("ab"),
        st.sampled_from(["hello", "beat", "beat", "chunk", "goodbye", "closed", "sweep", "throttled", "forget"]),
    ),
    max_size=50,
)


@given(STEPS)
def test_the_recorded_changes_are_those_computed_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("replay") / "observer.jsonl"
    clock = ToldClock(5.0)
    hub = Hub(HubSettings.of(stale_after_s=3, flap_window_s=30, observe_file=path), clock)
    sessions: dict[str, Session] = {}
    for number, (wait_s, name, verb) in enumerate(steps):
        clock.now_s += wait_s
        session = sessions.get(name)
        if verb == "hello":
            sessions[name] = welcomed(hub, name, number)
        elif verb == "sweep":
            hub.beat()
        elif verb == "throttled":
            hub.admission = Admission(1.0, lambda: 0.0, clock.now_s)
            while hub.hello(Hello(name, 1, number))[0] is not None:
                pass
            hub.admission = Admission(0.0, lambda: 0.0, clock.now_s)
        elif verb == "forget" and name in hub.registry.nodes:
            hub.forget(name)
            sessions.pop(name, None)
        elif session is None:
            continue
        elif verb == "beat":
            hub.heartbeat(session, number, 0.0)
        elif verb == "chunk":
            hub.sign_of_life(name, 1, number)
        elif verb == "goodbye":
            hub.goodbye(session)
        elif verb == "closed":
            hub.closed(session)
    hub.end()
    records = list(read_records(path))
    assert by_node(replay(records)) == by_node(recorded_changes(records))


def test_nothing_is_said_after_the_end(tmp_path: Path) -> None:
    clock = ToldClock()
    hub = Hub(HubSettings.of(observe_file=tmp_path / "o"), clock)
    session = welcomed(hub, "n", 0)
    hub.end()
    said = hub.bus.seq
    clock.now_s = 500.0
    hub.closed(session)
    hub.heartbeat(session, 1, 0.0)
    hub.beat()
    hub.end()
    assert hub.bus.seq == said
    assert [record[0] for record in read_records(tmp_path / "o")] == ["header", "receipt", "change", "end"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "o"
    Hub(HubSettings.of(observe_file=path), ToldClock()).end()
    path.write_text(path.read_text() + '["receipt",1.0,"n"')
    assert [record[0] for record in read_records(path)] == ["header", "end"]


@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"{}\n", b"node,at\n1,2\n", b'["header",{"schema":"other/1"}]\n', b"[]\n"]
)
def test_what_is_no_observer_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o"
    path.write_bytes(content)
    with pytest.raises(HubError, match=str(path)):
        list(read_records(path))
    with pytest.raises(HubError, match="cannot be read"):
        list(read_records(tmp_path / "missing"))


def test_a_file_that_cannot_be_written_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"HUB_OBSERVE_FILE=.* cannot be written: Is a directory"):
        Hub(HubSettings.of(observe_file=tmp_path), ToldClock())
