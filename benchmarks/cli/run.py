"""`heartbench run`: a fleet in simulated or in real time, into a run directory."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heartbench.benchmarks.cli.output import console, print_json, print_table, progress

if TYPE_CHECKING:
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.scenario import Scenario

ENGINES = ("virtual", "live")
INTERRUPTED = 130


def run(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO|FILE", help="Name of a shipped scenario, or the path of a TOML file.")
    ],
    engine: Annotated[
        str, typer.Option(metavar="virtual|live", help="Simulated time, or a real hub and real gRPC.")
    ] = "virtual",
    nodes: Annotated[int | None, typer.Option(help="Scale the groups in proportion to so many nodes.")] = None,
    duration: Annotated[str | None, typer.Option(metavar="DURATION", help="Length of the run.")] = None,
    seed: Annotated[int | None, typer.Option(help="All that is random follows from it.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads or processes; default: one a core.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: group.edge.heartbeat_interval=5s."),
    ] = None,
    hub_env: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings of the hub, as tune writes them.")
    ] = None,
    hub: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Drive a hub that runs already (engine live).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="An empty or new directory; default: under results/runs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Simulate a fleet of nodes, and record what the hub hears.

    Ctrl-C ends a run early; what was measured until then is kept.
    """
    from heartbench.simulator.run_directory import RunDirectory

    asked = _scenario(scenario, [*(set_ or ()), *_settings(nodes, duration, seed)], nodes, hub_env)
    _check(engine, workers, hub)
    driven = _running_hub(hub)
    directory = RunDirectory.create(out, asked.name, engine)
    began = time.perf_counter()
    with _removed_if_nothing_was_measured(directory):
        if engine == "virtual":
            result = _virtual(asked, directory, workers)
        else:
            result = _live(asked, directory, workers, driven)
        result["wall_s"] = time.perf_counter() - began
        _record(directory, asked, result)
    result = {"schema": "heartbench.run/1", **result, "run_dir": str(directory.path)}
    if as_json:
        print_json(result)
    else:
        _print(asked, result)
    return INTERRUPTED if result["interrupted"] else 0


def _settings(nodes: int | None, duration: str | None, seed: int | None) -> Iterator[str]:
    """Yield the options that are keys of the scenario."""
    from heartbench.benchmarks.errors import BenchmarkError
    from heartbench.simulator.units import parse_duration

    if nodes is not None and nodes < 1:
        raise BenchmarkError(f"--nodes: {nodes}: must be at least 1")
    if duration is not None:
        parse_duration(duration, "--duration")
        yield f'duration="{duration}"'
    if seed is not None:
        yield f"seed={seed}"


def _scenario(name: str, overrides: list[str], nodes: int | None, hub_env: Path | None) -> "Scenario":
    from heartbench.hub.config import JUDGEMENT, HubSettings
    from heartbench.simulator.scenario import load_scenario

    if hub_env is not None:
        settings = HubSettings.from_env_file(hub_env)
        keys = set(JUDGEMENT) | settings.model_fields_set
        overrides = [*overrides, *(f"hub.{key}={_toml(getattr(settings, key))}" for key in sorted(keys))]
    asked = load_scenario(name, overrides)
    return asked if nodes is None else asked.with_nodes(nodes)


