"""`heartbench run`: simulate a fleet in virtual time or run it against a real hub, and record the messages."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli.credential_options import Cert, Key, TlsCa, Token
from heartbench.cli.errors import CommandError
from heartbench.cli.measure import EngineName, Options, measure
from heartbench.cli.output import plain, print_json
from heartbench.cli.run_directory import made
from heartbench.cli.run_output import Report, show, status_of, to_json, warnings_of
from heartbench.hub.program import warn
from heartbench.mesh.address import is_address
from heartbench.mesh.credentials import Credentials, load_credentials

if TYPE_CHECKING:
    from heartbench.simulator.engines.live.hub import ExternalHub
    from heartbench.simulator.group import Group
    from heartbench.simulator.scenario import Scenario

MOST_SEED = 2**63 - 1
MOST_NODES = 10_000_000

HubEnv = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Settings of the hub, as `tune` writes them; they override the scenario's."),
]
RunningHub = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Drive this running hub instead of starting one (live).")
]
HubAdmin = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where that hub serves operators, if not at the same address.")
]
NoTrace = Annotated[
    bool, typer.Option("--no-trace", help="Keep no trace, which `tune` and `report` need; a live run keeps its log.")
]
ThenTune = Annotated[bool, typer.Option("--tune", help="Then do what `heartbench tune` does, with its default goal.")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where results go; results/runs/SCENARIO-ENGINE-N if not given.")
]


def run(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO|FILE", help="A shipped scenario, or a TOML file.")],
    engine: Annotated[
        EngineName, typer.Option(help="virtual: simulated time, no hub. live: real gRPC nodes and a real hub.")
    ] = EngineName.VIRTUAL,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=MOST_NODES, help="Scale the groups to this number of nodes in total.")
    ] = None,
    duration: Annotated[str | None, typer.Option(metavar="DURATION", help="Length of the run, such as 24h.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="Random seed.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads (virtual) or processes (live) for the nodes; one per core.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")
    ] = None,
    hub_env: HubEnv = None,
    hub: RunningHub = None,
    hub_admin: HubAdmin = None,
    tls_ca: TlsCa = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    no_trace: NoTrace = False,
    then_tune: ThenTune = False,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Simulate a fleet of nodes on its network; record what they sent, what arrived, and what really happened.

    The nodes are judged by the settings of the scenario's hub, which those in
    --hub-env override. Ctrl-C ends the run; what was measured until then is
    written. Exit status 1: status changes of the hub that the run started do
    not match the messages that it received, or --tune finds no threshold.
    """
    if then_tune and (no_trace or as_json):
        raise CommandError("--tune: needs a trace and prints tables; leave out --no-trace and --json")
    external = external_hub(hub, hub_admin, engine, load_credentials(tls_ca, cert, key, token))
    planned = plan(scenario, nodes, duration, seed, [*settings_in(hub_env), *(overrides or [])])
    report = run_and_record(planned, Options(engine, workers, external, not no_trace), out, context.obj)
    if as_json:
        print_json({"schema": "heartbench.run/1", "seed": planned.seed, **to_json(report)})
    else:
        show(report)
    warn(*warnings_of(report.measured))
    status = status_of(report.measured)
    return tune_from(report.directory) if then_tune and not status else status


def tune_from(run_directory: Path) -> int:
    """Do what `heartbench tune RUN_DIR` does, and return its status."""
    from heartbench.cli.tune import tune

    return tune(run_directory)


