"""A scenario's fleet as the engines need it: the kernel records of each group, and the events of each node.

A fault hits those nodes of a group whose draws are least, as many as the fault states, so that a larger share always
includes a smaller one.

A node is off until its own start and while any fault keeps it down. So a fault before a node's start delays that start,
for ever if the fault has no end; a fault that is over by then has no effect.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import counter_rng
from heartbench.simulator.connection import HUB, HUB_DOWN, HUB_PAUSED, HUB_RUNS, MAX_HUB_FAULTS
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.cuts import FROM, TO, rows_of
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fault import CUTS, RESTART_S, End, Fault, FaultKind, HubFaultKind, Way
from heartbench.simulator.group import Group, TunnelKind
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import DOWN, MAX_PARTITIONS, UP
from heartbench.simulator.node import (
    BEHAVIOUR,
    CRASH,
    EXIT,
    HALF_OPEN,
    REBIND,
    RESET,
    RESET_AT_HUB,
    RESET_AT_NODE,
    START,
)
from heartbench.simulator.outages import HOUR_S
from heartbench.simulator.profile import Profile
from heartbench.simulator.replay import Replay
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.tunnel_state import BORINGTUN, NO_TUNNEL, WIREGUARD

HUB_STATES = {HubFaultKind.PAUSE: HUB_PAUSED, HubFaultKind.KILL: HUB_DOWN, HubFaultKind.STOP: HUB_DOWN}
TUNNELS = {TunnelKind.NONE: NO_TUNNEL, TunnelKind.WIREGUARD: WIREGUARD, TunnelKind.BORINGTUN: BORINGTUN}
CONNECTION_EVENTS = {
    FaultKind.RESET: {End.BOTH: RESET, End.NODE: RESET_AT_NODE, End.HUB: RESET_AT_HUB},
    FaultKind.HALF_OPEN: {End.BOTH: HALF_OPEN},
    FaultKind.REBIND: {End.BOTH: REBIND},
}


@dataclass(frozen=True)
class Squad:
    """The nodes of one group, numbers `first` to `first + count`, and their events.

    The events of node `first + i` are `at_s[begin[i]:begin[i + 1]]` and `what[...]`, in order. Each START, CRASH and
    EXIT changes whether the node is on: the first is a START, every second one a CRASH or EXIT. A node that never
    starts has none. The others happen to its connection, if it has one then.
    """

    name: str
    first: int
    count: int
    link: NDArray[np.void]
    behaviour: NDArray[np.void]
    begin: NDArray[np.int64]
    at_s: NDArray[np.float64]
    what: NDArray[np.int64]
    partitions: tuple["Partition", ...]
    replay: Replay | None = None  # what `link` replays

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set what was pickled, perhaps in another process, where the recording lies elsewhere in memory."""
        vars(self).update(state)
        if self.replay:
            self.replay.attach(self.link)

    def partitions_of(self, node: int) -> NDArray[np.float64]:
        """Return a row of `cuts` for each partition, hold and flap of this node."""
        return rows_of([cut.row for cut in self.partitions if cut.hit[node - self.first]])


@dataclass(frozen=True)
class Partition:
    """A partition, hold or flap of some nodes of a squad; `hit[i]` says whether node `first + i` is cut."""

    kind: FaultKind
    row: tuple[float, ...]  # of `cuts`
    hit: NDArray[np.bool_]

    @property
    def from_s(self) -> float:
        """When it begins, s."""
        return self.row[FROM]

    @property
    def to_s(self) -> float:
        """When it ends, s."""
        return self.row[TO]


def node_name(group: str, number: int) -> str:
    """Return the name under which the hub knows a node of `group`."""
    return f"{group}-{number:05d}"


def group_of_each(scenario: Scenario) -> list[Group]:
    """Return the group of each node, by number."""
    return [group for group in scenario.group for _ in range(group.nodes)]


def squads(scenario: Scenario) -> Iterator[Squad]:
    """Yield the groups of a scenario, numbering nodes consecutively."""
    first, hub = 0, hub_states(scenario)
    for group in scenario.group:
        yield _squad(scenario, group, first, hub)
        first += group.nodes


