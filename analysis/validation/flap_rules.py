"""What each flap rule and hold-down hides from a dashboard, and what it delays: the table of docs/flap-rules.md.

    python -m heartbench.analysis.validation.flap_rules

`analysis.flap_effects` says what the columns are.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from heartbench.analysis.flap_effects import effect
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.simulated import simulate_gaps
from heartbench.hub import HubSettings
from heartbench.simulator.scenario import load_scenario

TEN_MINUTES = {"flap_window_s": 600.0}
COMPARED: tuple[dict[str, Any], ...] = (
    {"flap_rule": "window"},
    {"flap_rule": "window"} | TEN_MINUTES,
    {"flap_rule": "weighted"},
    {"flap_rule": "weighted low=5% high=20%"},
    {"flap_rule": "decay"},
    {"flap_rule": "decay half_life=5m max=20m"},
    {"hold_down": "2 heartbeats"},
    {"hold_down": "30s"} | TEN_MINUTES,
    {"hold_down": "120s"} | TEN_MINUTES,
)
"""Settings that differ from those of the scenario's hub."""


def lines(gaps: Gaps, base: HubSettings, duration_s: float) -> Iterator[str]:
    """Yield a Markdown table: a row for each of COMPARED."""
    yield "| HUB_FLAP_RULE | HUB_HOLD_DOWN | changes/h | shown/h | true stale delayed, mean, longest | "
    yield "return delayed, mean, longest |\n| --- | --- | --- | --- | --- | --- |\n"
    for changed in COMPARED:
        hub = base.changed(**changed)
        rule = f"window of {hub.flap_window_s:g} s" if hub.flap_rule == "window" else hub.flap_rule
        found = effect(gaps, hub, duration_s)
        yield (
            f"| {rule} | {hub.hold_down} | {found.changes_per_hour:.1f} | {found.shown_per_hour:.1f} | "
            f"{found.stale_delayed:.2%}, {found.stale_mean_s:.0f} s, {found.stale_longest_s:.0f} s | "
            f"{found.return_delayed:.1%}, {found.return_mean_s:.0f} s, {found.return_longest_s:.0f} s |\n"
        )


def main(
    scenario: str = "wireguard-5g",
    nodes: Annotated[int, typer.Option(help="Nodes of its first group; 0: as in the scenario.")] = 0,
    stale_after: Annotated[float, typer.Option(help="Threshold, s; 0: that of the scenario.")] = 0.0,
) -> None:
    """Print what each flap rule shows and delays on a simulated fleet."""
    chosen = load_scenario(scenario)
    chosen = chosen.with_nodes(nodes) if nodes else chosen
    base = chosen.hub_settings()
    base = HubSettings.for_stale_after(stale_after, base) if stale_after else base
    gaps, _ = simulate_gaps(chosen)
    print(f"{scenario}: {len(gaps.node)} nodes, {chosen.duration_s / 3600:g} h, seed {chosen.seed}; stale after "
          f"{base.stale_after_s:g} s\n")  # fmt: skip
    for text in lines(gaps, base, chosen.duration_s):
        print(text, end="", flush=True)


if __name__ == "__main__":
    typer.run(main)
