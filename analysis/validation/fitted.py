"""Whether a fit recovers the network that made its log.

    python -m heartbench.analysis.validation.fitted --seeds 100 --out results/reference/fit/recovered.md

Each shipped profile is pinged for a day, once per second, with a seed of its own; `heartbench profiles fit` is told
nothing but the round trips. A figure is recovered if its interval contains the true one. A figure without an interval
is not determined by round trips once a second, and the fit says so. The false stales at 30, 60 and 90 s follow from the
observed outages as in `heartbench tune`; the true ones are counted in a long simulation of the shipped profile. That
count has an interval of its own: of few events it is wide, and none in 3,000 node-days is no rate of 0. The network's
interval agrees with the count if the two overlap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from heartbench.analysis.evidence import policies_at
from heartbench.analysis.fit import Fit, fit_recording
from heartbench.analysis.fit.labels import label_of
from heartbench.analysis.fit.stated import stated, tail_at
from heartbench.analysis.intervals import LEVEL, poisson_interval
from heartbench.analysis.networks import SIMULATED_NODE_DAYS, alone, response_of
from heartbench.analysis.posterior import draw_networks
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.response import Response
from heartbench.analysis.simulated import simulate_gaps
from heartbench.analysis.validation.coverage import THRESHOLDS_S
from heartbench.hub import HubSettings
from heartbench.simulator.ping import dropping, record, survey
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.scenario import Scenario, load_scenario

Floats = NDArray[np.float64]

TRUTH_NODES, TRUTH_RUNS = 500, 6
HEAD = """\
| profile | figure | true | interval contains it | not determined | median interval |
| --- | --- | ---: | ---: | ---: | ---: |"""

STALE_HEAD = """\
| threshold | false stales counted in node-days | true rate per node-day (95%) | network's interval contains the rate \
| overlaps its interval | median interval |
| ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True, slots=True)
class Truth:
    """A network as it is.

    Attributes:
        profile: its profile.
        rtt_s: sorted round trips of pings on many of its links that no outage held. Their quantiles are not quite the
            sums of both ways', because the radio changes while a ping is under way.
    """

    profile: Profile
    rtt_s: Floats

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Return the truth about a profile's network."""
        return cls(profile, survey(dropping(profile), DAY_S).rtt_s)


def truth(network: Truth, fit: Fit, name: str) -> float | None:
    """Return the true value of a figure; None: the network has none."""
    profile = network.profile
    if name.startswith("rtt_p"):
        return float(np.quantile(network.rtt_s, float(name.removeprefix("rtt_p")) / 100))
    tail = tail_at(profile, fit.from_s)
    if tail is not None and name in {"outage.shape", "outage.scale"}:
        return tail[0 if name == "outage.shape" else 1]
    return stated(profile, [name])[name].value


def judge(name: str, network: Truth, seed: int, fit: Fit) -> Iterator[dict[str, object]]:
    """Yield a row for each figure of a fit: its true value, its interval, and whether it contains the value."""
    for figure, estimate in fit.parameters.items():
        true, ci = truth(network, fit, figure), estimate.ci
        # What the network does not have, the fit must not claim to know.
        within = ci is not None and true is not None and ci[0] <= true * (1 + 1e-9) and true * (1 - 1e-9) <= ci[1]
        low, high = ci or (np.nan, np.nan)
        row = {"profile": name, "seed": seed, "figure": figure, "true": true, "low": low, "high": high}
        yield row | {"within": within, "unknown": ci is None, "wrong": not within and not (ci is None or true is None)}


