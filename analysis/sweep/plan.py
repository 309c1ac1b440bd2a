"""The cells of a sweep, each checked before any of them is simulated."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import LONGEST_S, SHORTEST_S, timeout_of
from heartbench.analysis.sweep.vary import Varied
from heartbench.analysis.tune import RUN_LENGTHS
from heartbench.simulator.engines.virtual import blocks
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.scenario import Scenario, load_scenario

MOST_CELLS = 100_000
DECIDE_NOTHING = {"name", "summary"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a sweep.

    Attributes:
        number: its place in the sweep.
        places: which of its values each varied key has.
        scenario: what to simulate.
        stale_after_s: fixed timeouts to judge, s; empty: the hub's own policy.
    """

    number: int
    places: tuple[int, ...]
    scenario: Scenario
    stale_after_s: tuple[float, ...] = ()

    def digest(self, made_by: str) -> str:
        """Return a name for its figures: equal if scenario, thresholds and `made_by`, which decides digits, are."""
        scenario = self.scenario.to_data() | {"hub": self.scenario.hub_settings().model_dump(mode="json")}
        decides = [{key: scenario[key] for key in scenario.keys() - DECIDE_NOTHING}, self.stale_after_s, made_by]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Sweep:
    """All combinations of the varied values, the first key's slowest, each with all seeds."""

    name: str
    varied: tuple[Varied, ...]
    seeds: tuple[int, ...]
    stale_after_s: tuple[float, ...]
    cells: tuple[Cell, ...]

    def labels(self, cell: Cell) -> tuple[str, ...]:
        """Return the values of a cell as KEY=VALUE, the seed among them."""
        varied = (f"{each.key}={each.values[place]}" for each, place in zip(self.varied, cell.places, strict=True))
        return (*varied, f"seed={cell.scenario.seed}")


def plan_sweep(
    scenario: str,
    varied: Sequence[Varied],
    seeds: Sequence[int] = (),
    overrides: Sequence[str] = (),
    stale_after_s: Sequence[float] = (),
) -> Sweep:
    """Return the cells of a sweep, all of which can be simulated.

    Args:
        scenario: a shipped scenario or the path of a file.
        varied: keys with their values.
        seeds: of each combination; empty: the scenario's own.
        overrides: `KEY=VALUE` for all cells, as in `load_scenario`.
        stale_after_s: fixed timeouts to judge in each cell, s; empty: the hub's own policy.

    Raises:
        AnalysisError: a key comes twice, values differ in nothing, a threshold is out of range, or a run is too short.
        SimulatorError: a cell's scenario is invalid.
    """
    _check_keys(varied, overrides)
    thresholds = tuple(sorted(set(stale_after_s)))
    for each in thresholds:
        if not SHORTEST_S <= each <= LONGEST_S:
            raise AnalysisError(f"--stale-after: {each:g} s: expected {SHORTEST_S:g} s to {LONGEST_S:g} s")
    combinations = prod(len(each.values) for each in varied)
    if combinations * max(len(seeds), 1) > MOST_CELLS:
        raise AnalysisError(f"--vary: more than {MOST_CELLS:,} cells; vary fewer values at once")
    scenarios = dict(_scenarios(scenario, varied, overrides))
    _check_that_all_differ(scenarios, varied)
    seeded = [
        (places, each.model_copy(update={"seed": seed}))
        for places, each in scenarios.items()
        for seed in (seeds or (each.seed,))
    ]
    cells = [Cell(number, *each, thresholds) for number, each in enumerate(seeded)]
    for cell in cells[:: max(len(seeds), 1)]:
        _check(cell)
    first = cells[0].scenario
    return Sweep(first.name, tuple(varied), tuple(seeds) or (first.seed,), thresholds, tuple(cells))


def _check_keys(varied: Sequence[Varied], overrides: Sequence[str]) -> None:
    taken = {override.partition("=")[0].strip(): "--set" for override in overrides}
    for each in varied:
        if each.key in taken:
            raise AnalysisError(f"--vary {each.key}: is in {taken[each.key]} too; expected once")
        taken[each.key] = "another --vary"


def _scenarios(
    scenario: str, varied: Sequence[Varied], overrides: Sequence[str]
) -> Iterator[tuple[tuple[int, ...], Scenario]]:
    for places in product(*(range(len(each.values)) for each in varied)):
        own = [f"{each.key}={each.values[place]}" for each, place in zip(varied, places, strict=True)]
        try:
            yield places, load_scenario(scenario, [*overrides, *own])
        except SimulatorError as error:
            message = str(error)
            for each in own:
                message = message.replace(f"--set {each}", f"--vary {each}")
            raise SimulatorError(message) from error


def _check_that_all_differ(scenarios: dict[tuple[int, ...], Scenario], varied: Sequence[Varied]) -> None:
    known: dict[str, tuple[int, ...]] = {}
    for places, scenario in scenarios.items():
        before = known.setdefault(Cell(0, places, scenario).digest(""), places)
        if before != places:
            key, first, second = next(
                (each.key, each.values[a], each.values[b])
                for each, a, b in zip(varied, before, places, strict=True)
                if a != b
            )
            raise AnalysisError(f"--vary {key}: {first} and {second} make the same scenario; leave one out")


def _check(cell: Cell) -> None:
    """Raise an error if no engine can run a cell, or if its run is too short to judge its thresholds."""
    scenario = cell.scenario
    list(blocks(scenario))
    interval_s = min(group.heartbeat_interval_s for group in scenario.group)
    judged_s = max(cell.stale_after_s, default=timeout_of(scenario.hub_settings()) or 0.0)
    threshold_s = max(interval_s, judged_s)
    if scenario.duration_s < RUN_LENGTHS * threshold_s:
        raise AnalysisError(
            f"{scenario.name}: {scenario.duration_s:g} s are too short to evaluate a threshold of {threshold_s:g} s; "
            f"expected a duration of at least {RUN_LENGTHS * threshold_s:g} s"
        )
