"""The model of TCP against this machine's kernel: the same connections, sends and links for both.

The model gets the inputs that the kernel had: the times at which messages were written, the round trip that the kernel
measured, the phase of the kernel's ticks, and a link whose delay and losses are the same function of time.

Near a step of the ladder, small delays decide whether a retransmission meets the outage, and the gap is one rung or the
next: a timer that a late process sets one tick later may fire one notch of the wheel later, 256 ms at 2 to 16 s. So the
model is also run with the end of the outage moved by as much either way, and with the losses moved by 0.5 ms.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import inf, isnan, nan
from pathlib import Path
from typing import Literal

import numpy as np
from tests.simulator.kernel_case import Case, Seen, make_case_link

from heartbench.simulator import stream
from heartbench.simulator.connection import (
    CHUNK,
    CONNECT_TIMEOUT_S,
    HEARTBEAT,
    HEARTBEAT_ASKING,
    HEARTBEAT_BYTES,
    HELLO,
    HELLO_BYTES,
    READY,
    RULES,
    SYN_TIMEOUT_S,
    Connection,
    make_connection,
)
from heartbench.simulator.link import Link
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.tcp.timers import TICK_S, fires

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """A connection on both; `agrees` is yes, moved (with the outage's end or the losses moved) or no."""

    case: Case
    kernel: Outcome
    model: Outcome  # with the link as it was
    agrees: Literal["yes", "moved", "no"]


def _agree(one: float, other: float) -> bool:
    return (isnan(one) and isnan(other)) or abs(one - other) <= TOLERANCE * one + TOLERANCE_S


def why_not() -> str:
    """Return why the kernel cannot be measured here; empty: it can."""
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
    """Return how far the kernel's ticks are ahead of the monotonic clock, s; every phase if it cannot be read."""
    try:
        lines = Path("/proc/timer_list").read_text(encoding="ascii").splitlines()
    except OSError:
        return [float(phase) for phase in np.arange(0.0, WHEEL_TICKS * TICK_S, 0.256)]
    now_s = next(int(line.split()[2]) for line in lines if line.startswith("now at")) * 1e-9
    jiffies = next(int(line.split()[1]) for line in lines if line.strip().startswith("jiffies:"))
    return [(jiffies - int(now_s / TICK_S)) % WHEEL_TICKS * TICK_S]


def seen_outcome(case: Case, seen: Seen) -> Outcome:
    """Return what the kernel did."""
    closed = [nan if at is None else at - seen.out_from_s for at in (seen.node_closed_s, seen.hub_closed_s)]
    return Outcome(_longest_gap(case, seen, seen.arrived_s), *closed)


def model_outcomes(case: Case, seen: Seen, phases: Sequence[float]) -> Iterator[Outcome]:
    """Yield what the model does with the link as it was, and then with the outage's end or the losses moved."""
    moves = [(0.0, 0.0)]
    if case.outage_s:
        most_s = SHAKE * case.outage_s + SHAKE_S
        moves += [(-most_s, 0.0), (most_s, 0.0)]
    if case.loss:
        moves += [(0.0, -LATE_S), (0.0, LATE_S)]
    return (_model(case, seen, phase, *move) for move in moves for phase in phases)


def compare(cases: Sequence[Case]) -> list[Comparison]:
    """Run all cases on the kernel at once, and then on the model."""
    phases = tick_phases()
    return [judge(case, seen, phases) for case, seen in zip(cases, ask_kernel(cases), strict=True)]


def judge(case: Case, seen: Seen, phases: Sequence[float]) -> Comparison:
    """Run the model on what the kernel was seen to be given, until it agrees."""
    kernel, models = seen_outcome(case, seen), model_outcomes(case, seen, phases)
    unmoved = list(islice(models, len(phases)))
    if found := next(filter(kernel.agrees, unmoved), None):
        return Comparison(case, kernel, found, "yes")
    return Comparison(case, kernel, unmoved[0], "moved" if any(map(kernel.agrees, models)) else "no")


def _longest_gap(case: Case, seen: Seen, arrived_s: Sequence[float]) -> float:
    """Return the longest time between two arrivals from the outage on; without one, since the first heartbeat."""
    before = 3  # preface, hello, the first heartbeat
    if case.outage_s:
        before = sum(at < seen.out_from_s + case.rtt_s / 2.0 + 0.001 for at in arrived_s)
    gaps = np.diff(arrived_s[max(before - 1, 0) :])
    return float(gaps.max()) if len(gaps) else nan


def _model(case: Case, seen: Seen, phase: float, end_s: float, late_s: float) -> Outcome:
    """Run the model with the outage's end `end_s` later, and everything `late_s` later on the link."""
    rules = np.zeros(1, RULES).view(np.recarray)
    rules[0].ping_timeout_s = inf
    rules[0].user_timeout_s, rules[0].hub_user_timeout_s = case.user_timeout_s, case.hub_user_timeout_s
    outage = (seen.out_from_s + late_s, seen.out_to_s + late_s + end_s)
    link = make_case_link(case, seen.min_rtt_s or case.rtt_s, outage)
    made = make_connection(rules)
    start_s = seen.start_s + late_s
    stream.connect(made, link, start_s, start_s + CONNECT_TIMEOUT_S)
    made.up.timer_phase_s = made.down.timer_phase_s = phase = phase + seen.origin_s - late_s
    made.syn_timer_s = fires(start_s, SYN_TIMEOUT_S, phase)
    arrived: list[float] = []
    for number, (at, size) in enumerate(zip(seen.sent_s[2:], seen.sizes[2:], strict=True), 2):
        _advance(made, link, at + late_s, arrived)
        if made.state == READY:
            stream.send(made, link, at + late_s, size, _kind(case, size), number)
    _advance(made, link, max(seen.sent_s[-1], seen.out_to_s) + 2.0 * case.outage_s + 5.0, arrived)
    closed = [float(at) - seen.out_from_s - late_s for at in (made.node_closed_s, made.hub_closed_s)]
    return Outcome(_longest_gap(case, seen, [at - late_s for at in arrived[: len(seen.arrived_s)]]), *closed)


def _kind(case: Case, size: int) -> int:
    if size != HEARTBEAT_BYTES:
        return CHUNK
    return HEARTBEAT_ASKING if case.asks else HEARTBEAT


def _advance(made: Connection, link: Link, until: float, arrived: list[float]) -> None:
    """Advance the model to `until`; send Hello as soon as it is ready."""
    reached = -inf
    while reached < until:
        state = made.state
        reached = stream.advance(made, link, until)
        while len(arrived) < made.up.delivered:
            arrived.append(float(made.up.log[len(arrived) % MESSAGES].delivered_s))
        if made.state != state and made.state == READY:
            stream.send(made, link, reached, HELLO_BYTES, HELLO, 1)
