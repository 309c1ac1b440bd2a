"""What a WireGuard tunnel costs the virtual engine: the time of a heartbeat with it, compared with none.

    python -m heartbench.benchmarks.simulation.tunnel

The same nodes run with and without a tunnel in turns, in one thread, of which the CPU time counts. A first run, which
does not count, compiles the kernels or loads them from disk.
"""

import time
from statistics import median, quantiles

from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.virtual import BlockPlan, blocks, run_nodes
from heartbench.simulator.scenario import load_scenario

NODES = 20
PAIRS = 25


def a_day(tunnel: str) -> BlockPlan:
    """Return nodes of the shipped scenario for a day, with this tunnel."""
    scenario = load_scenario("wireguard-5g", [f"group.edge.tunnel={tunnel}", "duration=24h"])
    return next(blocks(scenario.with_nodes(NODES)))


def heartbeat_us(plan: BlockPlan) -> float:
    """Return the CPU time of a heartbeat that arrives, µs."""
    began_ns = time.thread_time_ns()
    messages = run_nodes(plan)[0]
    spent_ns = time.thread_time_ns() - began_ns
    return spent_ns / 1000 / int((messages.kind == Kind.HEARTBEAT).sum())


def main() -> None:
    """Print the medians of both times, and of their ratio with its quartiles."""
    plans = a_day("none"), a_day("wireguard")
    for plan in plans:
        run_nodes(plan)
    found = [[heartbeat_us(plan) for plan in plans] for _ in range(PAIRS)]
    without_us, with_us = (median(times) for times in zip(*found, strict=True))
    lower, ratio, upper = quantiles((there / none for none, there in found), n=4)
    print(  # noqa: T201
        f"{NODES} nodes for a day, {PAIRS} pairs of runs: {with_us:.2f} instead of {without_us:.2f} µs of CPU time per "
        f"heartbeat, {ratio:.2f} times as much (quartiles {lower:.2f} to {upper:.2f})"
    )


if __name__ == "__main__":
    main()
