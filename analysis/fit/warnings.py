"""What a fit assumed, and what its recording cannot say: a sentence each."""

from collections.abc import Iterator, Mapping

import numpy as np

from heartbench.analysis.fit.delays import SHARES, Delays
from heartbench.analysis.fit.model import Estimate
from heartbench.analysis.fit.outages import Found
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import FEWEST_LENGTHS
from heartbench.simulator.units import format_duration


def warnings_of(
    recording: Recording, found: Found, parameters: Mapping[str, Estimate], delays: Delays
) -> Iterator[str]:
    """Yield the warnings of a fit."""
    yield from recording.assumptions
    yield from _direction(recording)
    yield from _outages(recording, found)
    yield from _tail(found, parameters)
    yield from _radio(recording, parameters, delays)
    names = ["loss.good_mean", "loss.bad_mean", "loss.bad"]
    if any(parameters[name].value is not None and parameters[name].ci is None for name in names):
        yield "loss bursts cannot be told from single losses at this probe interval: the values are a guess"
    elif all(parameters[name].value is None for name in names) and parameters["loss.good"].value:
        yield "no loss bursts were seen: lost probes outside outages count as independent"


def _direction(recording: Recording) -> Iterator[str]:
    if recording.up_s is None or recording.down_s is None:
        yield (
            "round trips do not tell the direction: each direction has half of the delay and the same loss, and every "
            "outage cuts both"
        )
    else:
        yield "of probes that were lost on the way up it is not known whether the way down was open"


def _outages(recording: Recording, found: Found) -> Iterator[str]:
    count, hours = len(found.runs), recording.hours
    yield (
        f"outages shorter than {format_duration(round(found.from_s, 3))} cannot be told from loss bursts one by one; "
        f"none that are longer than the recording, {hours:.3g} h, or rarer, can be seen"
    )
    cut = int(found.cut.sum())
    if cut:
        touch = "touches" if count == 1 else "touch"
        yield f"{cut} of {count} outages {touch} an end of the recording, or of a part: each lasted longer than is seen"
    before = count - int(found.counts.sum())
    if before:
        what = "does not count in the rates: it was" if before == 1 else "do not count in the rates: they were"
        yield f"{before} of {count} outages {what} on when a later part began"
    ended, counted_s = len(found.ended_s), found.length_s[found.counts]
    if not len(counted_s):
        began = "was seen" if not count else "was seen to begin"
        yield f"no outage {began} in {hours:.3g} h: this profile says nothing about thresholds longer than jitter"
    elif not ended:
        yield (
            "of no outage both ends were seen: the scale of the tail is a guess, as if one had lasted no longer than "
            "what was seen of all"
        )
    elif ended < FEWEST_LENGTHS:
        yield (
            f"{ended} whole {'outage is' if ended == 1 else 'outages are'} too few to fit the shape of the tail: "
            "it is assumed exponential"
        )
    else:
        longest = float(counted_s.max())
        beyond, half = int(np.count_nonzero(counted_s >= longest / 2)), format_duration(round(longest / 2, 1))
        yield (
            f"the tail rests on {len(counted_s)} outages, of which {beyond} lasted {half} or more; the longest lasted "
            f"{format_duration(round(longest, 1))}"
        )


def _tail(found: Found, parameters: Mapping[str, Estimate]) -> Iterator[str]:
    outside = [name for name in ("shape", "scale") if not parameters[f"outage.{name}"].plausible]
    if outside:
        step, are = format_duration(round(found.step_s, 3)), "are" if len(outside) > 1 else "is"
        yield (
            f"the tail takes each length as the middle of its step of {step}; so many outages show that this is not "
            f"exact: its {' and '.join(outside)} {are} outside the interval of what fits the probes"
        )


def _radio(recording: Recording, parameters: Mapping[str, Estimate], delays: Delays) -> Iterator[str]:
    fast = parameters["jitter_correlation"]
    if fast.ci and fast.ci[0] == 0:
        yield f"delays change faster than probes {format_duration(round(recording.interval_s, 3))} apart can follow"
    missing = [f"p{100 * share:g}" for share in SHARES if share not in delays.quantiles]
    if missing:
        yield f"round trips are too few to be sure of {', '.join(missing)}"
