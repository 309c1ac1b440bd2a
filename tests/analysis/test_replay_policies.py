"""Replay says what the hub said, to the last change, for every policy: with pauses, restarts and mass silences."""

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.policy_examples import HOLD_DOWNS, RULES, detectors
from tests.hub.events.replay import read_records, recorded_changes
from tests.hub.events.test_replay import SECONDS, VERBS, Play

from heartbench.analysis.replay import REASONS, joined, replay
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.simulator.observer_frames import read_observer

Said = tuple[object, bool, object]


class Life(Play):
    """A hub over its restarts; its records are kept."""

    def step(self, verb: str, name: str, seconds: float) -> None:
        """Do one thing, and no two of them at one moment."""
        self.clock.now_s += 0.001
        super().step(verb, name, seconds)

    def check(self) -> None:
        """Do nothing yet."""

    def said(self, node: str) -> list[tuple[float, Said]]:
        """What the hub said of a node, over all its runs."""
        records = [record for run in range(1, self.runs + 1) for record in read_records(self.path_of(run))[1]]
        return [
            (change.at_s, (change.status, change.flapping, change.reason))
            for change in recorded_changes(records)
            if change.node_id == node and change.reason in REASONS
        ]

    def replayed(self, node: str) -> list[tuple[float, Said]]:
        """What follows from what it received."""
        record = joined([read_observer(self.path_of(run)) for run in range(1, self.runs + 1)])
        found = replay(record, record.until_s)
        found = found[found.node_id == node]
        return list(zip(found.at_s, zip(found.status, found.flapping, found.reason, strict=True), strict=True))


policies = st.builds(
    PolicySpec, st.sampled_from(detectors()), st.sampled_from(RULES), hold_down=st.sampled_from(HOLD_DOWNS)
)
steps = st.lists(st.tuples(st.sampled_from([*VERBS, "beat", "run"]), st.sampled_from("ab"), SECONDS), max_size=60)


@settings(max_examples=30)  # an example takes a third of a second
@given(policies, steps)
def test_replay_says_what_the_hub_said(
    tmp_path_factory: pytest.TempPathFactory, policy: PolicySpec, steps: list[tuple[str, str, float]]
) -> None:
    with patch.object(HubSettings, "policy", property(lambda _: policy)):
        life = Life(tmp_path_factory.mktemp("life"))
        for verb, name, seconds in [("hello", "a", 0.0), ("hello", "b", 0.0), *steps]:
            life.step(verb, name, seconds)
        life.end()
        for node in "ab":
            said, replayed = life.said(node), life.replayed(node)
            assert [what for _, what in replayed] == [what for _, what in said]
            assert [at for at, _ in replayed] == pytest.approx([at for at, _ in said], abs=1e-9)
