"""Two networks side by side: profiles, or logs, which are fitted.

They differ in a figure if its intervals do not meet. A figure without an interval is exact if its profile states no
observed outages: the network is then what the profile says. That of a log, or of a profile with observed outages, is an
estimate of unknown accuracy, or an assumption, which no difference can rest on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heartbench.analysis.fit.fitting import fit_recording
from heartbench.analysis.fit.model import Estimate, Fit
from heartbench.analysis.fit.outages import rate_estimate
from heartbench.analysis.fit.stated import stated
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.recordings import read_recording

LENGTHS_S = (1, 3, 10, 30)
COMMON = (
    "rtt_least",
    *(f"rtt_p{share}" for share in ("5", "50", "90", "99", "99.9")),
    "jitter_correlation",
    "jitter_slow_share",
    "jitter_slow_correlation",
    *(f"loss.{name}" for name in ("good", "bad", "good_mean", "bad_mean")),
    *(f"outage.per_hour.{length}s" for length in LENGTHS_S),
    "outage.shape",
    "outage.scale",
    "outage.hold",
    "outage.down",
)
OF_THRESHOLD = {"outage.scale", "outage.hold"}
"""Figures of the outages beyond the shortest that is counted one by one: they depend on its length."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network by its profile, and by the figures of its fit, if it was fitted."""

    profile: Profile
    fitted: Fit | None

    @property
    def from_s(self) -> float:
        """The length from which on its outages have the tail, s; 0: it has none."""
        return self.profile.outage.knots[-1][0] if self.profile.outage.knots else 0.0

    @property
    def is_measured(self) -> bool:
        """Whether its figures are estimates."""
        return self.fitted is not None or self.profile.outage.observed is not None


def network(name_or_path: str) -> Network:
    """Return the network of a profile, by its name or TOML file, or of a log, which is fitted."""
    path = Path(name_or_path)
    if name_or_path in PROFILES.names() or path.suffix == ".toml" or not path.exists():
        return Network(load_profile(name_or_path), None)
    fit = fit_recording(read_recording([path]))
    return Network(fit.profile, fit)


Row = tuple[str, Estimate, Estimate, bool | None]


def side_by_side(first: Network, second: Network) -> list[Row]:
    """Return name, both figures, and whether they differ; None if that cannot be told."""
    left, right = (_figures(each) for each in (first, second))
    rows: list[Row] = []
    for name in COMMON:
        a, b = left[name], right[name]
        spans = _span(first, a), _span(second, b)
        unknown = (a.ci is None and b.ci is None) or (name in OF_THRESHOLD and first.from_s != second.from_s)
        rows.append((name, a, b, None if unknown else _differ(*spans)))
    return rows


def _figures(network: Network) -> Mapping[str, Estimate]:
    found = stated(network.profile, COMMON)
    if network.fitted is None:
        return found
    fitted = network.fitted.parameters
    return _allow_for_chance(network.fitted, found) | {name: fitted[name] for name in COMMON if name in fitted}


def _allow_for_chance(fit: Fit, found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the figures with the lower ends of long outages' rates as much lower as a fit puts that of all outages.

    Losses that meet by chance look like outages: a fit knows how many may be such, its profile does not.
    """
    observed = fit.profile.outage.observed
    alone = rate_estimate(observed.count, observed.hours).ci if observed else None
    whole = fit.parameters[f"outage.per_hour.{fit.from_s:.4g}s"].ci
    real = whole[0] / alone[0] if alone and whole and alone[0] else 1.0
    return {
        key: Estimate(each.value, (each.ci[0] * real, each.ci[1]))
        if each.ci and key.startswith("outage.per_hour.")
        else each
        for key, each in found.items()
    }


def _span(network: Network, figure: Estimate) -> tuple[float, float] | None:
    """Return between what a figure lies; None if it is not known."""
    if figure.value is None or figure.ci is not None or network.is_measured:
        return figure.ci
    return figure.value, figure.value


def _differ(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool | None:
    return None if a is None or b is None else a[0] > b[1] or b[0] > a[1]