def check_runs_alone(scenario: Scenario) -> None:
    """Raise SimulatorError if nodes have to be run in turns, which only the virtual engine does."""
    for group in scenario.group:
        shares = group.site is not None and group.site.uplink is not None
        key = "site.uplink" if shares else "separate_uploads" if group.separate_uploads else ""
        if key:
            raise SimulatorError(
                f"group {group.name}: {key}: only the virtual engine simulates it; use --engine virtual"
            )


def _squad(scenario: Scenario, group: Group, first: int, hub: NDArray[np.void]) -> Squad:
    nodes = np.arange(first, first + group.nodes)
    start_s = _draws(scenario.seed, nodes, Purpose.START, 0) * group.start_spread_s
    owner, at_s, what = [nodes], [start_s], [np.full(group.nodes, START)]
    partitions = []
    for number, fault in enumerate(scenario.fault):
        if fault.group != group.name:
            continue
        hit = _hit(scenario.seed, nodes, number, fault, group)
        if fault.kind in CUTS:
            partitions.append(Partition(fault.kind, _row(fault), hit))
            continue
        for when, happens in _events(fault):
            owner.append(nodes[hit])
            at_s.append(np.full(int(hit.sum()), when))
            what.append(np.full(int(hit.sum()), happens))
    if len(partitions) > MAX_PARTITIONS:
        raise SimulatorError(f"group {group.name}: {len(partitions)} partitions; at most {MAX_PARTITIONS} are allowed")
    owners, times, happenings = np.concatenate(owner), np.concatenate(at_s), np.concatenate(what)
    order = np.lexsort((times, owners))
    times, happenings = times[order], happenings[order]
    begin = np.searchsorted(owners[order], np.arange(first, first + group.nodes + 1))
    turns = _turns(begin, happenings)
    return Squad(
        name=group.name,
        first=first,
        count=group.nodes,
        link=_link(group, first),
        behaviour=behaviour(group, hub),
        begin=np.append(0, np.cumsum(turns))[begin],
        at_s=times[turns],
        what=happenings[turns],
        partitions=tuple(partitions),
        replay=group.link if isinstance(group.link, Replay) else None,
    )


def _link(group: Group, first: int) -> NDArray[np.void]:
    """Return the tables of the group's links, an array of one LINK."""
    if isinstance(group.link, Replay) or group.site is None:
        tables = group.link.to_link()
    else:
        tables = group.link.to_link(group.site.share or 0.0, group.site.nodes, first)
        if group.site.uplink is not None:
            group.site.uplink.fill(tables.view(np.recarray)[0].uplink, is_shared=True)
    tables["tunnel"]["kind"] = TUNNELS[group.tunnel]
    tables["tunnel"]["persistent_keepalive_s"] = group.persistent_keepalive_s
    return tables


def _row(fault: Fault) -> tuple[float, ...]:
    """Return the row of `cuts` of a partition, hold or flap."""
    only = {Way.UP: 1.0 + UP, Way.DOWN: 1.0 + DOWN}.get(fault.direction or Way.BOTH, 0.0)
    every_s = fault.every_s or 0.0
    holds = float(fault.kind is FaultKind.HOLD)
    return fault.at_s, fault.at_s + (fault.duration_s or np.inf), only, holds, every_s, fault.down_s or every_s / 2


def _events(fault: Fault) -> list[tuple[float, int]]:
    """Return what happens to a node that the fault hits, and when in s."""
    if fault.kind in CONNECTION_EVENTS:
        return [(fault.at_s, CONNECTION_EVENTS[fault.kind][fault.ends or End.BOTH])]
    down = CRASH if fault.kind is FaultKind.CRASH else EXIT
    back_after = fault.duration_s or (RESTART_S if fault.kind is FaultKind.RESTART else 0.0)
    return [(fault.at_s, down), *([(fault.at_s + back_after, START)] if back_after else [])]


