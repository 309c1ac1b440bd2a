"""What the kernels say of many policies at once is what the hub says, for every detector, flap rule and hold-down."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.policy_examples import HOLD_DOWNS, RULES, detectors
from tests.analysis.test_qos import END_S, INTERVAL_S, node_lives, trace, without_compiling

from heartbench.analysis import qos
from heartbench.analysis.gaps import NO_LOSSES, Gaps, PowerLosses, find_gaps
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.mesh.kinds import Kind

SHOWN = (Reason.SILENCE, Reason.HEARD, Reason.GOODBYE)
Life = list[tuple[float, Kind]]


def hub_changes(messages: Life, policy: PolicySpec) -> list[Change]:
    """Feed a registry, sweep once at the end, and return its changes."""
    registry = Registry(policy)
    session: Session | None = None
    changes: list[Change] = []
    for number, (at, kind) in enumerate(messages):
        if kind is Kind.HELLO:
            session, new = registry.hello(Hello("n", 1, number, INTERVAL_S), at)
        else:
            assert session is not None
            goodbye = kind is Kind.GOODBYE
            new = registry.goodbye(session, at) if goodbye else registry.heartbeat(session, at, number)
        changes += new
    return [*changes, *registry.sweep(END_S)]


def stale_while_up(gaps: Gaps, changes: list[Change]) -> tuple[int, float]:
    """Return how often a node was marked stale while it was up, and for how long it then was both, s."""
    mistakes, total_s = 0, 0.0
    status_at = [(c.at_s, c.status) for c in changes if c.reason in SHOWN]
    for number, (marked_s, status) in enumerate(status_at):
        if status is not Status.STALE:
            continue
        until_s = next((at for at, _ in status_at[number + 1 :]), END_S)
        touched = np.flatnonzero((gaps.start_s < until_s) & (gaps.start_s + gaps.length_s > marked_s))
        for gap in touched:
            up_until_s = gaps.start_s[gap] + gaps.up_s[gap]
            if gap == touched[0]:
                mistakes += up_until_s > marked_s
            total_s += max(up_until_s - max(marked_s, gaps.start_s[gap]), 0.0)
            if gaps.up_s[gap] < gaps.length_s[gap]:
                break
    return mistakes, total_s


def assert_as_the_hub(found: qos.Qos, k: int, gaps: Gaps, lives: list[Life], policy: PolicySpec) -> None:
    flaps = flashes = entries = flapping = 0
    mistake_s = 0.0
    for node, messages in enumerate(lives):
        changes = hub_changes(messages, policy)
        mistakes, own_s = stale_while_up(gaps.of(np.array([node])), changes)
        assert found.mistakes[node, :, k].sum() == mistakes
        mistake_s += own_s
        before = [None, *(change.status for change in changes)]
        moved = [c for c, b in zip(changes, before, strict=False) if c.reason in SHOWN and b not in (None, c.status)]
        flashes += sum(not change.flapping for change in moved)
        flaps += sum(
            Status.OFFLINE not in (b, c.status)
            for c, b in zip(changes, before, strict=False)
            if c.reason in SHOWN and b not in (None, c.status)
        )
        own = sum(change.reason is Reason.FLAPS_ENTRY for change in changes)
        entries, flapping = entries + own, flapping + (own > 0)
    assert found.mistake_s[k] == pytest.approx(mistake_s)
    assert (found.flaps[k], found.flashes[k], found.entries[k]) == (flaps, flashes, entries)
    assert found.flapping_nodes[k] == flapping


def judged(lives: list[tuple[Life, list[tuple[float, float]]]], policies: list[PolicySpec]) -> tuple[qos.Qos, Gaps]:
    rows = [(node, *loss) for node, (_, losses) in enumerate(lives) for loss in losses]
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else NO_LOSSES
    messages = trace(*(messages for messages, _ in lives))
    gaps = find_gaps(messages, PowerLosses(*columns), END_S, interval_s=np.full(len(lives), INTERVAL_S))
    return qos.judge(gaps, policies, END_S), gaps


policies = st.builds(
    PolicySpec, st.sampled_from(detectors()), st.sampled_from(RULES), hold_down=st.sampled_from(HOLD_DOWNS)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(node_lives(), min_size=1, max_size=3), st.lists(policies, min_size=1, max_size=8))
def test_judges_as_the_hub_does(
    lives: list[tuple[Life, list[tuple[float, float]]]], policies: list[PolicySpec]
) -> None:
    found, gaps = judged(lives, policies)
    for k, policy in enumerate(policies):
        assert_as_the_hub(found, k, gaps, [messages for messages, _ in lives], policy)


def test_the_kernels_say_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    times = [np.sort(generator.integers(0, 4 * int(END_S), 60)) / 4 for _ in range(4)]
    lives: list[tuple[Life, list[tuple[float, float]]]] = [
        ([(0.0, Kind.HELLO), *((float(at), Kind.HEARTBEAT) for at in each)], []) for each in times
    ]
    many = [PolicySpec(*each[:2], hold_down=each[2]) for each in product(detectors(), RULES, HOLD_DOWNS)]
    compiled, _ = judged(lives, many)
    without_compiling(monkeypatch)
    plain, _ = judged(lives, many)
    assert plain.frame().equals(compiled.frame())
    assert (compiled.entries > 0).mean() > 0.8
