"""What hubs of many thresholds would have said, against the hub itself and by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.analysis import flap_kernel, passes, qos, watch
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import NO_LOSSES, Gaps, PowerLosses, find_gaps, join_gaps, power_losses
from heartbench.analysis.policies import allowed_silence
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages

END_S = 400.0
INTERVAL_S = 4.0
HUBS = [
    HubSettings.of(stale_after_s=threshold, flap_window_s=60.0, flap_threshold=enter, flap_exit=leave)
    for threshold, enter, leave in [(2.0, 2, 1), (5.0, 3, 1), (5.0, 5, 3), (12.0, 3, 2), (30.0, 3, 1)]
]

POLICIES = [
    *(hub.policy for hub in HUBS),
    PolicySpec(Chen(margin_s=1.0, interval_s=99.0, window=2), FlapWindow(60.0, 3, 1)),
    PolicySpec(Chen(margin_s=6.0, interval_s=99.0, window=1), FlapWindow(60.0, 5, 3)),
]
"""Windows of 2 and 1, so that the means of exact quarters are exact."""


def trace(*nodes: list[tuple[float, Kind]]) -> Messages:
    """Messages by node: (arrival, kind), which take no time."""
    rows = [(node, at, kind, order) for node, each in enumerate(nodes) for order, (at, kind) in enumerate(each)]
    node, at, kind, order = (np.array(column) for column in zip(*rows, strict=True))
    ones = np.ones(len(rows), np.int32)
    return Messages(node.astype(np.int32), ones, ones, order, kind.astype(np.int8), at.astype(float), at)


def beats(*times: float) -> list[tuple[float, Kind]]:
    return [(at, Kind.HEARTBEAT) for at in times]


def judged(gaps: Gaps, *thresholds: float) -> pd.DataFrame:
    return qos.judge(gaps, [HubSettings.for_stale_after(each).policy for each in thresholds], END_S).frame()


@dataclass
class StatusChange:
    """What one hub said of one node."""

    mistakes: int = 0
    mistake_s: float = 0.0
    flaps: int = 0
    flashes: int = 0
    entries: int = 0


def ask_the_hub(
    messages: list[tuple[float, Kind]], losses: list[tuple[float, float]], policy: PolicySpec
) -> StatusChange:
    """Feed a registry, sweep once at the end, and count its changes."""
    registry = Registry(policy)
    session: Session | None = None
    changes: list[Change] = []
    said, heard = StatusChange(), []
    for connection, (at, kind) in enumerate(messages):
        if kind is Kind.HELLO:
            session, new = registry.hello(Hello("n", 1, connection, INTERVAL_S), at)
        else:
            assert session is not None
            is_goodbye = kind is Kind.GOODBYE
            new = registry.goodbye(session, at) if is_goodbye else registry.heartbeat(session, at, connection)
        changes += new
        heard.append(at)
    changes += registry.sweep(END_S)
    status = Status.ONLINE
    for change in changes:
        moved = change.reason in (Reason.SILENCE, Reason.HEARD, Reason.GOODBYE) and change.status != status
        said.flashes += moved and not change.flapping
        said.flaps += moved and Status.OFFLINE not in (status, change.status)
        said.entries += change.reason is Reason.FLAPS_ENTRY
        status = change.status
        if change.reason is Reason.SILENCE:
            last = max(at for at in heard if at < change.at_s)
            until = min([at for at in heard if at > change.at_s], default=END_S)
            lost = min([from_s for from_s, to_s in losses if from_s < until and to_s > last], default=until)
            said.mistakes += lost > change.at_s
            said.mistake_s += max(lost - change.at_s, 0.0)
    return said


quarters = st.integers(1, 4 * 60).map(lambda count: count / 4)


@st.composite
def node_lives(draw: st.DrawFn) -> tuple[list[tuple[float, Kind]], list[tuple[float, float]]]:
    """Messages of a node in order of arrival, at exact quarters of a second, and its power losses."""
    steps = draw(st.lists(st.tuples(quarters, st.sampled_from([*[Kind.HEARTBEAT] * 8, Kind.HELLO, Kind.GOODBYE]))))
    messages, at = [(0.0, Kind.HELLO)], 0.0
    for step, kind in steps:
        at += step
        if at <= END_S:
            messages.append((at, kind))
    losses = sorted(draw(st.lists(st.tuples(quarters, quarters), max_size=3)))
    return messages, [(4 * from_s + 0.1, 4 * from_s + 0.1 + length) for from_s, length in losses]


@settings(max_examples=200, deadline=None)
@given(st.lists(node_lives(), min_size=1, max_size=3))
def test_judges_as_the_hub_does(lives: list[tuple[list[tuple[float, Kind]], list[tuple[float, float]]]]) -> None:
    rows = [(node, *loss) for node, (_, losses) in enumerate(lives) for loss in losses]
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else NO_LOSSES
    messages = trace(*(messages for messages, _ in lives))
    gaps = find_gaps(messages, PowerLosses(*columns), END_S, interval_s=np.full(len(lives), INTERVAL_S))
    found = qos.judge(gaps, POLICIES, END_S)
    for k, policy in enumerate(POLICIES):
        said = [ask_the_hub(messages, losses, policy) for messages, losses in lives]
        assert found.mistakes[..., k].sum(1).tolist() == [each.mistakes for each in said]
        assert found.mistake_s[k] == pytest.approx(sum(each.mistake_s for each in said))
        assert found.flaps[k] == sum(each.flaps for each in said)
        assert found.flashes[k] == sum(each.flashes for each in said)
        assert found.entries[k] == sum(each.entries for each in said)
        assert found.flapping_nodes[k] == sum(each.entries > 0 for each in said)


def without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (flap_kernel, watch, passes):
        for name, each in vars(module).items():
            if hasattr(each, "py_func"):
                monkeypatch.setattr(module, name, each.py_func)


def test_the_kernels_say_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    gaps = find_gaps(trace(*(beats(*generator.uniform(0, END_S, 40)) for _ in range(3))), NO_LOSSES, END_S)
    policies = POLICIES[:-2]
    compiled = qos.judge(gaps, policies, END_S)
    without_compiling(monkeypatch)
    pd.testing.assert_frame_equal(qos.judge(gaps, policies, END_S).frame(), compiled.frame())
    assert compiled.entries.sum() > 0


def test_a_late_message_of_an_old_connection_is_a_sign_of_life_when_it_arrives() -> None:
    gaps = find_gaps(trace(beats(0, 50, 20, 70)), NO_LOSSES, 80.0)
    assert gaps.start_s.tolist() == [0, 20, 50, 70]
    assert gaps.length_s.tolist() == [20, 30, 20, 10]


def test_what_never_arrived_or_came_after_the_end_makes_no_gap() -> None:
    gaps = find_gaps(trace(beats(np.nan, 10, np.nan, 90), beats(np.nan), beats(5)), NO_LOSSES, 80.0)
    assert gaps.node.tolist() == [0, 2]
    assert gaps.length_s.tolist() == [70, 75]
    assert not gaps.heard.any()


def test_a_gap_with_a_power_loss_is_a_true_stale() -> None:
    truth = pd.DataFrame(
        [
            (0, "outage", 50.0, 60.0),
            (0, "crash", 101.0, np.nan),
            (0, "restart", 150.0, np.nan),
            (1, "exit", 20.0, 90.0),
        ],
        columns=["node", "event", "start_s", "end_s"],
    )
    losses = power_losses(truth)
    assert (losses.from_s.tolist(), losses.to_s.tolist()) == ([101, 20], [150, 90])
    gaps = find_gaps(trace(beats(0, 100, 160, 200), beats(0, 10)), losses, END_S)
    assert gaps.up_s.tolist() == [100, 1, 40, 200, 10, 10]
    frame = judged(gaps, 50.0)
    assert frame.false_stale[0] == 2  # 0 to 100, and 200 to the end
    assert frame.flaps_per_node_hour[0] * gaps.up_s.sum() / 3600 == pytest.approx(6)


def test_the_open_gap_is_a_mistake_once_it_exceeds_the_threshold() -> None:
    gaps = find_gaps(trace(beats(370.0)), NO_LOSSES, END_S)
    assert judged(gaps, 29.0, 30.0).false_stale.tolist() == [1, 0]


def test_the_measures_of_chen_are_as_defined() -> None:
    gaps = find_gaps(trace(beats(0, 10, 50, 60, 100)), NO_LOSSES, 110.0)  # mistakes of 10 s twice
    row = judged(gaps, 30.0).iloc[0]
    assert row.mistake_duration_s == 10
    assert row.mistake_recurrence_s == 55
    assert row.query_accuracy == pytest.approx(1 - 20 / 110)
    assert row.false_stale_per_node_day == pytest.approx(2 / 110 * 86400)


def test_detection_time_is_that_of_power_losses_at_uniform_times() -> None:
    generator = np.random.default_rng(1)
    times = np.sort(generator.uniform(0, END_S, 30))
    gaps = find_gaps(trace(beats(*times)), NO_LOSSES, END_S)
    losses = np.linspace(times[0], END_S, 400_001)[:-1]
    last = times[np.searchsorted(times, losses, side="right") - 1]
    sweep = generator.uniform(0, TICK_S, len(losses))
    for threshold in (8.0, 20.0):
        simulated = np.quantile(np.maximum(last + threshold + sweep - losses, 0), [0.5, 0.9, 0.99])
        row = judged(gaps, threshold).iloc[0]
        assert [row.detection_p50_s, row.detection_p90_s, row.detection_p99_s] == pytest.approx(simulated, abs=0.01)


def test_detection_time_under_a_silence_that_varies_is_that_of_power_losses_at_uniform_times() -> None:
    generator = np.random.default_rng(1)
    times = np.sort(generator.uniform(0, END_S, 30))
    policy = PolicySpec(Chen(margin_s=3.0, interval_s=13.0, window=8), FlapWindow(60.0, 3, 1))
    gaps = find_gaps(trace(beats(*times)), NO_LOSSES, END_S, interval_s=np.zeros(1))
    silence_s = np.asarray(allowed_silence(policy, gaps.arrivals))
    losses = np.linspace(times[0], END_S, 400_001)[:-1]
    last = np.searchsorted(times, losses, side="right") - 1
    sweep = generator.uniform(0, TICK_S, len(losses))
    simulated = np.quantile(np.maximum(times[last] + silence_s[last] + sweep - losses, 0), [0.5, 0.9, 0.99])
    row = qos.judge(gaps, [policy], END_S).frame().iloc[0]
    assert [row.detection_p50_s, row.detection_p90_s, row.detection_p99_s] == pytest.approx(simulated, abs=0.01)


def test_a_late_heartbeat_of_an_older_connection_is_a_sign_of_life_without_a_number() -> None:
    messages = trace(
        [(0.0, Kind.HELLO), (10.0, Kind.HEARTBEAT), (20.0, Kind.HELLO), (21.0, Kind.HEARTBEAT), (30.0, Kind.HEARTBEAT)]
    )
    messages = replace(messages, connection=np.array([0, 0, 1, 0, 1], np.int32), seq=np.array([0, 7, 0, 8, 1]))
    found = find_gaps(messages, NO_LOSSES, END_S, interval_s=np.array([10.0])).arrivals()
    assert found.kind.tolist() == [Kind.HELLO, Kind.HEARTBEAT, Kind.HELLO, Kind.CHUNK, Kind.HEARTBEAT]
    assert found.at_s.tolist() == [0.0, 10.0, 20.0, 21.0, 30.0]
    silence_s = allowed_silence(PolicySpec(Chen(margin_s=2.0, interval_s=10.0), FlapWindow(60.0, 3, 1)), lambda: found)
    assert np.asarray(silence_s)[-1] == pytest.approx(12.0)  # with the old stream's 8 in its window it would be 3 s


def test_gaps_without_signs_of_life_serve_fixed_timeouts_alone() -> None:
    gaps = find_gaps(trace(beats(0, 10)), NO_LOSSES, END_S)
    with pytest.raises(AnalysisError, match="pass interval_s to find_gaps"):
        qos.judge(gaps, POLICIES, END_S)


def test_detection_time_is_that_of_a_hub_that_hears_late_and_looks_ten_times_a_second() -> None:
    generator, transit_s, threshold = np.random.default_rng(2), 0.3, 5.0
    sent = np.cumsum(generator.uniform(1.5, 2.5, 150))
    arrived = sent + transit_s
    messages = replace(trace(beats(*arrived)), sent_s=sent)
    row = judged(find_gaps(messages, NO_LOSSES, arrived[-1]), threshold).iloc[0]
    policy = HubSettings.for_stale_after(threshold).policy

    def detected_after_s(lost_s: float) -> float:
        registry = Registry(policy)
        heard = arrived[(sent <= lost_s) & (sent > lost_s - 10)]
        session, _ = registry.hello(Hello("n", 1, 0), heard[0])
        for at in heard[1:]:
            registry.heartbeat(session, at)
        beat = max(heard[-1], lost_s) + generator.uniform(0, TICK_S)
        while not registry.sweep(beat):
            beat += TICK_S
        return beat - lost_s

    simulated = [detected_after_s(lost_s) for lost_s in generator.uniform(sent[10], sent[-2], 2000)]
    found = [row.detection_p50_s, row.detection_p90_s, row.detection_p99_s]
    assert found == pytest.approx(np.quantile(simulated, [0.5, 0.9, 0.99]), abs=0.04)


def test_a_message_takes_as_long_as_usual_whatever_a_few_outages_did() -> None:
    took = np.full(200, 0.04)
    took[50:80] = 20.0
    messages = replace(trace(beats(*range(100, 300)), beats(0)), sent_s=np.append(np.arange(100, 300) - took, 1.0))
    gaps = find_gaps(messages, NO_LOSSES, END_S)
    assert gaps.transit_s == pytest.approx([0.04, 0.0])  # the clock of the second is ahead


def test_blocks_put_together_are_the_whole() -> None:
    lives = [beats(0, 40, 100), beats(10, 20), beats(5, 300)]
    whole = find_gaps(trace(*lives), NO_LOSSES, END_S)
    messages = trace(*lives)
    blocks = [find_gaps(messages.select(messages.node == node), NO_LOSSES, END_S) for node in (0, 1, 2)]
    joined = join_gaps(blocks)
    assert joined.first.tolist() == whole.first.tolist()
    assert joined.start_s.tolist() == whole.start_s.tolist()


def test_a_hello_at_the_time_of_the_goodbye_before_it_ends_no_mistake() -> None:
    life = [*beats(0.0, 4.0), (8.0, Kind.GOODBYE), (8.0, Kind.HELLO), *beats(12.0, END_S)]
    gaps = find_gaps(trace(life), NO_LOSSES, END_S)
    assert judged(gaps, 5.0, 30.0).false_stale.tolist() == [1, 1]  # the silence after 12 s
