"""`heartbench profiles check`: a profile against the recording that it was made from."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli.output import plain, print_json, print_table, progress
from heartbench.cli.run import length

if TYPE_CHECKING:
    from heartbench.analysis.profile_check import Check

SCENARIO_HELP = "Whose first group sends, without faults: a shipped scenario, or a TOML file."
CAPTION = (
    "Intervals are 95%: the profile's covers the simulation; the recording's, what {hours:.3g} h can tell about the "
    "network. {verdict}"
)


def check(
    profile: Annotated[str, typer.Argument(help="Name of a shipped profile, or the path of a TOML file.")],
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="Recordings of the network, of any known format.")
    ],
    scenario: Annotated[str, typer.Option(metavar="SCENARIO|FILE", help=SCENARIO_HELP)] = "wireguard-5g",
    nodes: Annotated[int, typer.Option(min=1, max=100_000, help="Number of nodes on either network.")] = 100,
    duration: Annotated[str, typer.Option(metavar="DURATION", help="Length of the simulation.")] = "24h",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare a fleet's gaps on a profile with those on a replay of its log.

    Both fleets are simulated. What the figures of a profile lose of a network,
    such as what its outages have in common, shows as gaps that the replay has
    more or less often than the recording's length explains.
    """
    from heartbench.analysis.profile_check import as_json
    from heartbench.analysis.profile_check import check as compared
    from heartbench.simulator.profile import load_profile
    from heartbench.simulator.recordings import read_recording, write_recording
    from heartbench.simulator.replay import Replay, resolved
    from heartbench.simulator.scenario import load_scenario

    loaded = load_profile(profile)
    changes = {"duration_s": length(duration), "seed": seed}
    fleet = load_scenario(scenario).model_copy(update=changes)
    first = fleet.group[0].model_copy(update={"nodes": nodes})
    with tempfile.TemporaryDirectory() as folder, progress("Simulating both", 2 * nodes) as advance:
        log = logs[0]
        if len(logs) > 1:
            log = Path(folder) / "logs.parquet"
            write_recording(read_recording(logs), log)
        recording = Replay.model_validate(resolved({"file": str(log)}, Path()))
        found = compared(loaded, recording, fleet.model_copy(update={"group": (first,)}), advance)
    if json:
        names = {"profile": profile, "recording": [str(log) for log in logs], "seed": seed}
        print_json(plain({"schema": "heartbench.profile-check/1", **names, **as_json(found)}))
    else:
        show(found, profile, f"{nodes} nodes for {duration}, seed {seed}")


def show(found: "Check", profile: str, how: str) -> None:
    """Print the gaps on both networks as a table."""
    from heartbench.analysis.profile_check import OVER_S, QUANTILES
    from heartbench.analysis.verdict import figure, interval_text

    sides = found.profile, found.recording
    rows = [
        (
            f"gap, {'longest' if share == 1 else f'p{share * 100:g}'}, s",
            *(f"{each.quantiles_s[i]:.3g}" for each in sides),
            "",
        )
        for i, share in enumerate(QUANTILES)
    ]
    for i, over_s in enumerate(OVER_S):
        rates = (f"{figure(each.per_node_day[i])}  ({interval_text(tuple(each.ci[i]))})" for each in sides)
        rows.append((f"gaps over {over_s:g} s, per node-day", *rates, "yes" if found.within[i] else "no"))
    missed = [f"{over_s:g} s" for over_s, within in zip(OVER_S, found.within, strict=True) if not within]
    verdict = (
        f"The profile misses what the recording shows of gaps over {', '.join(missed)}."
        if missed
        else ("The profile's gaps are what the recording shows, as far as it can tell.")
    )
    columns = ["", profile, "recording", "within its interval"]
    print_table(f"Gaps of {how}", columns, rows, CAPTION.format(hours=found.hours, verdict=verdict))
