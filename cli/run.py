"""`heartbench run`: simulate a fleet in virtual time, or for real against a hub, and record what was heard."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.measure import Engine, measure
from heartbench.cli.output import plain, print_json, print_table
from heartbench.cli.run_folder import made
from heartbench.hub.program import warn
from heartbench.mesh.channel import is_address

if TYPE_CHECKING:
    from heartbench.hub.config import HubSettings
    from heartbench.simulator.engines.live.hub import ExternalHub
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.scenario import Group, Scenario

WIDE = 3
"""By more than this factor from end to end, an interval of a rate is shown without the rate itself."""
ENDS = {
    Engine.VIRTUAL: "95%: interval of the simulation; `heartbench tune` adds what is not known of the network",
    Engine.LIVE: "95%: interval of the rate, from what was counted in this run",
}
FAILED = 1
INTERRUPTED = 130
MOST_SEED = 2**63 - 1
MOST_NODES = 10_000_000


def run(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO|FILE", help="A shipped scenario, or a TOML file.")],
    engine: Annotated[
        Engine, typer.Option(help="virtual: simulated time, no hub. live: real gRPC nodes at a real hub.")
    ] = Engine.VIRTUAL,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=MOST_NODES, help="Scale the groups to so many nodes in all.")
    ] = None,
    duration: Annotated[str | None, typer.Option(metavar="DURATION", help="Length of the run, such as 24h.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="All that is random follows from it.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads (virtual) or processes (live) for the nodes; one a core.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")
    ] = None,
    hub_env: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings of the hub, such as `tune` writes; they go before the scenario's."),
    ] = None,
    hub: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Drive this running hub instead of an own one (live).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where results go; results/runs/SCENARIO-ENGINE-N if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Simulate a fleet of nodes on its network, and record what was sent, what arrived, and what really happened.

    What the hub would have said is judged by its settings: those of the scenario, and before them those of --hub-env.
    Ctrl-C ends it; what was measured until then is written. The status is 1 where an own hub said what does not follow
    from what it heard, or did not say what does.
    """
    from heartbench.simulator.interrupts import noted, raised

    began = time.perf_counter()
    address = address_of(hub, engine)
    planned = plan(scenario, nodes, duration, seed, [*settings_in(hub_env), *(overrides or [])])
    running = find(address)
    with noted() as interrupted, made(out, planned.name, engine) as directory:
        warn(*too_short(planned))
        with raised():  # nothing is measured yet
            from heartbench.analysis.run_figures import figures_of
            from heartbench.analysis.sites import sites_of
        did, settings = measure(planned, engine, directory, workers, running, interrupted)
        # What one machine does to all its live nodes at once, no site knows of.
        site = sites_of(planned) if engine is Engine.VIRTUAL else None
        judged = figures_of(directory, settings, did["duration_s"], site)
        wall_s = time.perf_counter() - began
        result = {"engine": engine, **did, **judged, "wall_s": wall_s, "run_dir": directory.path}
        write_record(directory, planned, settings, result, context.obj)
    if as_json:
        print_json({"schema": "heartbench.run/1", "seed": planned.seed, **result})
    else:
        title = f"{planned.name}, engine {engine}, seed {planned.seed}"
        print_table(title, ("", "measured"), list(rows(result, settings.stale_after_s)), ENDS[engine])
        show_groups(result["groups"], settings.stale_after_s)
        print(directory.path)
    failures = list(contradictions(result))
    warn(*missing(result), *failures)
    return FAILED if failures else INTERRUPTED if result["interrupted"] else 0


def plan(scenario: str, nodes: int | None, duration: str | None, seed: int | None, overrides: list[str]) -> "Scenario":
    """Read the scenario, and change what the command line changes."""
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    if duration is not None:
        changes["duration_s"] = length(duration)
    from heartbench.simulator.fleet import squads
    from heartbench.simulator.scenario import load_scenario

    planned = load_scenario(scenario, overrides).model_copy(update=changes)
    planned = planned if nodes is None else planned.with_nodes(nodes)
    list(squads(planned))  # refuses what no engine can run
    return planned


