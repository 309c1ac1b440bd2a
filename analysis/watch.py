"""One pass over the gaps of a trace as hubs with k policies: which gaps make a node stale, and which changes flash.

A gap makes a node stale if it is longer than the silence that the policy allows after the sign of life which begins it.
Policies that allow the same silence after every arrival are sorted by it: the first one that a gap does not exceed ends
the look at them. The others are looked at one by one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, Absences, allowed_s, away_between
from heartbench.analysis.policies.array_forms import Silence
from heartbench.hub import FlapRule
from heartbench.simulator.kernel import kernel
from heartbench.simulator.record import Record, dtype_of, resetter

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Silences(NamedTuple):
    """Gaps as the kernel takes them, see `Gaps`; `row` is each node's row of the results."""

    first: Counts
    start_s: Floats
    length_s: Floats
    up_s: Floats
    heard: NDArray[np.bool_]
    away: NDArray[np.bool_]
    row: Counts


class Found(NamedTuple):
    """Results by row, block of time and policy, which the kernel adds to: see `up_s` and so on of `Qos`."""

    up_s: Floats
    mistakes: NDArray[np.int32]
    mistake_s: Floats


class Watcher(Record):
    """A hub in the kernel. One record per hub is ten times as fast as one array per field: calls pass one pointer."""

    silence_s: float  # allowed after every arrival
    column: int  # of the policy in the results
    window_s: float
    enter: int
    leave: int
    # of the node that is watched
    flaps_of_node: int = 0
    flapping: bool = False
    was_flapping: bool = False
    # of all nodes
    flaps: int
    flashes: int
    entries: int
    flapping_nodes: int


_forget_node = resetter(Watcher)


def watchers(silences: Sequence[Silence], rules: Sequence[FlapRule]) -> tuple[Any, Floats, Floats]:
    """Return the hubs that watch.

    Returns:
        Records of Watcher, those with a constant silence first, by that silence. For each a ring of the times of its
        last flaps (its length is a power of two, which saves a division). The silences of the others; shape (j, gaps).
    """
    constant = [k for k, silence in enumerate(silences) if not isinstance(silence, np.ndarray)]
    varying = [k for k, silence in enumerate(silences) if isinstance(silence, np.ndarray)]
    order = [*sorted(constant, key=silences.__getitem__), *varying]
    hubs: Any = np.zeros(len(order), dtype_of(Watcher)).view(np.recarray)
    hubs.column = order
    hubs.silence_s[: len(constant)] = [silences[k] for k in order[: len(constant)]]
    hubs.window_s = [rules[k].window_s for k in order]
    hubs.enter = [rules[k].threshold for k in order]
    hubs.leave = [rules[k].exit_below for k in order]
    longest = max(rule.threshold for rule in rules)
    varying_s = np.array([silences[k] for k in varying]) if varying else np.zeros((0, 0))
    return hubs, np.zeros((len(hubs), 1 << (longest - 1).bit_length())), varying_s


@kernel
def watch(
    gaps: Silences,
    absences: Absences,
    rules: AbsenceRules,
    block_s: float,
    hubs: Any,
    recent: Floats,
    varying_s: Floats,
    found: Found,
) -> None:
    """Walk through the gaps as each of the hubs would; add to `hubs` and `found`.

    A gap counts in the block of time in which it begins.
    """
    constant = len(hubs) - len(varying_s)
    for node in range(len(gaps.first) - 1):
        row, absence = gaps.row[node], 0
        for k in range(len(hubs)):
            _forget_node(hubs[k])
        for gap in range(gaps.first[node], gaps.first[node + 1]):
            start, length, up = gaps.start_s[gap], gaps.length_s[gap], gaps.up_s[gap]
            while absence < len(absences.to_s) and absences.to_s[absence] <= start:
                absence += 1
            is_excused = absence < len(absences.to_s) and absences.from_s[absence] < start + length
            block = min(max(int(start / block_s), 0), found.up_s.shape[1] - 1)
            found.up_s[row, block] += up
            if is_excused:
                found.up_s[row, block] -= away_between(absences, absence, start, start + up)
            if gaps.away[gap]:
                for k in range(len(hubs)):
                    leave_and_return(hubs[k], recent[k], start, start + length, gaps.heard[gap])
                continue
            k = 0
            while k < len(hubs):
                silence = hubs[k].silence_s if k < constant else varying_s[k - constant, gap]
                if is_excused:
                    silence = allowed_s(silence, start, start + length, absences, rules, absence)
                elif silence >= length and k < constant:
                    k = constant
                    continue
                if silence < length:
                    if silence < up:
                        away_s = away_between(absences, absence, start + silence, start + up)
                        found.mistakes[row, block, hubs[k].column] += 1
                        found.mistake_s[hubs[k].column] += up - silence - away_s
                    flap(hubs[k], recent[k], start + silence)
                    if gaps.heard[gap] and not gaps.away[gap + 1]:  # a Goodbye takes a stale node offline: no flap
                        flap(hubs[k], recent[k], start + length)
                k += 1


@kernel
def leave_and_return(hub: Watcher, recent: Floats, left: float, returned: float, heard: bool) -> None:
    """Count the flashes of a Goodbye and of the Hello after it."""
    end_flapping(hub, recent, left)
    hub.flashes += not hub.flapping
    if heard:
        end_flapping(hub, recent, returned)
        hub.flashes += not hub.flapping


@kernel
def flap(hub: Watcher, recent: Floats, at: float) -> None:
    """Count a change between online and stale."""
    end_flapping(hub, recent, at)
    hub.flaps += 1
    hub.flashes += not hub.flapping
    recent[hub.flaps_of_node & (len(recent) - 1)] = at
    hub.flaps_of_node += 1
    if hub.flaps_of_node >= hub.enter and not hub.flapping:
        hub.flapping = recent[(hub.flaps_of_node - hub.enter) & (len(recent) - 1)] + hub.window_s > at
        hub.entries += hub.flapping
        hub.flapping_nodes += hub.flapping and not hub.was_flapping
        hub.was_flapping |= hub.flapping


@kernel
def end_flapping(hub: Watcher, recent: Floats, at: float) -> None:
    """End the flapping if fewer than `leave` flaps are remembered at `at`."""
    if hub.flapping:
        hub.flapping = recent[(hub.flaps_of_node - hub.leave) & (len(recent) - 1)] + hub.window_s > at
