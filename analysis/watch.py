"""One pass over the gaps of a trace as hubs with k policies: which gaps make a node stale, and which changes flash.

A gap makes a node stale if it is longer than the silence that the policy allows after the sign of life which begins it.
Policies that allow the same silence after every arrival are sorted by it: the first one that a gap does not exceed ends
the look at them. The others are looked at one by one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, Absences, allowed_s, away_between
from heartbench.analysis.policies.array_forms import Silence
from heartbench.hub.liveness.rules import FlapRule
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

WATCHER = np.dtype(
    [
        ("silence_s", np.float64),  # allowed after every arrival
        ("column", np.int64),  # of the policy in the results
        ("window_s", np.float64),
        ("enter", np.int64),
        ("leave", np.int64),
        # of the node that is watched
        ("flaps_of_node", np.int64),
        ("flapping", np.bool_),
        ("was_flapping", np.bool_),
        # of all nodes
        ("flaps", np.int64),
        ("flashes", np.int64),
        ("entries", np.int64),
        ("flapping_nodes", np.int64),
    ],
    align=True,
)
"""A hub in the kernel. One record per hub is ten times as fast as one array per field: calls pass one pointer."""


def watchers(silences: Sequence[Silence], rules: Sequence[FlapRule]) -> tuple[Any, Floats, Floats]:
    """Return the hubs that watch.

    Returns:
        Records of WATCHER, those with a constant silence first, by that silence. For each a ring of the times of its
        last flaps (its length is a power of two, which saves a division). The silences of the others; shape (j, gaps).
    """
    constant = [k for k, silence in enumerate(silences) if not isinstance(silence, np.ndarray)]
    varying = [k for k, silence in enumerate(silences) if isinstance(silence, np.ndarray)]
    order = [*sorted(constant, key=silences.__getitem__), *varying]
    hubs: Any = np.zeros(len(order), WATCHER).view(np.recarray)
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
    first: Counts,
    start_s: Floats,
    length_s: Floats,
    up_s: Floats,
    heard: NDArray[np.bool_],
    away: NDArray[np.bool_],
    absences: Absences,
    rules: AbsenceRules,
    row: Counts,
    block_s: float,
    hubs: Any,
    recent: Floats,
    varying_s: Floats,
    watched_s: Floats,
    mistakes: NDArray[np.int32],
    mistake_s: Floats,
) -> None:
    """Walk through the gaps as each of the hubs would; adds to `hubs`, `watched_s`, `mistakes` and `mistake_s`.

    A gap counts in the block of time in which it begins.
    """
    constant = len(hubs) - len(varying_s)
    for node in range(len(first) - 1):
        for k in range(len(hubs)):
            begin_node(hubs[k])
        absence = 0
        for gap in range(first[node], first[node + 1]):
            end = start_s[gap] + length_s[gap]
            while absence < len(absences.to_s) and absences.to_s[absence] <= start_s[gap]:
                absence += 1
            is_excused = absence < len(absences.to_s) and absences.from_s[absence] < end
            block = min(max(int(start_s[gap] / block_s), 0), watched_s.shape[1] - 1)
            watched_s[row[node], block] += up_s[gap]
            if is_excused:
                watched_s[row[node], block] -= away_between(absences, absence, start_s[gap], start_s[gap] + up_s[gap])
            if away[gap]:
                for k in range(len(hubs)):
                    leave_and_return(hubs[k], recent[k], start_s[gap], end, heard[gap])
                continue
            k = 0
            while k < len(hubs):
                silence = hubs[k].silence_s if k < constant else varying_s[k - constant, gap]
                if is_excused:
                    silence = allowed_s(silence, start_s[gap], end, absences, rules, absence)
                elif silence >= length_s[gap] and k < constant:
                    k = constant
                    continue
                if silence < length_s[gap]:
                    if silence < up_s[gap]:
                        away_s = away_between(absences, absence, start_s[gap] + silence, start_s[gap] + up_s[gap])
                        mistakes[row[node], block, hubs[k].column] += 1
                        mistake_s[hubs[k].column] += up_s[gap] - silence - away_s
                    flap(hubs[k], recent[k], start_s[gap] + silence)
                    if heard[gap] and not away[gap + 1]:  # a Goodbye takes a stale node offline: no flap
                        flap(hubs[k], recent[k], end)
                k += 1


@kernel
def begin_node(hub: Any) -> None:
    """Forget the flaps of the node before."""
    hub.flaps_of_node = 0
    hub.flapping = False
    hub.was_flapping = False


@kernel
def leave_and_return(hub: Any, recent: Floats, left: float, returned: float, heard: bool) -> None:
    """Count the flashes of a Goodbye and of the Hello after it."""
    end_flapping(hub, recent, left)
    hub.flashes += not hub.flapping
    if heard:
        end_flapping(hub, recent, returned)
        hub.flashes += not hub.flapping


@kernel
def flap(hub: Any, recent: Floats, at: float) -> None:
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
def end_flapping(hub: Any, recent: Floats, at: float) -> None:
    """End the flapping if fewer than `leave` flaps are remembered at `at`."""
    if hub.flapping:
        hub.flapping = recent[(hub.flaps_of_node - hub.leave) & (len(recent) - 1)] + hub.window_s > at
