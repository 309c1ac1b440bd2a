"""Which detector marks the fewest live nodes stale on the shipped networks, if all must detect equally soon?

    python -m heartbench.analysis.validation.detector_fronts

For each profile and each goal, every detector is set on one simulated day so that its detection p99 just meets the
goal (`analysis.fronts`); of a detector's families the one with the fewest false stales on that day is taken. What is
printed was measured on another day, of other nodes.

Beside the detectors that the hub offers there is one that it does not, `quantile`: an empirical quantile of each node's
own gaps, with a floor and a cap,

    silence = clip(factor · Q_q(last n gaps), floor, cap · floor)

of which the floor is the knob.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, NoReturn

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from heartbench.analysis.fronts import FLAPS, Family, Outcome, best_settings, families, outcome
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.policies import ARRAY_FORMS, Arrivals
from heartbench.analysis.simulated import simulate_gaps
from heartbench.hub import Chen, PolicySpec, written
from heartbench.simulator.scenario import load_scenario

INTERVAL_S = 10.0
HOURS = 24
GOALS_S = (30.0, 45.0, 60.0, 90.0)
PROFILES = ("wireguard-5g", "lte")


@dataclass(frozen=True, slots=True)
class EmpiricalQuantile:
    """Parameters of `quantile`, only over arrays."""

    name: ClassVar[str] = "quantile"

    floor_s: float
    share: float  # q
    window: int  # n
    factor: float
    cap: float  # in floors

    def detector(self, interval_s: float) -> NoReturn:
        """Raise NotImplementedError: the hub does not offer it."""
        raise NotImplementedError

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the floor, s."""
        return self.floor_s


def quantile_silence(parameters: EmpiricalQuantile, arrivals: Callable[[], Arrivals]) -> NDArray[np.float64]:
    """Return the silence allowed after each arrival, s; shape (m,)."""
    seen = arrivals()
    silence_s = np.empty(len(seen.at_s))
    for begin, end in zip(seen.first[:-1], seen.first[1:], strict=True):
        gaps_s = pd.Series(np.diff(seen.at_s[begin:end], prepend=np.nan))
        rolling = gaps_s.rolling(parameters.window, min_periods=1)
        silence_s[begin:end] = rolling.max() if parameters.share == 1 else rolling.quantile(parameters.share)
    floor_s = parameters.floor_s
    return np.clip(parameters.factor * np.nan_to_num(silence_s), floor_s, parameters.cap * floor_s)


ARRAY_FORMS[EmpiricalQuantile.name] = quantile_silence


def quantiles() -> Iterator[Family]:
    """Yield the families of `quantile`."""
    for share, window, factor, cap in (
        (1.0, 360, 1.0, 2.0),
        (0.995, 3000, 2.0, 4.0),
        (0.9, 30, 2.0, 2.0),
    ):
        with_floor = partial(EmpiricalQuantile, share=share, window=window, factor=factor, cap=cap)
        yield Family(EmpiricalQuantile.name, with_floor, INTERVAL_S / 10, 100 * INTERVAL_S)


def a_day(profile: str, jitter: float, seed: int, nodes: int) -> tuple[Gaps, float]:
    """Return the gaps of a simulated day of `nodes` nodes on a profile, and its length, s."""
    group = {"nodes": nodes, "profile": profile, "heartbeat_jitter": jitter}
    changes = [f"group.edge.{key}={value}" for key, value in group.items()]
    scenario = load_scenario("wireguard-5g", [*changes, f"seed={seed}", f"duration={HOURS}h"])
    needing_arrivals = PolicySpec(Chen(0.0), FLAPS)
    gaps, _ = simulate_gaps(scenario, policies=[needing_arrivals])
    return gaps, scenario.duration_s


def named(found: Outcome) -> str:
    """Return a detector as it is written in the settings, with three digits."""
    parameters = found.parameters
    if isinstance(parameters, EmpiricalQuantile):
        p = parameters
        return f"quantile q={p.share:g} n={p.window} factor={p.factor:g} floor={p.floor_s:.3g}s cap={p.cap:g}"
    words = written(parameters).split()
    return " ".join(words[:1] + [_rounded(word) for word in words[1:]])


def _rounded(word: str) -> str:
    key, _, value = word.partition("=")
    unit = "s" if value.endswith("s") else ""
    number = float(value.removesuffix("s"))
    return f"{key}={number:.0f}{unit}" if number >= 1000 else f"{key}={number:.3g}{unit}"


def table(profile: str, jitter: float, nodes: int, set_on: int, seed: int) -> Iterator[str]:
    """Yield the rows of a profile in Markdown."""
    set_gaps, duration_s = a_day(profile, jitter, seed, set_on)
    gaps, _ = a_day(profile, jitter, seed + 1, nodes)
    tried = [*families(INTERVAL_S), *quantiles()]
    for goal_s in GOALS_S:
        best = best_settings(set_gaps, tried, goal_s, duration_s)
        judged = {name: outcome(gaps, each.parameters, duration_s) for name, each in best.items()}
        for found in judged.values():
            rate, low, high = found.per_node_day
            less = found.less(judged["fixed"]) if found is not judged["fixed"] else None
            against = "" if less is None else f"{less[0]:+.3g} to {less[1]:+.3g}"
            yield (
                f"| {profile} | {goal_s:g} s | `{named(found)}` | {found.detection_s:.1f} s |"
                f" {found.mistakes.sum()} | {rate:.3g} ({low:.3g} to {high:.3g}) | {against} |"
            )


HEAD = """\
| profile | goal | detector, as it was set | detection p99 | false stales | per node-day (95%) | fewer than fixed |
| --- | ---: | --- | ---: | ---: | ---: | ---: |"""


def main(
    nodes: int = 100,
    set_on: Annotated[int, typer.Option(help="Nodes of the day on which detectors are set.")] = 20,
    seed: int = 1,
    jitter: Annotated[float, typer.Option(help="Share by which each interval between heartbeats may vary.")] = 0.1,
    profile: Annotated[list[str] | None, typer.Option(help="Default: two of the shipped ones.")] = None,
) -> None:
    """Print the table."""
    print(HEAD, flush=True)
    for each in profile or PROFILES:
        for line in table(each, jitter, nodes, set_on, seed):
            print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
