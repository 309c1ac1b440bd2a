"""The model of TCP against this machine's kernel: the same connections, sends and outages for both.

    python -m tests.simulator.kernel_ladder [--connections 300] [--seed 1]

prints how many gaps agree, over random connections and outages. The model gets what the kernel was given: the times at
which messages were written, the round trip that the kernel measured, and the phase of the kernel's ticks.

Where little decides whether a retransmission still meets the outage, the gap is one rung of the ladder or the next: a
timer that a late process sets one tick later may fire one notch of the wheel later, 256 ms at 2 to 16 s. So the model
says for each case all gaps that it finds with the end of the outage moved by as much either way.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
from tests.simulator.kernel_case import Case, Seen, make_case_link

from heartbench.simulator import stream
from heartbench.simulator.tcp.flow import MESSAGES, TICK_S
from heartbench.simulator.tcp.timers import fires

SHAKE, SHAKE_S = 0.02, 0.03  # of the outage, and beyond it
LATE_S = 0.0005  # what a busy machine may be late by, which decides at the edges of losses
TOLERANCE, TOLERANCE_S = 0.05, 0.03  # of a gap, and beyond it; see docs/tcp-model.md
WHEEL_TICKS = 4096
ROOT = Path(__file__).parents[2]
CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; its resolution is the tick


@dataclass(frozen=True, slots=True)
class Outcome:
    """The longest gap from the outage on, and from its beginning to each end's giving up, s; NaN: did not."""

    gap_s: float
    node_closed_s: float
    hub_closed_s: float

    def agrees(self, other: "Outcome") -> bool:
        """Whether `other` is the same within the tolerance. Where the node gave up there is no gap to compare."""
        closes = _agree(self.node_closed_s, other.node_closed_s) and _agree(self.hub_closed_s, other.hub_closed_s)
        return closes and (not isnan(self.node_closed_s) or _agree(self.gap_s, other.gap_s))


def _agree(one: float, other: float) -> bool:
    return (isnan(one) and isnan(other)) or abs(one - other) <= TOLERANCE * one + TOLERANCE_S


def why_not() -> str:
    """Say why the kernel cannot be asked here; empty: it can."""
    tick_s = time.clock_getres(CLOCK_MONOTONIC_COARSE)
    if os.geteuid() != 0:
        return "network namespaces and TUN devices take root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    if not shutil.which("ip"):
        return "`ip` (iproute2) is not installed"
    if abs(tick_s - TICK_S) > 1e-6:
        return f"this kernel's tick is {tick_s * 1e3:g} ms, the model's {TICK_S * 1e3:g} ms"
    found = _program([])
    return "" if found.returncode == 0 else found.stderr.strip().splitlines()[-1]


def _program(cases: Sequence[Case]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.simulator.kernel_sockets"]
    text = json.dumps([asdict(case) for case in cases])
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)


def ask_kernel(cases: Sequence[Case]) -> list[Seen]:
    """Run all cases at once on real sockets."""
    found = _program(cases)
    assert found.returncode == 0, found.stderr
    return [Seen(**each) for each in json.loads(found.stdout)]


def tick_phases() -> list[float]:
    """Say how far the kernel's ticks are ahead of the monotonic clock, s; where it does not tell, all that may be."""
    try:
        lines = Path("/proc/timer_list").read_text(encoding="ascii").splitlines()
    except OSError:
        return [float(phase) for phase in np.arange(0.0, WHEEL_TICKS * TICK_S, 0.256)]
    now_s = next(int(line.split()[2]) for line in lines if line.startswith("now at")) * 1e-9
    jiffies = next(int(line.split()[1]) for line in lines if line.strip().startswith("jiffies:"))
    return [(jiffies - int(now_s / TICK_S)) % WHEEL_TICKS * TICK_S]


def seen_outcome(case: Case, seen: Seen) -> Outcome:
    """Give what the kernel did."""
    closed = [nan if at is None else at - seen.out_from_s for at in (seen.node_closed_s, seen.hub_closed_s)]
    return Outcome(_longest_gap(case, seen, seen.arrived_s), *closed)


def model_outcomes(case: Case, seen: Seen, phases: Sequence[float]) -> list[Outcome]:
    """Return what the model does with the link as it was, and with the outage's end or the losses moved."""
    most_s = SHAKE * case.outage_s + SHAKE_S if case.outage_s else 0.0
    moves = [(end_s, 0.0) for end_s in (0.0, -most_s, most_s)]
    if case.loss:
        moves += [(0.0, -LATE_S), (0.0, LATE_S)]
    return [_model(case, seen, phase, *move) for phase in phases for move in dict.fromkeys(moves)]