def lines(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the table in Markdown, and how many seeds had no wrong interval at all."""
    yield HEAD
    for key, each in rows.groupby(["profile", "figure"], sort=False):
        name, figure = map(str, key)
        label = label_of(figure)
        true = each.true.iloc[0]
        known = each[~each.unknown]
        ends = (known.low.median(), known.high.median())
        interval = f"{label.write(ends[0])} to {label.write(ends[1])}" if len(known) else "–"
        yield (
            f"| {name} | {label.full} | {label.write(None if pd.isna(true) else true)} | {each.within.sum()} of "
            f"{len(each)} | {each.unknown.sum()} | {interval} |"
        )
    yield ""
    for profile, each in rows.groupby("profile", sort=False):
        right = ~each.groupby("seed").wrong.any()
        yield f"{profile!s}: every interval contains the true value in {right.sum()} of {len(right)} seeds.  "


def mobile_fleet(profile: str) -> Scenario:
    """Return the fleet of `wireguard-5g` for a day on another profile."""
    return load_scenario("wireguard-5g", [f"group.edge.profile={profile}", f"duration={DAY_S:g}s"])


def false_stales(name: str, fits: list[Fit]) -> Iterator[str]:
    """Yield a table: how often the network's interval of a fit contains the true rate of false stales."""
    scenario = mobile_fleet(name)
    (group,) = scenario.group
    policies = policies_at([*THRESHOLDS_S, 135.0], HubSettings.of())
    observed = fits[0].profile.outage.observed
    if observed is None:
        return
    counts, node_days = np.zeros(len(THRESHOLDS_S)), 0.0
    for seed in range(TRUTH_RUNS):
        fleet = alone(scenario, group, DAY_S, TRUTH_NODES).model_copy(update={"seed": 1000 + seed})
        gaps, _ = simulate_gaps(fleet)
        counts += [np.count_nonzero(gaps.up_s > each) for each in THRESHOLDS_S]
        node_days += float(gaps.up_s.sum()) / DAY_S
    # The effect of one outage of each length is the same whatever a fit found; how many there are is the fit's.
    response = response_of(alone(scenario, group, DAY_S, int(SIMULATED_NODE_DAYS)), observed, policies)
    covered = np.array([_interval(response, fit, seed) for seed, fit in enumerate(fits)])
    yield from rate_lines(counts, node_days, covered)


def rate_lines(counts: np.ndarray, node_days: float, covered: np.ndarray) -> Iterator[str]:
    """Yield a table of the false stales at each of THRESHOLDS_S.

    Args:
        counts: true false stales that were counted in `node_days`.
        node_days: time in which they were counted, days.
        covered: ends of the network's interval of each fit, per node-day; shape (fits, 2, thresholds and more).
    """
    yield STALE_HEAD
    ends = poisson_interval(counts) / node_days
    for k, threshold in enumerate(THRESHOLDS_S):
        true, (least, most) = counts[k] / node_days, ends[k]
        low, high = covered[:, 0, k], covered[:, 1, k]
        contains, overlaps = (low <= true) & (true <= high), (low <= most) & (least <= high)
        yield (
            f"| {threshold:g} s | {counts[k]:g} in {node_days:,.0f} | {true:.3g} ({least:.3g} to {most:.3g}) | "
            f"{contains.sum()} of {len(covered)} | {overlaps.sum()} of {len(covered)} | {np.median(low):.3g} to "
            f"{np.median(high):.3g} |"
        )


def _interval(response: Response, fit: Fit, seed: int) -> np.ndarray:
    observed = fit.profile.outage.observed
    if observed is None:
        raise ValueError("a fit states what it observed")
    drawn = response.false_stale_per_node_day(draw_networks(observed, seed))
    return np.asarray(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))


def main(
    seeds: int = 100,
    hours: float = 24.0,
    profile: Annotated[list[str] | None, typer.Option(help="Profiles to try. Default: all that are shipped.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the tables. Default: print them.")] = None,
) -> None:
    """Print how often a fit recovers each figure of the shipped profiles."""
    rows: list[dict[str, object]] = []
    stales: list[str] = []
    for name in profile or PROFILES.names():
        shipped = load_profile(name)
        network, fits = Truth.of(shipped), []
        for seed in range(seeds):
            fits.append(fit_recording(record(shipped, hours * 3600, seed)))
            rows += judge(name, network, seed, fits[-1])
        if shipped.outage.knots:
            stales += ["", f"False stales, {name}:", "", *false_stales(name, fits)]
    text = "\n".join([f"{seeds} seeds, {hours:g} h each.", "", *lines(pd.DataFrame(rows)), *stales]) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