def length(duration: str) -> float:
    """What --duration says, s."""
    from heartbench.simulator.units import LONGEST_S, parse_duration

    duration_s = parse_duration(duration, "--duration")
    if not duration_s:
        raise CommandError(f'--duration: "{duration}": must be longer than 0')
    if duration_s > LONGEST_S:
        raise CommandError(f'--duration: "{duration}": must be {LONGEST_S:g} s at most')
    return duration_s


def settings_in(hub_env: Path | None) -> list[str]:
    """The hub's settings in an env file as overrides of a scenario, so that what follows from them follows."""
    if hub_env is None:
        return []
    import tomlkit

    from heartbench.hub.config import HubSettings
    from heartbench.hub.envfile import read_env_file
    from heartbench.hub.errors import HubError

    said = read_env_file(hub_env, HubSettings.model_fields)
    try:
        values = HubSettings.of(**said).model_dump(mode="json")
    except HubError as error:
        raise HubError(f"{hub_env}: {error}") from None
    # As TOML, which an override is read as: else a folder called 2024 becomes a number.
    return [f"hub.{name}={tomlkit.item('' if values[name] is None else values[name]).as_string()}" for name in said]


def address_of(hub: str | None, engine: Engine) -> str | None:
    """What --hub says, if anything."""
    if hub is None:
        return None
    if engine is not Engine.LIVE:
        raise CommandError(f"--hub: {hub}: the engine {engine} has no hub; allowed with --engine live")
    if not is_address(hub):
        raise CommandError(f'--hub: "{hub}": must be HOST:PORT')
    return hub


def find(address: str | None) -> "ExternalHub | None":
    """The hub that is to be driven, if it is not an own one."""
    if address is None:
        return None
    from heartbench.simulator.engines.live.hub import ExternalHub

    return ExternalHub(address)


def too_short(scenario: "Scenario") -> Iterator[str]:
    """Yield a warning if a run ends before any node sends a heartbeat: the first comes an interval after the start."""

    def soonest_s(group: "Group") -> float:
        return group.heartbeat_interval_s * (1 - group.heartbeat_jitter)

    group = min(scenario.group, key=soonest_s)
    if scenario.duration_s < soonest_s(group):
        yield (
            f"no node sends a heartbeat: duration={scenario.duration_s:g}s is shorter than {soonest_s(group):g}s, "
            f"the least that group.{group.name}.heartbeat_interval={group.heartbeat_interval_s:g}s and "
            f"group.{group.name}.heartbeat_jitter={group.heartbeat_jitter:g} allow"
        )


def write_record(
    directory: "RunDirectory", scenario: "Scenario", settings: "HubSettings", result: dict[str, Any], command: str
) -> None:
    """Write `run.json`: the figures, and all that is needed to run it again."""
    from heartbench.benchmarks.provenance import provenance

    used = {"scenario": scenario.to_data(), "hub": settings.model_dump(mode="json")}
    directory.write_record(plain({**asdict(provenance(command)), "seed": scenario.seed, "settings": used, **result}))


