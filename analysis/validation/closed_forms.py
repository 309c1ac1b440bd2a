"""Whether gaps and judgements give what theory says, for two detectors whose quality has a closed form.

    python -m heartbench.analysis.validation.closed_forms

Heartbeats are sent every η = 1 s, each is lost with probability p_L, and the others take a time D that is exponential
and independent, so that they may overtake each other. D has the distribution function F and the density f.

**NFD-S** of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions on Computers
51(5), May 2002): from the freshness point τ_i = iη + δ to the next, the node is trusted if heartbeat i or a later one
has arrived. Their Theorem 5, with k = ⌈δ/η⌉:

    p_j(x) = p_L + (1 − p_L) P(D > δ + x − jη)          q_0 = (1 − p_L) P(D < δ + η)
    u(x)   = ∏_{j=0..k} p_j(x)                          p_s = q_0 u(0)
    E(T_MR) = η / p_s      E(T_M) = ∫_0^η u(x) dx / p_s      P_A = 1 − ∫_0^η u(x) dx / η

**The simple timeout** `FixedTimeout`: a mistake begins when nothing arrived for T. Of arrivals at rate (1 − p_L)/η, one
that took x begins a mistake if no other heartbeat arrives within T after it; and the node is wrongly stale at time s of
a period if nothing arrived in the T before. Each other heartbeat is independent, so (this is our own derivation)

    a_j(y) = 1 − (1 − p_L) [F(y + T − jη) − F(y − jη)], the probability that heartbeat j does not arrive in (y, y + T]
    1 / E(T_MR) = (1 − p_L)/η ∫ f(x) ∏_{j≠0} a_j(x) dx
    1 − P_A = 1/η ∫_0^η ∏_j a_j(s − T) ds               E(T_M) = (1 − P_A) E(T_MR)

Measured figures are those of `judge` on `find_gaps`; their intervals are of independent batches.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, NoReturn

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import t as student

from heartbench.analysis.gaps import NO_LOSSES, find_gaps
from heartbench.analysis.policies import ARRAY_FORMS, Arrivals
from heartbench.analysis.qos import judge
from heartbench.hub import FixedTimeout, FlapWindow, PolicySpec
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages

Floats = NDArray[np.float64]

INTERVAL_S = 1.0
"""The heartbeat interval η, s."""
BATCHES, HEARTBEATS = 40, 100_000
LEVEL = 0.99
NEGLIGIBLE = 40.0
"""Delays of more than this many means are left out of integrals: e^−40 of all."""
FLAPS = FlapWindow(60.0, 5, 3)


class Quality(NamedTuple):
    """E(T_MR) and E(T_M), s, and P_A, as in `heartbench.analysis.qos`."""

    recurrence_s: float
    duration_s: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Setting:
    """A link and a detector: p_L, E(D) in s, and δ of NFD-S or the timeout, s."""

    detector: str
    loss: float
    delay_s: float
    silence_s: float

    def below(self, delay_s: float) -> float:
        """Return F, the probability that a delay is below `delay_s`."""
        return -math.expm1(-delay_s / self.delay_s) if delay_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FreshnessPoints:
    """NFD-S as the analysis takes a detector: only over arrays, of heartbeats that are fresh (`arrivals`)."""

    name: ClassVar[str] = "nfd-s"

    shift_s: float  # δ

    def detector(self, interval_s: float) -> NoReturn:
        """Raise NotImplementedError: NFD-S needs synchronized clocks, which a hub does not have."""
        raise NotImplementedError

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the time from sending a heartbeat to the next freshness point but one, s."""
        return interval_s + self.shift_s


