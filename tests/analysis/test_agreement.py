"""Does the hub say what follows from what it heard?"""

from pathlib import Path

import pandas as pd
import pytest

from heartbench.analysis.agreement import agreement
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.events.observer_file import Header
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.simulator.observer_frames import Observed, read_observer

CHANGES = [
    (0.0, "a", "online", "registered"),
    (5.0, "a", "stale", "silence"),
    (7.0, "a", "online", "heard"),
]


def observed(changes: list[tuple[float, str, str, str]], until_s: float = 10.0) -> Observed:
    hub = HubSettings.of(stale_after_s=5.0, flap_window_s=40.0, flap_threshold=4, flap_exit=2)
    columns = ["at_s", "node_id", "kind", "seq"]
    receipts = pd.DataFrame([(0.0, "a", "hello", 0), (7.0, "a", "heartbeat", 1)], columns=columns)
    moves = pd.DataFrame(columns=["at_s", "node_id", "deadline_s"]).astype({"at_s": float, "deadline_s": float})
    said = pd.DataFrame(changes, columns=["at_s", "node_id", "status", "reason"])
    forgotten = pd.DataFrame(columns=["at_s", "node_id"])
    return Observed(Header(0.0, 0.0, 1, hub.model_dump()), receipts, forgotten, moves, said, until_s)


def test_what_follows_is_agreed_to() -> None:
    found = agreement(observed(CHANGES), until_s=10.0)
    assert (found.changes, found.stale, found.not_following, found.missing, found.first) == (3, 1, 0, 0, "")


def test_a_change_a_little_late_does_not_follow_and_the_one_in_time_is_missing() -> None:
    late = [CHANGES[0], (5.01, "a", "stale", "silence"), CHANGES[2]]
    found = agreement(observed(late), until_s=10.0)
    assert (found.changes, found.not_following, found.missing) == (3, 1, 1)
    assert found.first == "a: the hub reported stale (silence) at 5.01 s, its record implies stale (silence) at 5.0 s"


def test_a_change_that_is_missing_is_found() -> None:
    found = agreement(observed(CHANGES[:2]), until_s=10.0)
    assert (found.changes, found.not_following, found.missing) == (2, 0, 1)


def test_what_comes_after_a_missing_change_follows_all_the_same() -> None:
    found = agreement(observed([CHANGES[0], CHANGES[2]]), until_s=10.0)
    assert (found.changes, found.stale, found.not_following, found.missing) == (2, 0, 0, 1)
    assert found.first == "a: the hub reported online (heard) at 7.0 s, its record implies stale (silence) at 5.0 s"


def test_what_was_said_twice_follows_once() -> None:
    found = agreement(observed([*CHANGES, CHANGES[2]]), until_s=10.0)
    assert (found.changes, found.not_following, found.missing) == (4, 1, 0)
    assert found.first == "a: the hub reported online (heard) at 7.0 s, its record implies nothing"


def test_what_was_said_in_another_order_does_not_follow() -> None:
    found = agreement(observed([CHANGES[0], CHANGES[2], CHANGES[1]]), until_s=10.0)
    assert (found.not_following, found.missing) == (1, 1)


def test_of_a_node_that_the_hub_never_heard_nothing_follows() -> None:
    found = agreement(observed([*CHANGES, (1.0, "b", "online", "registered")]), until_s=10.0)
    assert (found.not_following, found.missing) == (1, 0)
    assert found.first == "b: the hub reported online (registered) at 1.0 s, its record implies nothing"


def test_what_a_killed_hub_did_not_write_down_any_more_is_not_missed() -> None:
    assert agreement(observed(CHANGES, until_s=10.0), until_s=20.0).missing == 0
    assert agreement(observed(CHANGES, until_s=20.0), until_s=20.0).first == (
        "a: the hub reported nothing, its record implies stale (silence) at 12.0 s"
    )


@pytest.mark.parametrize("last_s", [5.08, 5.55])
def test_a_deadline_that_a_killed_hub_had_not_looked_for_yet_is_not_missed(last_s: float, tmp_path: Path) -> None:
    clock, path = ManualClock(0.05), tmp_path / "observer.jsonl"
    hub = open_hub(HubSettings.of(stale_after_s=5.0, observe_file=path), clock)
    hub.hello(Hello("silent", 1, 1), clock.now_s)
    session, _ = hub.hello(Hello("heard", 1, 2), clock.now_s)
    for beat in range(1, 51):  # the last at 5 s
        clock.now_s = beat * TICK_S
        hub.tick(clock.now_s)
    assert session is not None  # the next is late, as far as is tolerated
    hub.heartbeat(session, last_s, 1, 0.0)
    hub.effects.flush()  # as when very many lines are held
    left = read_observer(path)
    hub.end(last_s)

    found = agreement(left, until_s=20.0)
    assert (found.changes, found.not_following, found.missing, found.first) == (2, 0, 0, "")