def rows(result: dict[str, Any], stale_after_s: float) -> Iterator[tuple[str, str]]:
    """The figures in words."""
    from heartbench.simulator.units import format_duration

    per_s, said, latency = result["heartbeats_per_s"], result.get("hub_said"), result["latency_s"]
    yield "nodes", f"{result['nodes']:,}"
    yield "time", format_duration(round(result["duration_s"], 3)) + (" (interrupted)" if result["interrupted"] else "")
    yield "heartbeats", f"{result['heartbeats']:,}" + (f" ({per_s:,.0f} a second of simulating)" if per_s else "")
    yield "sent to seen by the hub, p50 · p99", f"{text(latency['p50'])} s · {text(latency['p99'])} s"
    if said:
        yield "the simulator's own lag, p99", f"{text(result['sim_lag_s']['p99'])} s"
    if result.get("files") is not None:
        yield "files that the hub has whole", f"{result['files']:,}"
    seen, rate = false_stales(result)
    yield f"at {stale_after_s:g} s: false stales", seen
    yield "false stales per node-day", rate
    yield "flaps", count(result, result["flaps"], result["flaps_per_node_hour"], "per node-hour")
    yield "flashes", count(result, result["flashes"], result["flashes_per_hour"], "per hour")
    if said:
        yield "the hub said stale · falsely", f"{said['stale']:,} · {said['false_stale']:,}"
    if said and "changes" in said:
        follow = said["changes"] - said["changes_that_do_not_follow"]
        many = f"{follow:,} of {said['changes']:,} · {said['changes_missing']:,}"
        yield "its changes that follow from what it heard · missing", many
    yield "took", f"{result['wall_s']:.1f} s"


def show_groups(groups: dict[str, dict[str, Any]], stale_after_s: float) -> None:
    """Print a row for each group, if there are several."""
    if len(groups) < 2:
        return
    latency, counts = "sent to seen, p50 · p99", ("false stales", "per node-day", "flaps", "flashes")
    columns = ("group", "nodes", "heartbeats", latency, *counts)
    found = [
        (
            name,
            f"{each['nodes']:,}",
            f"{each['heartbeats']:,}",
            f"{text(each['latency_s']['p50'])} s · {text(each['latency_s']['p99'])} s",
            *false_stales(each),
            text(each["flaps"]),
            text(each["flashes"]),
        )
        for name, each in groups.items()
    ]
    print_table(f"each group, at {stale_after_s:g} s", columns, found)


def false_stales(figures: dict[str, Any]) -> tuple[str, str]:
    """Return how many false stales there were in what time, and the interval of their rate; the rate if it is sure."""
    if figures["false_stale"] is None:
        return text(None), text(None)
    low, high = (text(end) for end in figures["false_stale_ci"])
    rate = f"{text(figures['false_stale_per_node_day'])}, " if is_sure(figures) else ""
    return f"{figures['false_stale']:,} in {text(figures['node_days'])} node-days", f"{rate}95% {low} to {high}"


def is_sure(figures: dict[str, Any]) -> bool:
    """Whether the run was long enough to show rates: the interval of false stales is not WIDE."""
    low, high = figures["false_stale_ci"]
    return bool(high <= WIDE * low)


def count(figures: dict[str, Any], events: int | None, rate: float | None, unit: str) -> str:
    """Return how many flaps or flashes there were, and their rate if it is sure."""
    if events is None:
        return text(None)
    return f"{events:,}" + (f" ({text(rate)} {unit})" if is_sure(figures) else "")


def missing(result: dict[str, Any]) -> Iterator[str]:
    """Yield a warning if the figures are too low, because not all that a running hub said has reached us."""
    said = result.get("hub_said", {})
    if lost := said.get("events_lost"):
        yield f"{lost:,} events of the hub did not reach us: it said more than is counted here"
    if "events_heard_s" in said and said["events_heard_s"] < result["duration_s"]:
        yield (
            f"the hub's events were heard only for the first {said['events_heard_s']:.1f} s of "
            f"{result['duration_s']:g} s, then they ended: what it said later is not counted here"
        )


def contradictions(result: dict[str, Any]) -> Iterator[str]:
    """Yield a warning if the hub said what does not follow from what it heard, or did not say what does."""
    said = result.get("hub_said", {})
    differing, absent = said.get("changes_that_do_not_follow", 0), said.get("changes_missing", 0)
    if differing or absent:
        yield (
            f"changes of the hub that do not follow from what it heard: {differing:,}; that follow and are missing: "
            f"{absent:,}; the first: {said['first_of_them']}"
        )


def text(figure: float | None) -> str:
    """A figure as people read it."""
    return "–" if figure is None else f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"