def _turns(begin: NDArray[np.int64], what: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which events turn their node on or off, or happen to its connection.

    `begin` is as in Squad, with a START for each cause of being off.
    """
    step = np.where(what == START, -1, np.where(what < RESET, 1, 0))
    total = np.append(0, np.cumsum(step))
    keep_off = 1 + total[:-1] - np.repeat(total[begin[:-1]], np.diff(begin))  # before each event
    turns: NDArray[np.bool_] = (keep_off == 0) != (keep_off + step == 0)
    return turns | (what >= RESET)


def _hit(seed: int, nodes: NDArray[np.int64], number: int, fault: Fault, group: Group) -> NDArray[np.bool_]:
    """Return which nodes of a group fault `number` hits."""
    draws = _draws(seed, nodes, Purpose.FAULT, number)
    if fault.sites is not None:
        size = group.site.nodes if group.site else 1
        by_draw = np.argsort(draws[::size], kind="stable")  # of the first node of each site
        return np.isin(np.arange(len(nodes)) // size, by_draw[: fault.sites])
    hit = np.zeros(len(nodes), bool)
    hit[np.argsort(draws, kind="stable")[: fault.count(group.nodes)]] = True
    return hit


def _draws(seed: int, nodes: NDArray[np.int64], purpose: int, index: int) -> NDArray[np.float64]:
    """Return draw `index` of `purpose` for each node: shape (nodes,), uniform in (0, 1)."""
    draws = np.empty(len(nodes))
    _draw_each(seed, nodes, purpose, index, draws)
    return draws


@kernel
def _draw_each(seed: int, nodes: NDArray[np.int64], purpose: int, index: int, draws: NDArray[np.float64]) -> None:
    for i in range(len(nodes)):
        draws[i] = counter_rng.uniform(counter_rng.key(seed, nodes[i], purpose), index)


def hub_states(scenario: Scenario) -> NDArray[np.void]:
    """Return the states of the hub's process, as an array of one HUB. A slow store changes nothing for nodes.

    Raises:
        SimulatorError: it has more faults than a connection can follow.
    """
    faults = [fault for fault in scenario.hub_fault if fault.kind in HUB_STATES]
    if len(faults) > MAX_HUB_FAULTS:
        raise SimulatorError(f"hub_fault: {len(faults)} that take the hub away; at most {MAX_HUB_FAULTS} are allowed")
    hub = np.zeros(1, HUB)
    hub["count"] = 2 * len(faults)
    for n, fault in enumerate(sorted(faults, key=lambda fault: fault.at_s)):
        hub["at_s"][0, 2 * n : 2 * n + 2] = fault.at_s, fault.at_s + fault.duration_s
        hub["state"][0, 2 * n : 2 * n + 2] = HUB_STATES[fault.kind], HUB_RUNS
    return hub


def behaviour(group: Group, hub: NDArray[np.void]) -> NDArray[np.void]:
    """Return what the nodes of `group` have in common, as an array of one BEHAVIOUR."""
    found = np.zeros(1, BEHAVIOUR).view(np.recarray)
    record, rules = found[0], found[0].rules
    record.heartbeat_interval_s = group.heartbeat_interval_s
    record.heartbeat_jitter = group.heartbeat_jitter
    record.heartbeat_ack = group.heartbeat_ack
    record.chunk_interval_s = group.chunk_bytes / group.output_rate if group.output_rate > 0 else 0.0
    record.chunk_bytes = group.chunk_bytes
    record.file_interval_s = group.file_every_s
    record.file_spread_s = group.file_every_s if group.file_spread_s is None else group.file_spread_s
    record.file_bytes = group.file_bytes
    if isinstance(group.link, Profile) and group.link.address_changes is not None:
        record.move_mean_s = HOUR_S / group.link.address_changes
    record.separate_uploads = group.separate_uploads
    record.backoff_initial_s = group.reconnect.initial_s
    record.backoff_multiplier = group.reconnect.multiplier
    record.backoff_jitter = group.reconnect.jitter
    record.backoff_max_s = group.reconnect.max_s
    rules.keepalive_time_s = group.keepalive_time_s
    rules.ping_timeout_s = group.ping_timeout_s
    rules.user_timeout_s = group.user_timeout_s
    rules.hub_user_timeout_s = group.hub_user_timeout_s
    rules.hub = hub[0]
    return found
