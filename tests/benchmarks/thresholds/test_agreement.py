"""Does the hub say what follows from what it heard?"""

import pandas as pd

from heartbench.benchmarks.thresholds.agreement import agreement
from heartbench.hub.config import HubSettings
from heartbench.simulator.observer import Observed

CHANGES = [
    (0.0, "a", "online", "registered"),
    (5.0, "a", "stale", "silence"),
    (7.0, "a", "online", "heard"),
]


def observed(changes: list[tuple[float, str, str, str]], until_s: float = 10.0) -> Observed:
    hub = HubSettings.of(stale_after_s=5.0, flap_window_s=40.0, flap_threshold=4, flap_exit=2)
    receipts = pd.DataFrame([(0.0, "a", "hello"), (7.0, "a", "heartbeat")], columns=["at_s", "node_id", "kind"])
    moves = pd.DataFrame(columns=["at_s", "node_id", "deadline_s"]).astype({"at_s": float, "deadline_s": float})
    said = pd.DataFrame(changes, columns=["at_s", "node_id", "status", "reason"])
    forgotten = pd.DataFrame(columns=["at_s", "node_id"])
    return Observed({"settings": hub.model_dump()}, receipts, forgotten, moves, said, until_s)


def test_what_follows_is_agreed_to() -> None:
    found = agreement(observed(CHANGES), until_s=10.0)
    assert (found.changes, found.stale, found.differing, found.first) == (3, 1, 0, "")


def test_a_change_a_little_late_does_not_follow() -> None:
    late = [CHANGES[0], (5.01, "a", "stale", "silence"), CHANGES[2]]
    found = agreement(observed(late), until_s=10.0)
    assert found.differing == 1
    assert "a: the hub said stale (silence) at 5.01 s" in found.first


def test_a_change_that_is_missing_is_found() -> None:
    assert agreement(observed(CHANGES[:2]), until_s=10.0).differing == 1


def test_what_a_killed_hub_did_not_write_down_any_more_is_not_missed() -> None:
    assert agreement(observed(CHANGES, until_s=10.0), until_s=20.0).differing == 0
    assert agreement(observed(CHANGES, until_s=20.0), until_s=20.0).first == (
        "a: the hub said nothing, its record implies stale (silence) at 12.0 s"
    )
