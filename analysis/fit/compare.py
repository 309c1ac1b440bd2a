"""Two networks side by side: profiles, or logs, which are fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heartbench.analysis.fit.fitting import fit_recording
from heartbench.analysis.fit.model import Estimate, Fit
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


@dataclass(frozen=True, slots=True)
class Network:
    """A network by its profile, and by the figures of its fit, if it was fitted."""

    profile: Profile
    fitted: Fit | None


def network(name_or_path: str) -> Network:
    """Return the network of a profile, by its name or TOML file, or of a log, which is fitted."""
    path = Path(name_or_path)
    if name_or_path in PROFILES.names() or path.suffix == ".toml" or not path.exists():
        return Network(load_profile(name_or_path), None)
    fit = fit_recording(read_recording([path]))
    return Network(fit.profile, fit)


Row = tuple[str, Estimate, Estimate, bool | None]


def side_by_side(first: Network, second: Network) -> list[Row]:
    """Return name, both figures, and whether they differ: their intervals do not meet; None if one has no interval."""
    left, right = (_figures(each) for each in (first, second))
    return [(name, left[name], right[name], _differ(left[name], right[name])) for name in COMMON]


def _figures(network: Network) -> Mapping[str, Estimate]:
    found = stated(network.profile, COMMON)
    fitted = network.fitted.parameters if network.fitted else {}
    return found | {name: fitted[name] for name in COMMON if name in fitted}


def _differ(a: Estimate, b: Estimate) -> bool | None:
    if a.value is None or b.value is None or (a.ci is None and b.ci is None):
        return None
    low, high = a.ci or (a.value, a.value)
    other_low, other_high = b.ci or (b.value, b.value)
    return low > other_high or other_low > high