def run_and_record(scenario: "Scenario", options: Options, out: Path | None, command: str) -> Report:
    """Run a scenario and write `run.json`: the figures, and all that is needed to run it again."""
    from heartbench.simulator.interrupts import noted

    began = time.perf_counter()
    with noted() as interrupted, made(out, scenario.name, options.engine) as directory:
        warn(*too_short(scenario))
        warn(
            *(
                f"{fault} never happens: the run ends after {scenario.duration_s:g} s"
                for fault in scenario.late_faults()
            )
        )
        measured = measure(scenario, options, directory, interrupted)
        report = Report(scenario, options, measured, time.perf_counter() - began, directory.path)
        from heartbench.benchmarks.provenance import provenance

        used = {"scenario": scenario.to_data(), "hub": measured.summary.hub.model_dump(mode="json")}
        origin = {**asdict(provenance(command)), "seed": scenario.seed, "settings": used}
        directory.write_record(plain({**origin, **to_json(report)}))
    return report


def plan(scenario: str, nodes: int | None, duration: str | None, seed: int | None, overrides: list[str]) -> "Scenario":
    """Load the scenario and apply the options that change it."""
    changes: dict[str, float] = {} if seed is None else {"seed": seed}
    if duration is not None:
        changes["duration_s"] = length(duration)
    from heartbench.simulator.fleet import squads
    from heartbench.simulator.scenario import load_scenario

    planned = load_scenario(scenario, overrides).model_copy(update=changes)
    planned = planned if nodes is None else planned.with_nodes(nodes)
    list(squads(planned))  # rejects what no engine can run
    return planned


def length(duration: str) -> float:
    """Return the length in --duration, s."""
    from heartbench.simulator.units import LONGEST_S, parse_duration

    duration_s = parse_duration(duration, "--duration")
    if not duration_s:
        raise CommandError(f'--duration: "{duration}": must be longer than 0')
    if duration_s > LONGEST_S:
        raise CommandError(f'--duration: "{duration}": must be at most {LONGEST_S:g} s')
    return duration_s


def settings_in(hub_env: Path | None) -> list[str]:
    """Return the hub's settings in an env file as overrides of a scenario, so that its nodes are told the same."""
    if hub_env is None:
        return []
    import tomlkit

    from heartbench.hub.config import HubSettings
    from heartbench.hub.envfile import read_env_file
    from heartbench.hub.errors import HubError

    names = read_env_file(hub_env, HubSettings.model_fields)
    try:
        values = HubSettings.of(**names).model_dump(mode="json")
    except HubError as error:
        raise HubError(f"{hub_env}: {error}") from None
    # As TOML, which an override is read as: else a folder called 2024 becomes a number.
    return [f"hub.{name}={tomlkit.item('' if values[name] is None else values[name]).as_string()}" for name in names]


def external_hub(
    hub: str | None, hub_admin: str | None, engine: EngineName, credentials: Credentials | None
) -> "ExternalHub | None":
    """Return the external hub in --hub, if there is one."""
    if hub is None:
        if hub_admin or credentials:
            raise CommandError("--hub-admin and --tls-ca need --hub HOST:PORT: a hub that the run starts asks for none")
        return None
    if engine is not EngineName.LIVE:
        raise CommandError(f"--hub: {hub}: the engine {engine} has no hub; use --engine live")
    for option, address in {"--hub": hub, "--hub-admin": hub_admin or hub}.items():
        if not is_address(address):
            raise CommandError(f'{option}: "{address}": must be HOST:PORT')
    from heartbench.simulator.engines.live.hub import ExternalHub

    return ExternalHub(hub, credentials, hub_admin or "")


def too_short(scenario: "Scenario") -> Iterator[str]:
    """Yield a warning if a run ends before the first heartbeat, which is sent one interval after a node's start."""

    def soonest_s(group: "Group") -> float:
        return group.heartbeat_interval_s * (1 - group.heartbeat_jitter)

    group = min(scenario.group, key=soonest_s)
    if scenario.duration_s < soonest_s(group):
        yield (
            f"no node sends a heartbeat: duration={scenario.duration_s:g}s is shorter than {soonest_s(group):g}s, "
            f"the shortest that group.{group.name}.heartbeat_interval={group.heartbeat_interval_s:g}s and "
            f"group.{group.name}.heartbeat_jitter={group.heartbeat_jitter:g} allow"
        )
