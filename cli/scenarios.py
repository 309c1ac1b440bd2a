"""`heartbench scenarios`: list the shipped scenarios, show one, or print the schema of their files."""

from typing import Annotated

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.output import print_json, print_table
from heartbench.cli.resolved import link_figures, scenario_text
from heartbench.simulator.scenario import SCENARIOS, Scenario, load_scenario
from heartbench.simulator.schema import scenario_schema
from heartbench.simulator.units import format_duration

scenarios = typer.Typer(
    invoke_without_command=True, help="Scenarios: a fleet on a network, its faults, and the settings of its hub."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@scenarios.callback()
def list_by_default(context: typer.Context, json: Json = False) -> None:
    """List the shipped scenarios if there is no subcommand."""
    if context.invoked_subcommand is None:
        list_scenarios(json)
    elif json:
        raise CommandError(f"--json: must follow {context.invoked_subcommand}")


@scenarios.command("list")
def list_scenarios(json: Json = False) -> None:
    """List the shipped scenarios."""
    loaded = [load_scenario(name) for name in SCENARIOS.names()]
    if json:
        print_json({"schema": "heartbench.scenarios/1", "scenarios": [_brief(scenario) for scenario in loaded]})
        return
    columns = ["scenario", "nodes", "duration", "heartbeat", "stale after", "summary"]
    rows = [
        (
            scenario.name,
            scenario.nodes,
            format_duration(scenario.duration_s),
            ", ".join(dict.fromkeys(f"every {format_duration(g.heartbeat_interval_s)}" for g in scenario.group)),
            format_duration(scenario.hub_settings().stale_after_s),
            scenario.summary,
        )
        for scenario in loaded
    ]
    print_table("", columns, rows, "`heartbench scenarios show NAME` prints a scenario; `heartbench run NAME` runs it.")


@scenarios.command()
def show(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or the path of a TOML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as seed=3.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Scale the groups to this total number of nodes.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Print resolved values, as for a file.")] = False,
    json: Json = False,
) -> None:
    """Print a scenario as TOML that `heartbench run` accepts.

    For a shipped scenario, print its file with the comments, or the scenario
    with the changes of --set and --nodes. For a file, or with --full, print
    every key with its default filled in, the whole link of each group, and as
    comments the figures of the link (RTT, outages by length) and all settings
    of the hub.
    """
    loaded = load_scenario(scenario, overrides or ())
    changed = loaded if nodes is None else loaded.with_nodes(nodes)
    if json:
        hub = changed.hub_settings().model_dump(mode="json")
        links = {group.name: link_figures(group.link) for group in changed.group}
        print_json({"schema": "heartbench.scenario/1", "scenario": changed.to_data(), "hub": hub, "links": links})
    elif full or scenario not in SCENARIOS.names():
        print(scenario_text(changed), end="")
    elif overrides or nodes is not None:
        print(changed.to_toml(), end="")
    else:
        print(SCENARIOS.find(scenario)[2], end="")


@scenarios.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors.

    docs/scenarios.md says how to use it, and lists every key.
    """
    print_json(scenario_schema())


def _brief(scenario: Scenario) -> dict[str, object]:
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "nodes": scenario.nodes,
        "duration_s": scenario.duration_s,
        "stale_after_s": scenario.hub_settings().stale_after_s,
        "engines": ["virtual", "live"],
        "profiles": sorted({group.profile for group in scenario.group if group.profile}),
    }
