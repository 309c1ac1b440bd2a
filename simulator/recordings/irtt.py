"""The JSON output of irtt (format 1): round trips with the times of both ends.

One-way delays are computed anew from the times, as `clocks` does: irtt's own are those of two clocks as they are. The
monotonic clocks are taken where both ends have them, because nothing sets them. `lost` is "true_up" or "true_down"
where irtt knows the way (`--stats=window`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.simulator.recordings.clocks import ASSUMED, fill_lost_answers, one_way_delays
from heartbench.simulator.recordings.lines import bad_line
from heartbench.simulator.recordings.listed import listed_recording
from heartbench.simulator.recordings.recording import Recording, Seconds

NS = 1e-9


def read_irtt(path: Path, text: Mapping[str, Any]) -> Recording:
    """Return the round trips of irtt's output."""
    trips = text["round_trips"]
    if not isinstance(trips, list) or not trips:
        raise bad_line(path, 1, "irtt recorded no round trips")
    try:
        clock = next(
            (clock for clock in ("monotonic", "wall") if times(trips, "server", "receive", clock) is not None), None
        )
        sent_s = times(trips, "client", "send", "monotonic")
        rtt_s = np.array([trip["delay"].get("rtt", np.nan) for trip in trips]) * NS
        began_s = trips[0]["timestamps"]["client"]["send"]["wall"] * NS
        up_s, down_s = (None, None) if clock is None else delays(trips, clock)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise bad_line(path, 1, f"round trips of irtt without {error}; known is irtt's json_format 1") from error
    if sent_s is None or np.isnan(sent_s).any() or (np.diff(sent_s) < 0).any():
        raise bad_line(path, 1, "round trips of irtt that are not in the order of sending")
    if (rtt_s < 0).any():
        raise bad_line(path, 1, "a round trip of irtt of less than 0")
    assumptions = () if up_s is None else (f"{path}: {ASSUMED}",)
    return listed_recording(str(path), sent_s, rtt_s, up_s, down_s, began_unix_s=began_s, assumptions=assumptions)


def delays(trips: Sequence[Mapping[str, Any]], clock: str) -> tuple[Seconds | None, Seconds | None]:
    """Return the delays up and down; None if the server did not write both of its times."""
    departed, arrived = times(trips, "client", "send", clock), times(trips, "server", "receive", clock)
    answered, returned = times(trips, "server", "send", clock), times(trips, "client", "receive", clock)
    if departed is None or arrived is None or answered is None or returned is None:
        return None, None
    up_s, down_s = one_way_delays(departed, arrived - departed, returned - answered)
    return fill_lost_answers(departed, up_s, np.array([trip["lost"] == "true_down" for trip in trips])), down_s


def times(trips: Sequence[Mapping[str, Any]], end: str, event: str, clock: str) -> Seconds | None:
    """Return the times of an event by a clock, in s since the first event of this end; None if there are none."""
    found = [trip["timestamps"][end][event].get(clock) for trip in trips]
    events = (trip["timestamps"][end][first].get(clock) for trip in trips for first in ("receive", "send"))
    zero = next((time for time in events if time is not None), None)
    if zero is None or all(time is None for time in found):
        return None
    return np.array([np.nan if time is None else (time - zero) * NS for time in found])
