"""The model of TCP does what this machine's kernel does."""

from math import nan

import pytest
from tests.simulator.kernel_case import Case
from tests.simulator.kernel_families import draw_cases
from tests.simulator.kernel_ladder import Comparison, Outcome, compare, why_not

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


# How many connections of each family to try, and how many must agree; docs/tcp-model.md has the rates in full runs.
NEW_LINKS = {"jitter": (40, 37), "fast": (20, 17), "loss": (40, 33), "chunks": (30, 19)}


def differing(cases: list[Case]) -> list[Comparison]:
    return [each for each in compare(cases) if each.agrees == "no"]


@pytest.fixture(scope="module")
def on_new_links() -> dict[str, list[Comparison]]:
    """Run the connections of all families at once: they mostly wait."""
    if reason := why_not():
        pytest.skip(reason)
    drawn = [(family, case) for family, (count, _) in NEW_LINKS.items() for case in draw_cases(family, count, 2)]
    compared = compare([case for _, case in drawn])
    found: dict[str, list[Comparison]] = {family: [] for family in NEW_LINKS}
    for (family, _), each in zip(drawn, compared, strict=True):
        found[family].append(each)
    return found


@pytest.mark.slow
def test_the_model_waits_as_long_as_the_kernel_and_gives_up_when_it_does() -> None:
    if reason := why_not():
        pytest.skip(reason)
    differ = differing(TABLE + OTHERS + CLOSING)
    if differ:  # a busy machine may have held up a packet: it is asked once more
        differ = differing([each.case for each in differ])
    assert not differ, "\n".join(map(str, differ))


@pytest.mark.slow
@pytest.mark.parametrize("family", list(NEW_LINKS))
def test_the_model_agrees_on_links_that_jitter_lose_or_carry_more(
    family: str, on_new_links: dict[str, list[Comparison]]
) -> None:
    differ = [each for each in on_new_links[family] if each.agrees == "no"]
    count, least = NEW_LINKS[family]
    assert count - len(differ) >= least, "\n".join(map(str, differ))


@pytest.mark.parametrize(
    ("kernel_s", "other_s"),
    [(10.7, 8.0), (20.3, 16.0), (39.4, 32.0), (10.7, 7.2), (20.3, 13.6), (39.4, 26.4), (20.3, 10.7)],
)
def test_a_model_of_the_bare_rfc_or_without_the_probe_would_not_pass(kernel_s: float, other_s: float) -> None:
    assert not Outcome(kernel_s, nan, nan).agrees(Outcome(other_s, nan, nan))
    assert not Outcome(nan, kernel_s, nan).agrees(Outcome(nan, nan, nan))
