"""The model of TCP does what this machine's kernel does."""

from math import nan

import pytest
from tests.simulator.kernel_ladder import Outcome, ask_kernel, model_outcomes, seen_outcome, tick_phases, why_not
from tests.simulator.kernel_case import Case

# Rows of 2 to 25 s of the ladder in docs/tcp-model.md; the RTO is as it is there from the first round trip on.
TABLE = [Case(0.085, 1.0, 5, outage_s, phase) for outage_s in (2, 6, 10, 15, 20, 25) for phase in (0.2, 0.5, 0.95)]
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


def differing(cases: list[Case]) -> list[tuple[Case, str]]:
    phases = tick_phases()
    differ = []
    for case, seen in zip(cases, ask_kernel(cases), strict=True):
        kernel, models = seen_outcome(case, seen), model_outcomes(case, seen, phases)
        if not any(kernel.agrees(model) for model in models):
            differ.append((case, f"{case}\n  kernel {kernel}\n  model  {models[0]}"))
    return differ


@pytest.mark.slow
def test_the_model_waits_as_long_as_the_kernel_and_gives_up_when_it_does() -> None:
    if reason := why_not():
        pytest.skip(reason)
    differ = differing(TABLE + OTHERS + CLOSING)
    if differ:  # a busy machine may have held up a packet: it is asked once more
        differ = differing([case for case, _ in differ])
    assert not differ, "\n".join(text for _, text in differ)


@pytest.mark.parametrize(
    ("kernel_s", "other_s"),
    [(10.7, 8.0), (20.3, 16.0), (39.4, 32.0), (10.7, 7.2), (20.3, 13.6), (39.4, 26.4), (20.3, 10.7)],
)
def test_a_model_of_the_bare_rfc_or_without_the_probe_would_not_pass(kernel_s: float, other_s: float) -> None:
    assert not Outcome(kernel_s, nan, nan).agrees(Outcome(other_s, nan, nan))
    assert not Outcome(nan, kernel_s, nan).agrees(Outcome(nan, nan, nan))
