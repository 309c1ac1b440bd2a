"""What an engine is, what it hands on while it runs, and what it returns.

    engine.run(scenario, sink, control) -> RunSummary

    engine   sink.begin(conditions) ─▶ sink.extract(block), sink.add(…) for each block ─▶ [sink.add_transitions(…)]

A block is what some nodes of one group did, whole nodes, from the start of the run to its end. `extract` reduces it to
what the sink keeps, where the block was made: in any thread or process. `add` gets that in the thread that called
`run`, in the order of the nodes. So the messages themselves need not be kept, stored or sent anywhere.

Interruption: an engine asks `control.interrupted()` now and then. Once it is true the engine ends early, and its
blocks and summary hold what was done until then. While an engine loads, when nothing is measured yet, a signal raises
KeyboardInterrupt instead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.hub import HubSettings
from heartbench.simulator.fleet import node_name
from heartbench.simulator.observer_frames import Observed
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages, Truth

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Block:
    """What the nodes `first` to `first + count` did; `index` counts the blocks of a run from 0 on.

    `messages` are all that they sent, sorted by (node, sent_s); `truth` is sorted by (node, start_s).
    """

    index: int
    group: str
    first: int
    count: int
    messages: Messages
    truth: Truth

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Numbers of the nodes, ascending."""
        return np.arange(self.first, self.first + self.count)

    @property
    def names(self) -> Mapping[int, str]:
        """Names of the nodes by number, ascending."""
        return {number: node_name(self.group, number) for number in range(self.first, self.first + self.count)}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for all blocks of a run.

    `hub_truth` is what happened to the hub, as events of node -1; None if no event can have happened to it.
    """

    duration_s: float
    hub: HubSettings
    hub_truth: Truth | None = None


class Sink(Generic[Kept]):
    """Takes the blocks of a run. Subclass it, and only `extract` and `add` are left to write."""

    extract: Callable[[Block], Kept]
    """Method, or function that is set by the time `begin` returns; reduces a block to what this sink keeps.

    An engine that runs blocks in other processes pickles it.
    """

    def begin(self, conditions: Conditions) -> None:
        """Prepare for the run; called once, before all blocks."""
        return

    def add(self, kept: Kept) -> None:
        """Add what was extracted from the next block."""
        raise NotImplementedError

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Add the status changes that a real hub reported, after all blocks.

        Columns node, at_s, status, connected, flapping and reason, sorted by (node, at_s); others are to be ignored.
        """
        return


@dataclass(frozen=True, slots=True)
class Control:
    """How the caller of an engine ends a run, and follows it.

    `advance` is called with the progress since its last call, in nodes: half of the time of ten nodes is 5.
    """

    interrupted: Callable[[], bool] = lambda: False
    advance: Callable[[float], None] = lambda _: None


UNCONTROLLED = Control()


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """What only a run with a real hub can know.

    Attributes:
        arrived_by: whose clock `arrived_s` is by: that of the "hub", or of the "node".
        lag_s: how late the simulator wrote each message, s.
        files: number of the nodes' files that the hub has verified.
        deadline_moves: number of deadlines that the hub moved because of its own pauses and silences.
        events_lost: number of events that an external hub dropped before they reached the engine.
        events_heard_s: until when its events were received, s; less than the run's duration if they ended before.
        origin_s: time 0 of the run on the monotonic clock, s.
        hub_down_s: when a fault first took the hub down, s since time 0; inf if none did.
        observed: what a managed hub recorded of itself until then.
    """

    arrived_by: str
    lag_s: NDArray[np.float64]
    files: int
    deadline_moves: int
    events_lost: int
    events_heard_s: float
    origin_s: float
    hub_down_s: float
    observed: Observed | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did: how many nodes ran, for how long, and what they sent; `messages` include the heartbeats.

    Attributes:
        compile_s: time to compile the kernels, or to read them from disk, s.
        simulate_s: time in which the nodes ran, s: real time, or of parallel workers the mean.
        write_s: time that the sinks took, s; of parallel workers the mean.
    """

    nodes: int
    duration_s: float
    heartbeats: int
    messages: int
    compile_s: float
    simulate_s: float
    write_s: float
    interrupted: bool
    hub: HubSettings
    live: LiveSummary | None = None


def not_run(scenario: Scenario) -> RunSummary:
    """Return the summary of a run that was interrupted while its engine loaded."""
    return RunSummary(0, 0.0, 0, 0, 0.0, 0.0, 0.0, interrupted=True, hub=scenario.hub_settings())


class Engine(Protocol):
    """Runs the nodes of a scenario."""

    def run(self, scenario: Scenario, sink: Sink[Any], control: Control = UNCONTROLLED) -> RunSummary:
        """Run the scenario, and hand its blocks to `sink`.

        Raises:
            SimulatorError: the scenario or the hub cannot be run.
            KeyboardInterrupt: a signal came while the engine loaded.
        """
