"""Running a case: its scenario in the virtual engine, and the figure that decides it.

A case is small, hours of some dozens of nodes, so its messages are kept in memory.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from heartbench.analysis.absences import ALWAYS_THERE, AbsenceRules, hub_absences
from heartbench.analysis.cases.case import Case
from heartbench.analysis.cases.measures import MEASURES, Observation
from heartbench.analysis.gaps import find_gaps, intervals_for, power_losses
from heartbench.analysis.qos import judge
from heartbench.simulator.engines.contract import Block, Conditions, Sink
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import OUTAGES, Messages, Truth


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a case showed.

    Attributes:
        figure: the deciding figure with the settings that were run; NaN if it is not defined.
        detection_p99_s: 99th percentile of the detection time with the same settings, s.
    """

    case: Case
    figure: float
    detection_p99_s: float

    @property
    def shown(self) -> bool:
        """Whether the run shows the finding."""
        return self.figure >= self.case.figure.at_least


def run_case(case: Case, *, mended: bool = False, overrides: Iterable[str] = ()) -> Outcome:
    """Simulate a case, broken or mended; `overrides` as in `load_scenario`.

    Raises:
        SimulatorError: an override is invalid.
    """
    observed = observe(case.scenario_with(mended=mended, overrides=overrides))
    figure = MEASURES[case.figure.measure].of(observed)
    return Outcome(case, figure, float(observed.qos.detection_s(0.99)[0]))


def observe(scenario: Scenario) -> Observation:
    """Simulate a scenario, and return what its hub saw and how it judged."""
    sink = _Everything()
    VirtualEngine().run(scenario, sink)
    messages, truth = sink.joined()
    hub = scenario.hub_settings()
    absences = hub_absences(sink.hub_truth.frame()) if sink.hub_truth else ALWAYS_THERE
    interval_s = intervals_for([hub.policy], scenario)
    gaps = find_gaps(messages, power_losses(truth.frame()), scenario.duration_s, absences, interval_s)
    qos = judge(gaps, [hub.policy], scenario.duration_s, rules=AbsenceRules.of(hub))
    return Observation(scenario, messages, gaps, qos, int(np.isin(truth.event, OUTAGES).sum()))


def settings_text(case: Case, *, mended: bool) -> str:
    """Return the settings in the form of `--set`."""
    values = ((each.key, each.mending if mended else each.broken) for each in case.setting)
    return ", ".join(f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in values)


def text_of(figure: float) -> str:
    """Return a figure with three digits, or a dash if it is not defined."""
    return "–" if math.isnan(figure) else f"{figure:.3g}"


class _Everything(Sink[Block]):
    """Keeps all blocks of a run."""

    def __init__(self) -> None:
        self.hub_truth: Truth | None = None
        self._blocks: list[Block] = []

    @staticmethod
    def extract(block: Block) -> Block:
        """Return the block as it is."""
        return block

    def begin(self, conditions: Conditions) -> None:
        """Keep what happens to the hub."""
        self.hub_truth = conditions.hub_truth

    def add(self, kept: Block) -> None:
        """Keep a block."""
        self._blocks.append(kept)

    def joined(self) -> tuple[Messages, Truth]:
        """Return messages and truth of all blocks."""
        messages = _join(Messages, [block.messages for block in self._blocks])
        return messages, _join(Truth, [block.truth for block in self._blocks])


Columns = TypeVar("Columns", Messages, Truth)


def _join(of: type[Columns], parts: Sequence[Columns]) -> Columns:
    return of(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(of)))
