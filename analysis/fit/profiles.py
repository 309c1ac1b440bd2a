"""Makes the profile of a fitted network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.fit.delays import Delays
from heartbench.analysis.fit.losses import Losses
from heartbench.analysis.fit.model import Estimate
from heartbench.analysis.fit.outages import Found
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.outages import NO_TIME_BETWEEN, Outages
from heartbench.simulator.profile import Profile
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import FEWEST_LENGTHS
from heartbench.simulator.tomlfile import validate
from heartbench.simulator.units import format_duration

LEAST_SHARE = 0.001
"""Share of the packets that are about as fast as the fastest."""
SHORTEST_BURST_S = 0.001


def make_profile(
    recording: Recording,
    delays: Delays,
    ways: tuple[Delays, Delays] | None,
    losses: Losses,
    found: Found,
    parameters: Mapping[str, Estimate],
) -> Profile:
    """Return the profile; without one-way delays each direction has half of the round trip.

    Raises:
        AnalysisError: so many probes were lost that the outages fill the time.
    """
    up, down = ways or (delays, delays)
    half = 1.0 if ways else 0.5
    loss = _loss(losses)
    data: dict[str, Any] = {
        "summary": f"Fitted to {recording.hours:.3g} h of probes",
        "jitter_correlation": duration(max(round(parameters["jitter_correlation"].value or 1.0, 3), 0.001)),
        "up": _direction(up, half) | loss,
        "down": _direction(down, half) | loss,
    }
    if _value(parameters, "jitter_slow_share") > 0:
        data["jitter_slow_share"] = round(_value(parameters, "jitter_slow_share"), 3)
        data["jitter_slow_correlation"] = duration(round(_value(parameters, "jitter_slow_correlation"), 3))
    outage = _outage(found, recording.hours, parameters)
    _check_time_between(outage, recording)
    return validate(Profile, data | {"outage": outage}, "fitted profile")


def _check_time_between(outage: Mapping[str, Any], recording: Recording) -> None:
    try:
        validate(Outages, outage, "outage")
    except SimulatorError as error:
        if NO_TIME_BETWEEN not in str(error):
            raise
        raise AnalysisError(
            f"{recording.source}: {recording.lost / recording.probes:.1%} of {recording.probes:,} probes were lost, "
            "too many for outages with time between them; fit a log of a time when the link answered most probes"
        ) from error


def _value(parameters: Mapping[str, Estimate], name: str) -> float:
    return parameters[name].value or 0.0


def _direction(delays: Delays, part: float) -> dict[str, Any]:
    base = max(0.0, round((delays.least.value or 0.0) * part, 6))  # clocks that differ give delays below 0
    extra = [duration(max(0.0, round(value * part - base, 6))) for value in delays.curve.values()]
    pairs = [(LEAST_SHARE, "0s"), *zip(delays.curve, extra, strict=True)]
    return {"base_delay": duration(base), "jitter": pairs}


def duration(seconds: float) -> str:
    """Return a duration as a file states it, in ms where it is less than a second."""
    return format_duration(seconds) if seconds >= 1 or not seconds else f"{seconds * 1000:.10g}ms"


def _loss(losses: Losses) -> dict[str, Any]:
    good = float(f"{losses.good:.3g}")
    if not np.isfinite(losses.good_s):
        return {"loss": {"good": good}} if good else {}
    good_s, bad_s = (duration(max(round(each, 3), SHORTEST_BURST_S)) for each in (losses.good_s, losses.bad_s))
    return {"loss": {"good": good, "bad": round(losses.bad, 3), "good_mean": good_s, "bad_mean": bad_s}}


def _outage(found: Found, hours: float, parameters: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return the table of outages: rates of the short ones, and the long ones one by one."""
    observed: dict[str, Any] = {
        "hours": float(f"{hours:.6g}"),
        "from": duration(round(found.from_s, 6)),
        "resolution": duration(round(found.step_s, 6)),
    }
    if found.tail is None:
        return {"observed": observed | {"lengths": []}}
    lengths, cut = found.ended_s.tolist(), found.cut_s.tolist()
    knots = {_seconds(name): estimate for name, estimate in parameters.items() if name.startswith("outage.per_hour.")}
    shorter = [(knot, estimate.value) for knot, estimate in sorted(knots.items())[:-1] if estimate.value]
    rates = [(duration(round(knot, 6)), float(f"{value:.4g}")) for knot, value in shorter]
    table: dict[str, Any] = {"rates": rates} if rates else {}
    if len(lengths) < FEWEST_LENGTHS:
        table |= {"shape": found.tail.shape, "scale": found.tail.scale_s}
    hold, down = (_value(parameters, f"outage.{key}") for key in ("hold", "down"))
    table |= {"hold": round(hold, 4)} if hold else {}
    table |= {"directions": {"down": round(down, 4)}} if down else {}
    return table | {"observed": observed | {"lengths": lengths} | ({"cut": cut} if cut else {})}


def _seconds(name: str) -> float:
    return float(name.rpartition(".per_hour.")[2].removesuffix("s"))
