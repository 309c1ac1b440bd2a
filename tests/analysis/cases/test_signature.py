"""The signature of traces that are written down here."""

import numpy as np
import pytest

from heartbench.analysis.cases.match import differences, kept_signs
from heartbench.analysis.cases.signature import Signature, signature_of
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages


def signature(*nodes: list[float], stale_after_s: float | None = None, hellos: tuple[float, ...] = ()) -> Signature:
    """Return the signature of nodes that were heard at these times; those in `hellos` begin a new connection."""
    node = np.repeat(np.arange(len(nodes), dtype=np.int32), [len(each) for each in nodes])
    at = np.concatenate([np.array(each, float) for each in nodes])
    first = np.append(True, node[1:] != node[:-1])
    kind = np.where(first | np.isin(at, hellos), Kind.HELLO, Kind.HEARTBEAT).astype(np.int8)
    none = np.zeros(len(at), np.int32)
    return signature_of(
        kept_signs(Messages(node, none, none, none.astype(np.int64), kind, at, at), np.inf), stale_after_s
    )


def beats(begin: float, end: float, interval: float) -> list[float]:
    return list(np.arange(begin, end, interval))


def test_regular_heartbeats_have_nothing_to_tell() -> None:
    found = signature(beats(0, 100, 10), beats(3, 100, 10), beats(7, 100, 10), stale_after_s=20.0)
    assert (found.silence, found.length, found.together, found.bunched, found.returns) == (0, 1, 0, 0, 0)
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert found.threshold == pytest.approx(0.5)


def test_without_a_gap_beyond_the_threshold_there_is_nothing_to_explain() -> None:
    regular, silent = beats(0, 100, 10), [*beats(0, 50, 10), *beats(65, 100, 10)]
    for stale_after_s in (10.0, 20.0):
        nothing = signature(regular, regular, stale_after_s=stale_after_s).nothing_to_explain()
        assert nothing is not None
        assert nothing.startswith("No gap that ended exceeds the threshold: there is no false stale to explain.")
    assert signature(regular, regular, stale_after_s=9.0).nothing_to_explain() is None
    assert signature(regular, silent, stale_after_s=24.0).nothing_to_explain() is None


def test_without_a_threshold_there_is_nothing_to_explain_if_no_gap_is_long() -> None:
    regular, silent = beats(0, 100, 10), [*beats(0, 50, 10), *beats(65, 100, 10)]
    nothing = signature(regular, regular).nothing_to_explain()
    assert nothing is not None
    assert "unless the threshold, which --now states, is shorter" in nothing
    assert signature(regular, silent).nothing_to_explain() is None


def test_nodes_on_one_tick_are_told_from_others() -> None:
    assert signature(*[beats(5, 200, 10)] * 4).tick == pytest.approx(1)
    assert signature(*[beats(5 + 2.5 * k, 200, 10) for k in range(4)]).tick == pytest.approx(0, abs=1e-9)


def test_a_silence_of_all_nodes_is_told_from_one_of_each() -> None:
    def silent(begin: float, end: float) -> list[float]:
        return [*beats(0, begin + 1, 10), *beats(end, 600, 10)]

    together = signature(silent(100, 200), silent(100, 200), silent(100, 200))
    apart = signature(silent(100, 200), silent(250, 350), silent(400, 500))
    assert (together.together, apart.together) == (1, 0)
    assert together.length == apart.length == pytest.approx(10)


def test_bunches_and_new_connections_are_counted() -> None:
    held = [*beats(0, 101, 10), 200.0, 200.1, 200.2, *beats(210, 300, 10)]
    found = signature(held, beats(0, 300, 10), hellos=(200.0,))
    assert found.bunched == pytest.approx(2 / (len(held) - 1 + 29))
    assert found.returns == 0.5 * 2  # the only long gap ends with a Hello


def test_fleet_and_interval_do_not_matter() -> None:
    rng = np.random.default_rng(1)

    def fleet(nodes: int, interval: float) -> Signature:
        times = [np.cumsum(rng.uniform(0.9, 1.1, 400)) * interval for _ in range(nodes)]
        return signature(*[list(each) for each in times])

    assert max(differences(fleet(4, 10.0), fleet(30, 60.0)).values()) < 0.5
