"""The model of TCP does what this machine's kernel does."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from math import nan

import numpy as np
import pytest
from tests.simulator.kernel_case import Case
from tests.simulator.kernel_families import TABLE
from tests.simulator.kernel_ladder import Comparison, Outcome, compare, why_not
from tests.simulator.kernel_spread import TRIED, Trial, drawn, most_differences, recorded, try_all

from heartbench.simulator.connection import HELLO_BYTES

# All share one recording. It mostly waits, in a process that the kernel prefers to others, so they need not run alone.
pytestmark = pytest.mark.alone  # beside other tests packets come late

STEADY = "steady"
FARTHER = 10.0  # see docs/tcp-model.md
OTHERS = [
    *(Case(rtt_s, 1.0, 5, outage_s, 0.5) for rtt_s in (0.005, 0.02, 0.15, 0.3, 0.6) for outage_s in (1, 4, 12, 20)),
    *(Case(0.047, interval_s, 6, outage_s, 0.3) for interval_s in (0.2, 0.5, 3.0) for outage_s in (2, 8, 15)),
    *(Case(rtt_s, 1.0, warmup, 6, 0.4) for rtt_s in (0.15, 0.3) for warmup in (2, 8, 20, 30)),
    Case(0.02, 10.0, 2, 6, 0.9),
    Case(0.085, 10.0, 2, 15, 0.9),
    *(Case(0.085, 1.0, 6, 15, 0.5, asks=True) for _ in range(2)),
]
CLOSING = [
    *(Case(rtt_s, 1.0, 5, 25, 0.5, user_timeout_s=limit_s) for rtt_s in (0.02, 0.3) for limit_s in (5.0, 10.0, 20.0)),
    # The heartbeat still arrives, its answer meets the outage.
    *(Case(0.3, 1.0, 5, 16, 0.05, hub_user_timeout_s=limit_s, asks=True) for limit_s in (5.0, 10.0)),
]


def differing(compared: Iterable[Comparison]) -> list[Comparison]:
    return [each for each in compared if each.agrees == "no"]


@pytest.fixture(scope="module")
def tried() -> dict[str, list[Trial]]:
    """Connections on links that change by family, and the others as STEADY."""
    if reason := why_not():
        pytest.skip(reason)
    return try_all({**drawn(), STEADY: TABLE + OTHERS + CLOSING})


@cache
def once_more(family: str) -> list[Trial]:
    """Record a family again: whatever the kernel prefers, a busy machine may have held up packets."""
    return try_all({family: drawn()[family]})[family]


@pytest.mark.slow
def test_the_model_waits_as_long_as_the_kernel_and_gives_up_when_it_does(tried: dict[str, list[Trial]]) -> None:
    differ = differing(trial.compare() for trial in tried[STEADY])
    if differ:  # as in `once_more`
        differ = differing(compare([each.case for each in differ]))
    assert not differ, "\n".join(map(str, differ))


@pytest.mark.slow
@pytest.mark.parametrize("family", list(TRIED))
def test_on_links_that_jitter_lose_or_carry_more_no_more_connections_differ_than_in_recorded_runs(
    family: str, tried: dict[str, list[Trial]]
) -> None:
    most = most_differences(recorded(family))
    differ = differing(trial.compare() for trial in tried[family])
    if len(differ) > most:
        differ = differing(trial.compare() for trial in once_more(family))
    assert len(differ) <= most, "\n".join(map(str, differ))


def without_jitter(trial: Trial) -> Trial:
    return replace(trial, case=replace(trial.case, profile=""))


def without_loss(trial: Trial) -> Trial:
    return replace(trial, case=replace(trial.case, loss=0.0))


def with_small_chunks(trial: Trial) -> Trial:
    return replace(trial, seen=replace(trial.seen, sizes=[min(size, HELLO_BYTES) for size in trial.seen.sizes]))


def upper_quartile(trials: list[Trial]) -> float:
    """Return how far the model's gap is from the kernel's, as a part of it, in the worst quarter of the connections.

    Not every connection meets what a model may not be told of: of those with chunks of 16 KiB fewer than half do.
    """
    return float(np.nanquantile([trial.difference() for trial in trials], 0.75))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "blind"),
    [("jitter", without_jitter), ("loss", without_loss), ("chunks", with_small_chunks), ("bulk", with_small_chunks)],
)
def test_a_model_that_is_not_told_of_them_is_farther_from_the_kernel(
    family: str, blind: Callable[[Trial], Trial], tried: dict[str, list[Trial]]
) -> None:
    def is_farther(trials: list[Trial]) -> bool:
        return upper_quartile([blind(trial) for trial in trials]) > FARTHER * upper_quartile(trials)

    assert is_farther(tried[family]) or is_farther(once_more(family))


@pytest.mark.parametrize(
    ("differed", "most"),
    [([set()] * 10, 2), ([{1, 5}] * 10, 4), ([{1}, {2}, {3}], 7), ([set(range(20))] * 3, 24)],
)
def test_the_bound_is_what_always_differs_and_what_chance_may_add(differed: list[set[int]], most: int) -> None:
    assert most_differences(differed) == most


@pytest.mark.parametrize(
    ("kernel_s", "other_s"),
    [(10.7, 8.0), (20.3, 16.0), (39.4, 32.0), (10.7, 7.2), (20.3, 13.6), (39.4, 26.4), (20.3, 10.7)],
)
def test_a_model_of_the_bare_rfc_or_without_the_probe_would_not_pass(kernel_s: float, other_s: float) -> None:
    assert not Outcome(kernel_s, nan, nan).agrees(Outcome(other_s, nan, nan))
    assert not Outcome(nan, kernel_s, nan).agrees(Outcome(nan, nan, nan))