def _toml(value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return f'"{value}"'


def _check(engine: str, workers: int | None, hub: str | None) -> None:
    from heartbench.benchmarks.errors import BenchmarkError

    if engine not in ENGINES:
        raise BenchmarkError(f"--engine: {engine!r}: must be one of {', '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise BenchmarkError(f"--workers: {workers}: must be at least 1")
    if hub is not None and engine != "live":
        raise BenchmarkError(f"--hub: {hub}: only the live engine drives a hub; add --engine live")


def _running_hub(address: str | None) -> Any:
    if address is None:
        return None
    from heartbench.simulator.engines.live.hub import RunningHub

    return RunningHub(address)


@contextmanager
def _removed_if_nothing_was_measured(directory: "RunDirectory") -> Iterator[None]:
    """Leave no half-written run behind."""
    try:
        yield
    finally:
        if not directory.record_file.is_file():
            shutil.rmtree(directory.path)


def _virtual(scenario: "Scenario", directory: "RunDirectory", workers: int | None) -> dict[str, Any]:
    from heartbench.simulator.engines.virtual import simulate

    with progress("Simulating", scenario.nodes) as advance:
        done = simulate(scenario, directory, workers, advance)
    return {
        "engine": "virtual",
        "nodes": done.nodes,
        "duration_s": scenario.duration_s,
        "heartbeats": done.heartbeats,
        "simulate_s": done.simulate_s,
        "compile_s": done.compile_s,
        "write_s": done.write_s,
        "heartbeats_per_s": done.heartbeats / done.simulate_s if done.simulate_s else None,
        "sim_lag_s": {"p99": 0.0},
        "interrupted": done.interrupted,
        **_judged(directory, scenario, scenario.duration_s),
    }


def _live(scenario: "Scenario", directory: "RunDirectory", workers: int | None, hub: Any) -> dict[str, Any]:
    import numpy as np
    from heartbench.simulator.engines.live.engine import simulate

    with progress("Running", scenario.duration_s) as advance:
        done = simulate(scenario, directory, workers, hub, advance)
    lag_s = float(np.quantile(done.lag_s, 0.99)) if len(done.lag_s) else None
    return {
        "engine": "live",
        "nodes": done.nodes,
        "duration_s": done.duration_s,
        "heartbeats": done.heartbeats,
        "simulate_s": done.duration_s,
        "compile_s": done.compile_s,
        "write_s": done.write_s,
        "heartbeats_per_s": done.heartbeats / done.duration_s if done.duration_s else None,
        "sim_lag_s": {"p99": lag_s},
        "interrupted": done.interrupted,
        "arrived_by": done.arrived_by,
        **_judged(directory, scenario, done.duration_s),
        **_agreed(directory, done.origin_s + done.duration_s),
    }


def _judged(directory: "RunDirectory", scenario: "Scenario", duration_s: float) -> dict[str, Any]:
    """Return how late heartbeats came, and what the hub's settings make of the trace."""
    import numpy as np

    from heartbench.benchmarks.thresholds import run_figures
    from heartbench.simulator.trace import Kind, read_blocks

    late = [
        b.arrived_s[b.kind == Kind.HEARTBEAT] - b.sent_s[b.kind == Kind.HEARTBEAT] for b in read_blocks(directory.path)
    ]
    latency_s = np.concatenate([each[~np.isnan(each)] for each in late]) if late else np.zeros(0)
    p50, p99 = np.quantile(latency_s, [0.5, 0.99]) if len(latency_s) else (None, None)
    figures = run_figures(directory, scenario.hub_settings(), duration_s)
    return {"latency_s": {"p50": p50, "p99": p99}, **figures}


def _agreed(directory: "RunDirectory", until_s: float) -> dict[str, Any]:
    """Return whether the hub, if it was ours, said what follows from what it heard."""
    if not directory.observer.is_file():
        return {}
    from dataclasses import asdict

    from heartbench.benchmarks.thresholds.agreement import agreement
    from heartbench.simulator.observer import read_observer

    return {"hub_said": asdict(agreement(read_observer(directory.observer), until_s))}


def _record(directory: "RunDirectory", scenario: "Scenario", result: dict[str, Any]) -> None:
    from heartbench.benchmarks.cli.output import plain
    from heartbench.benchmarks.provenance import provenance

    settings = {"scenario": scenario.to_data(), "hub": scenario.hub_settings().model_dump(mode="json")}
    directory.write_record(plain({**provenance(), "seed": scenario.seed, "settings": settings, **result}))


def _print(scenario: "Scenario", result: dict[str, Any]) -> None:
    rows = [(name, shown) for name, show in FIGURES.items() if (shown := show(result)) is not None]
    title = f"{scenario.name}: {result['nodes']:,} nodes, engine {result['engine']}"
    print_table(f"{title}, interrupted" if result["interrupted"] else title, ["", ""], rows)
    said = result.get("hub_said")
    if said is not None:
        console().print(_said(said))
    print(result["run_dir"])


def _said(said: dict[str, Any]) -> str:
    if said["differing"]:
        return f"{said['differing']} of the hub's {said['changes']:,} changes are not what it heard: {said['first']}"
    return (
        f"All {said['changes']:,} changes that the hub told ({said['stale']:,} of them to stale) "
        "follow from what it heard, within 1 ms."
    )


def _ms(value_s: float | None) -> str | None:
    return None if value_s is None else f"{value_s * 1000:,.1f} ms"


FIGURES: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "length": lambda r: f"{r['duration_s']:,.0f} s",
    "heartbeats": lambda r: f"{r['heartbeats']:,}",
    "false stales a node-day": lambda r: f"{r['false_stale_per_node_day']:,.3g}",
    "flaps a node-hour": lambda r: f"{r['flaps_per_node_hour']:,.3g}",
    "flashes an hour, whole fleet": lambda r: f"{r['flashes_per_hour']:,.3g}",
    "heartbeat latency p50": lambda r: _ms(r["latency_s"]["p50"]),
    "heartbeat latency p99": lambda r: _ms(r["latency_s"]["p99"]),
    "the simulator's own lag p99": lambda r: _ms(r["sim_lag_s"]["p99"]) if r["engine"] == "live" else None,
    "heartbeats a second": lambda r: f"{r['heartbeats_per_s']:,.0f}" if r["heartbeats_per_s"] else None,
    "took": lambda r: f"{r['wall_s']:.1f} s",
}
