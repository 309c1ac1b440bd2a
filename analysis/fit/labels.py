"""Names of fitted figures for people: what it is, its unit, and how it and its interval are written."""

from dataclasses import dataclass

from heartbench.analysis.fit.model import Estimate

_TEXTS = {
    "jitter_correlation": ("the radio keeps its state for", "s"),
    "jitter_slow_share": ("share of the variance that is slow", ""),
    "jitter_slow_correlation": ("the slow state lasts", "s"),
    "loss.good": ("loss outside bursts, each way", "%"),
    "loss.bad": ("loss within a burst, each way", "%"),
    "loss.good_mean": ("time between bursts", "s"),
    "loss.bad_mean": ("length of a burst", "s"),
    "outage.shape": ("tail of the outages, shape", ""),
    "outage.scale": ("tail of the outages, scale", "s"),
    "outage.hold": ("outages that hold packets", "%"),
    "outage.down": ("outages of the way down alone", "%"),
}
_DELAYS = {"rtt": "round trip", "up.delay": "delay up", "down.delay": "delay down"}
_FACTORS = {"ms": 1000.0, "%": 100.0}


@dataclass(frozen=True, slots=True)
class Label:
    """What a figure is, and the unit in which it is written."""

    text: str
    unit: str

    @property
    def full(self) -> str:
        """Text and unit."""
        return f"{self.text}, {self.unit}" if self.unit else self.text

    def write(self, value: float | None) -> str:
        """Return a value with three digits, in the unit."""
        return "–" if value is None else f"{float(f'{value * _FACTORS.get(self.unit, 1.0):.3g}'):,.10g}"

    def interval(self, estimate: Estimate) -> str:
        """Return the interval of an estimate, in the unit."""
        if estimate.ci is None:
            return "not determined" if estimate.value is not None else "–"
        low, high = estimate.ci
        if high == float("inf"):
            return f"{self.write(low)} or more"
        return f"{self.write(low)} to {self.write(high)}"


def label_of(name: str) -> Label:
    """Return the label of a figure by its name in `Fit.parameters`."""
    if name in _TEXTS:
        return Label(*_TEXTS[name])
    if name.startswith("outage.per_hour."):
        length = name.rpartition(".per_hour.")[2].removesuffix("s")
        return Label(f"outages of {length} s or more, per hour", "")
    kind, _, which = name.rpartition("_")
    return Label(f"{_DELAYS[kind]}, {'least' if which == 'least' else which}", "ms")
