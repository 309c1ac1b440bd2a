"""The flap rule for a recommended setting: the one that shows the fewest changes, of those that hide no true failure.

A rule changes neither false stales nor detection times nor traffic, but what a person sees. One that always marks every
node would show nothing; so a rule may delay at most MOST_HIDDEN of the true stale marks: the detection time (p99) that
is recommended is then also what the dashboard shows. A rule that could not be reached is not tried.
"""

from dataclasses import dataclass
from typing import Any

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.flap_effects import Effect, effect
from heartbench.analysis.gaps import Gaps
from heartbench.hub import HubError, HubSettings

MOST_HIDDEN = 0.01
RULES: tuple[dict[str, Any], ...] = (
    {"flap_rule": "window", "flap_window_s": 600.0},
    {"flap_rule": "window", "flap_window_s": 1800.0},
    {"flap_rule": "weighted"},
    {"flap_rule": "weighted low=5% high=20%"},
    {"flap_rule": "decay"},
    {"flap_rule": "decay half_life=5m max=20m"},
)
"""Settings that are tried beside the present ones."""


@dataclass(frozen=True, slots=True)
class FlapChoice:
    """The hub with the chosen rule, the effect of each rule that was tried, and why none was if none was."""

    hub: HubSettings
    tried: tuple[tuple[HubSettings, Effect], ...]
    reason: str = ""


def choose_flaps(hub: HubSettings, gaps: Gaps, duration_s: float) -> FlapChoice:
    """Return the choice for a recommended hub, on the gaps that it was judged on."""
    if not hub.has_one_timeout:
        return FlapChoice(hub, (), "what a rule hides is computed for fixed timeouts only")
    try:
        tried = [(each, effect(gaps, each, duration_s)) for each in [hub, *_reachable(hub)]]
    except AnalysisError:
        return FlapChoice(hub, (), "nodes say goodbye, or the hub is away at times, which this does not cover")
    fit = [each for each in tried if each[1].stale_delayed <= MOST_HIDDEN] or tried[:1]
    best, _ = min(fit, key=lambda each: each[1].shown_per_hour)
    return FlapChoice(best, tuple(tried))


def _reachable(hub: HubSettings) -> list[HubSettings]:
    found = []
    for rule in RULES:
        try:
            found.append(hub.changed(**rule))
        except HubError:
            continue
    return found