def _longest_gap(case: Case, seen: Seen, arrived_s: Sequence[float]) -> float:
    """Return the longest time between two arrivals from the outage on; without one, since the first heartbeat."""
    if case.outage_s:
        before = sum(at < seen.out_from_s + case.rtt_s / 2.0 + 0.001 for at in arrived_s)
    else:
        before = 3
    gaps = np.diff(arrived_s[max(before - 1, 0) :])
    return float(gaps.max()) if len(gaps) else nan


def _model(case: Case, seen: Seen, phase: float, end_s: float, late_s: float) -> Outcome:
    """Run the model with the outage's end `end_s` later, and everything `late_s` later on the link."""
    rules = np.zeros(1, stream.RULES).view(np.recarray)
    rules[0].ping_timeout_s = inf
    rules[0].user_timeout_s, rules[0].hub_user_timeout_s = case.user_timeout_s, case.hub_user_timeout_s
    outage = (seen.out_from_s + late_s, seen.out_to_s + late_s + end_s)
    link = make_case_link(case, seen.min_rtt_s or case.rtt_s, outage)
    made = stream.make_connection(rules)
    start_s = seen.start_s + late_s
    stream.connect(made, link, start_s)
    made.up.timer_phase_s = made.down.timer_phase_s = phase = phase + seen.origin_s - late_s
    made.syn_timer_s = fires(start_s, stream.SYN_TIMEOUT_S, phase)
    arrived: list[float] = []
    for number, (at, size) in enumerate(zip(seen.sent_s[2:], seen.sizes[2:], strict=True), 2):
        _advance(made, link, at + late_s, arrived)
        if made.state == stream.READY:
            stream.send(made, link, at + late_s, size, _kind(case, size), number)
    _advance(made, link, max(seen.sent_s[-1], seen.out_to_s) + 2.0 * case.outage_s + 5.0, arrived)
    closed = [float(at) - seen.out_from_s - late_s for at in (made.node_closed_s, made.hub_closed_s)]
    return Outcome(_longest_gap(case, seen, [at - late_s for at in arrived[: len(seen.arrived_s)]]), *closed)


def _kind(case: Case, size: int) -> int:
    if size != stream.HEARTBEAT_BYTES:
        return stream.CHUNK
    return stream.HEARTBEAT_ASKING if case.asks else stream.HEARTBEAT


def _advance(made: stream.Record, link: stream.Record, until: float, arrived: list[float]) -> None:
    """Let the model come to `until`; say hello as soon as it is ready."""
    reached = -inf
    while reached < until:
        state = made.state
        reached = stream.advance(made, link, until)
        while len(arrived) < made.up.delivered:
            arrived.append(float(made.up.log[len(arrived) % MESSAGES].delivered_s))
        if made.state != state and made.state == stream.READY:
            stream.send(made, link, reached, stream.HELLO_BYTES, stream.HELLO, 1)


def random_cases(count: int, seed: int) -> list[Case]:
    """Draw connections over all that a node may meet."""
    draw = random.Random(seed)
    cases = []
    for _ in range(count):
        interval_s = draw.choice((0.2, 1.0, 3.0, 10.0))
        cases.append(
            Case(
                rtt_s=draw.choice((0.005, 0.02, 0.047, 0.085, 0.15, 0.3, 0.6)) * draw.uniform(0.9, 1.1),
                interval_s=interval_s,
                warmup=draw.choice((2, 3, 5) if interval_s > 2.0 else (7, 14, 40)),
                outage_s=draw.choice((1.0, 2.0, 4.0, 6.0, 10.0, 15.0, 20.0, 25.0, 40.0)) * draw.uniform(0.9, 1.1),
                phase=draw.uniform(0.1, 0.95),
                user_timeout_s=draw.choice((0.0, 0.0, 0.0, 5.0, 20.0)),
                asks=draw.random() < 0.3,
            )
        )
    return cases


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    cases, phases = random_cases(chosen.connections, chosen.seed), tick_phases()
    off, told = [], 0
    for case, seen in zip(cases, ask_kernel(cases), strict=True):
        kernel, models = seen_outcome(case, seen), model_outcomes(case, seen, phases)
        if not any(kernel.agrees(model) for model in models):
            print(f"differs: {case}\n  kernel {kernel}\n  model  {models[0]}")
        if isnan(kernel.node_closed_s) and isnan(models[0].node_closed_s):
            off.append(abs(models[0].gap_s / kernel.gap_s - 1.0))
        told += any(kernel.agrees(model) for model in models)
    print(f"{told} of {len(cases)} connections agree within {TOLERANCE:.0%} + {TOLERANCE_S * 1e3:.0f} ms of a rung")
    print(
        f"of {len(off)} gaps, at the very rung: {np.mean(np.array(off) < 0.02):.1%} within 2 %, "
        f"{np.mean(np.array(off) < 0.07):.1%} within 7 %; median difference {np.median(off):.2%}"
    )


if __name__ == "__main__":
    main()
