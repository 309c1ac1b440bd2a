"""A simulated fleet: nodes, links, faults, and the engines that run them.

    scenario = load_scenario("wireguard-5g", ["duration=1h"])
    run = run_scenario(scenario)                # or RunDirectory.open(Path("results/runs/wireguard-5g-virtual-1"))
    trace = read_trace(run.path)                # one row per message
    truth = read_truth(run.truth)               # outages, crashes, restarts and closed connections

Names are imported on first use, so that importing this package does not load Numba and pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heartbench.simulator.errors import SimulatorError
    from heartbench.simulator.profile import Profile, load_profile
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.scenario import Scenario, load_scenario
    from heartbench.simulator.scenario_run import run_scenario
    from heartbench.simulator.trace import read_trace, read_transitions, read_truth

__all__ = [
    "Profile",
    "RunDirectory",
    "Scenario",
    "SimulatorError",
    "load_profile",
    "load_scenario",
    "read_trace",
    "read_transitions",
    "read_truth",
    "run_scenario",
]

_MODULES = ("errors", "run_directory", "profile", "scenario", "trace", "scenario_run")


def __getattr__(name: str) -> Any:
    for module in _MODULES if name in __all__ else ():
        found = getattr(import_module(f"{__name__}.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