def until_freshness_point(parameters: FreshnessPoints, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival of a fresh heartbeat i to τ_{i+1}, s."""
    fresh = arrivals()
    return np.asarray((fresh.seq + 1) * INTERVAL_S + parameters.shift_s - fresh.at_s)


NFD_S, SIMPLE = FreshnessPoints.name, FixedTimeout.name

SETTINGS = (
    *(Setting(NFD_S, 0.01, 0.02, shift_s) for shift_s in (0.02, 0.1, 0.5, 1.05, 1.5)),
    *(Setting(NFD_S, 0.1, 0.5, shift_s) for shift_s in (0.5, 1.0, 2.0, 3.0)),
    *(Setting(SIMPLE, 0.01, 0.02, timeout_s) for timeout_s in (1.05, 1.2, 1.5, 2.1, 2.5)),
    *(Setting(SIMPLE, 0.1, 0.5, timeout_s) for timeout_s in (1.5, 2.0, 3.0, 4.0)),
)


def integral(function: Callable[[float], float], breaks: Sequence[float]) -> float:
    """Return the integral from the least to the greatest of `breaks`, between which the function is smooth."""
    ends = sorted(set(breaks))
    return math.fsum(quad(function, low, high)[0] for low, high in pairwise(ends))


def expected(setting: Setting) -> Quality:
    """Return what theory says."""
    return of_freshness_points(setting) if setting.detector == NFD_S else of_simple_timeout(setting)


def of_freshness_points(setting: Setting) -> Quality:
    """Return the quality of NFD-S: Theorem 5, see above."""
    loss, shift_s = setting.loss, setting.silence_s

    def u(x: float) -> float:
        late = (1 - setting.below(shift_s + x - j * INTERVAL_S) for j in range(math.ceil(shift_s / INTERVAL_S) + 1))
        return math.prod(loss + (1 - loss) * each for each in late)

    wrong = integral(u, [0.0, -shift_s % INTERVAL_S, INTERVAL_S])
    begins = (1 - loss) * setting.below(shift_s + INTERVAL_S) * u(0.0)
    return Quality(INTERVAL_S / begins, wrong / begins, 1 - wrong / INTERVAL_S)


def of_simple_timeout(setting: Setting) -> Quality:
    """Return the quality of a simple timeout, see above."""
    loss, timeout_s, delay_s = setting.loss, setting.silence_s, setting.delay_s
    longest_s = NEGLIGIBLE * delay_s

    def missing(y: float, but: int | None = None) -> float:
        """Return the probability that no heartbeat, `but` one, arrives in (y, y + T]."""
        first, last = math.floor((y - longest_s) / INTERVAL_S), math.ceil((y + timeout_s) / INTERVAL_S)
        within = (
            setting.below(y + timeout_s - j * INTERVAL_S) - setting.below(y - j * INTERVAL_S)
            for j in range(first, last + 1)
            if j != but
        )
        return math.prod(1 - (1 - loss) * each for each in within)

    def begins_after(x: float) -> float:
        return math.exp(-x / delay_s) / delay_s * missing(x, but=0)

    periods = np.arange(math.ceil(longest_s / INTERVAL_S) + 1) * INTERVAL_S
    kinks = np.concatenate([periods, periods + -timeout_s % INTERVAL_S, [delay_s, 5 * delay_s]])
    rate = (1 - loss) / INTERVAL_S * integral(begins_after, [*kinks[kinks < longest_s], longest_s])
    within = [0.0, timeout_s % INTERVAL_S, min(timeout_s % INTERVAL_S + 5 * delay_s, INTERVAL_S), INTERVAL_S]
    wrong = integral(lambda s: missing(s - timeout_s), within) / INTERVAL_S
    return Quality(1 / rate, wrong / rate, 1 - wrong)


def arrivals(setting: Setting, generator: np.random.Generator, heartbeats: int) -> Messages:
    """Return heartbeats of one node as they arrive; for NFD-S only the fresh ones, which alone change what it says."""
    number = np.arange(1, heartbeats + 1)
    sent_s = np.asarray(number * INTERVAL_S, np.float64)
    arrived_s = sent_s + generator.exponential(setting.delay_s, heartbeats)
    arrived_s[generator.random(heartbeats) < setting.loss] = np.nan
    if setting.detector == NFD_S:
        order = np.argsort(arrived_s)  # lost ones come last
        newest = np.maximum.accumulate(number[order])
        overtaken = np.empty(heartbeats, bool)
        overtaken[order] = number[order] < newest
        arrived_s[overtaken | (arrived_s >= sent_s + INTERVAL_S + setting.silence_s)] = np.nan
    same = np.zeros(heartbeats, np.int32)
    kind = np.full(heartbeats, Kind.HEARTBEAT, np.int8)
    return Messages(same, same, same, number.astype(np.int64), kind, sent_s, arrived_s)


def measured(setting: Setting, seed: int, batches: int = BATCHES, heartbeats: int = HEARTBEATS) -> Floats:
    """Return for each batch its time up, s, its mistakes, and how long they lasted, s; shape (batches, 3)."""
    parameters = FixedTimeout(setting.silence_s) if setting.detector == SIMPLE else FreshnessPoints(setting.silence_s)
    policy, end_s = PolicySpec(parameters, FLAPS), heartbeats * INTERVAL_S
    found = []
    for generator in np.random.default_rng(seed).spawn(batches):
        messages = arrivals(setting, generator, heartbeats)
        gaps = find_gaps(messages, NO_LOSSES, end_s, interval_s=np.array([INTERVAL_S]))
        qos = judge(gaps, [policy], end_s)
        found.append((qos.up_s.sum(), qos.mistakes.sum(), qos.mistake_s[0]))
    return np.array(found, float)


def ratio_interval(above: Floats, below: Floats) -> tuple[float, float, float]:
    """Return Σ above / Σ below of independent batches, and the ends of its interval of LEVEL (linearized, Student)."""
    ratio = above.sum() / below.sum()
    error = np.std(above - ratio * below, ddof=1) / math.sqrt(len(above)) / below.mean()
    half = float(student.ppf((1 + LEVEL) / 2, len(above) - 1)) * error
    return float(ratio), float(ratio - half), float(ratio + half)


class Comparison(NamedTuple):
    """A figure by theory, and measured with the ends of its interval."""

    figure: str
    expected: float
    measured: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether the interval contains what theory says."""
        return self.low <= self.expected <= self.high


def compare(setting: Setting, batches: Floats) -> Iterator[Comparison]:
    """Yield T_MR, T_M and P_A of a setting; `batches` as `measured` returns them."""
    up_s, mistakes, mistake_s = batches.T
    theory = expected(setting)
    yield Comparison("T_MR", theory.recurrence_s, *ratio_interval(up_s, mistakes))
    yield Comparison("T_M", theory.duration_s, *ratio_interval(mistake_s, mistakes))
    wrong, low, high = ratio_interval(mistake_s, up_s)
    yield Comparison("P_A", theory.accuracy, 1 - wrong, 1 - high, 1 - low)


def table(seed: int, batches: int, heartbeats: int) -> Iterator[str]:
    """Yield the comparison of all settings in Markdown, and how many figures agree."""
    names = ("T_MR, s", "T_M, s", "1 − P_A")
    yield f"| detector | p_L | E(D), s | δ or T, s | {' | '.join(f'{name} | measured' for name in names)} |"
    yield "| --- " + "| ---: " * 9 + "|"
    agree = count = 0
    for setting in SETTINGS:
        rows = list(compare(setting, measured(setting, seed, batches, heartbeats)))
        cells = [cell(each) for each in rows]
        agree, count = agree + sum(each.agrees for each in rows), count + len(rows)
        link = f"{setting.loss:g} | {setting.delay_s:g} | {setting.silence_s:g}"
        yield f"| {'NFD-S' if setting.detector == NFD_S else 'simple'} | {link} | {' | '.join(cells)} |"
    yield ""
    yield f"{agree} of {count} figures lie within the {LEVEL:.0%} interval."


def cell(row: Comparison) -> str:
    """Return the two cells of a figure; P_A as its complement, which has more digits to show."""
    theory, low, high = row.expected, row.low, row.high
    if row.figure == "P_A":
        theory, low, high = 1 - theory, 1 - high, 1 - low
    return f"{theory:.4g} | {low:.4g} to {high:.4g}{'' if row.agrees else ' (!)'}"


def main(
    seed: int = 1,
    batches: int = BATCHES,
    heartbeats: int = HEARTBEATS,
    out: Annotated[Path | None, typer.Option(help="File for the table. Default: print it.")] = None,
) -> None:
    """Compare measured quality with theory."""
    ARRAY_FORMS[NFD_S] = until_freshness_point
    lines = list(table(seed, batches, heartbeats))
    if out is None:
        print("\n".join(lines))
    else:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
