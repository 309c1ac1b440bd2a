"""Resolved profiles and scenarios: all keys with their defaults, and figures derived from them.

The figures are TOML comments, so the output is a valid file.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tomlkit
from numpy.typing import NDArray

from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.outages import HOUR_S
from heartbench.simulator.profile import Profile
from heartbench.simulator.replay import Replay
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.units import format_duration

QUANTILES = (0.05, 0.5, 0.9, 0.95, 0.99)
LENGTHS_S = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)


def link_figures(link: Profile | Replay) -> dict[str, object]:
    """Return the figures of a link.

    `rtt_s` by quantile, `outages_per_hour` by shortest length in s, `out_of_service` as a share of time.
    """
    rates = outages_per_hour(link)
    return {
        "rtt_s": rtt_s(link),
        "outages_per_hour": {f"{length:g}": rate for length, rate in rates.items()},
        "out_of_service": out_of_service(link),
    }


def out_of_service(link: Profile | Replay) -> float:
    """Return the share of time in which outages cut a link."""
    if isinstance(link, Replay):
        return float(link.outage_lengths_s().sum()) / link.observed_s
    return link.outage.out_fraction


def outages_per_hour(link: Profile | Replay) -> dict[float, float]:
    """Return the outages per hour of at least each of LENGTHS_S: the recorded, or by the table that is drawn from."""
    if isinstance(link, Replay):
        lengths_s, hours = link.outage_lengths_s(), link.observed_s / HOUR_S
        return {length: float((lengths_s >= length).sum()) / hours for length in LENGTHS_S}
    outage = link.outage
    if not outage.per_hour:
        return dict.fromkeys(LENGTHS_S, 0.0)
    table = outage.lengths_s()
    return {length: outage.per_hour * share_of_at_least(length, table) for length in LENGTHS_S}


def share_of_at_least(length_s: float, table: NDArray[np.float64]) -> float:
    """Return the share of outages of `length_s` or more; a share exp(−OUTAGE_E) exceeds the lengths of `table`."""
    after = int(np.searchsorted(table, length_s))
    if after == 0:
        return 1.0
    if after == len(table):
        return 0.0  # the link draws no longer one
    score = np.interp(length_s, table[after - 1 : after + 1], OUTAGE_E[after - 1 : after + 1])
    return math.exp(-score)


def by_quantile(values: Iterable[float]) -> dict[str, float]:
    """Return the values of QUANTILES by their names, such as p99."""
    return {f"p{p * 100:g}": float(value) for p, value in zip(QUANTILES, values, strict=True)}


def rtt_s(link: Profile | Replay) -> dict[str, float]:
    """Return the quantiles of the round-trip time of a link, s."""
    return by_quantile(link.rtt_quantile(np.array(QUANTILES)))


def profile_text(profile: Profile) -> str:
    """Return a profile as TOML with every key, and the figures of its link."""
    return tomlkit.dumps(profile.to_data()) + comments(["", "Figures of the link:", *link_lines(profile)])


def scenario_text(scenario: Scenario) -> str:
    """Return a scenario as TOML with every key, the figures of its links, and all settings of its hub."""
    lines = []
    for group in scenario.group:
        lines += ["", f"Figures of the link of group {group.name}:", *link_lines(group.link)]
    lines += ["", "All settings of the hub:", *setting_lines(scenario.hub_settings().model_dump(mode="json"))]
    return scenario.to_toml(whole_links=True) + comments(lines)


def link_lines(link: Profile | Replay) -> Iterator[str]:
    """Yield the figures of a link, one per line."""
    shown = (f"{name} {value * 1000:.3g} ms" for name, value in rtt_s(link).items())
    yield f"  RTT                        {' · '.join(shown)}"
    for length, rate in outages_per_hour(link).items():
        label = f"outages ≥ {format_duration(length)} per hour"
        yield f"  {label:27}{rate:.3g}" + (f"    (one in {1 / rate:,.3g} h)" if 0 < rate < 1 else "")
    yield f"  out of service             {out_of_service(link):.3%} of the time"
    if isinstance(link, Profile):
        warning = "" if link.outage.observed else ": long thresholds cannot be tuned with this profile"
        yield f"  outages observed           {counted(link)}{warning}"
    else:
        yield f"  outages recorded           {len(link.outage_lengths_s())} in {link.observed_s / HOUR_S:.3g} h"


def counted(profile: Profile) -> str:
    """Return how many outages of the network were counted, and in which time."""
    observed = profile.outage.observed
    return "none" if observed is None else f"{observed.count} in {observed.hours:g} h"


def setting_lines(settings: Mapping[str, object]) -> Iterator[str]:
    """Yield settings, one per line."""
    for name, value in settings.items():
        yield f"  {name} = {'' if value is None else value}".rstrip()


def comments(lines: list[str]) -> str:
    """Return lines as TOML comments."""
    return "".join(f"# {line}".rstrip() + "\n" if line else "\n" for line in lines)
