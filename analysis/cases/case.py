"""A case: a published incident as one TOML file, and the scenarios that follow from it.

    source, happened, assumed      what was published, in our words, and what had to be assumed to simulate it
    finding, [figure]              what the broken setting must show, and the figure that decides it
    [[setting]]                    a key of the scenario with its broken and its mending value
    mended_by                      what mends it, and whether the source says so
    [scenario]                     everything else: a scenario without the keys of the settings

The shipped cases are in this folder; a case of one's own is read from a path. No figure of a run is
stored in a case: it holds only the limit that the figure must reach.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Annotated, Any

from pydantic import Field, field_validator

from heartbench.analysis.cases.measures import MEASURES
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.scenario import Scenario, read_scenario
from heartbench.simulator.tomlfile import Catalog, Table, guess, parse_toml, set_key, validate

CASES = Catalog("case", "heartbench.analysis")

Text = Annotated[str, Field(min_length=1)]


class Setting(Table):
    """A key of the scenario, such as `hub.stale_after_s` or `group.*.heartbeat_interval`, and its two values."""

    key: Text
    broken: Any
    mending: Any


class DecidingFigure(Table):
    """The figure that decides whether a run shows the finding: it does if `measure` is `at_least` so much."""

    measure: str
    at_least: float = Field(gt=0)

    @field_validator("measure")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MEASURES:
            raise ValueError(f"{name!r} is not a measure{guess(name, MEASURES)}; allowed: {', '.join(MEASURES)}")
        return name


class Case(Table):
    """A published incident."""

    name: Text
    source: Text = Field(description="repository and number of the thread, such as kubernetes/kubernetes#80172")
    title: Text = Field(description="the incident in one line")
    happened: Text = Field(description="what the source reports, in our words")
    finding: Text = Field(description="what the broken setting shows, in one sentence")
    mended_by: Text = Field(description="what mends it, and who says so")
    assumed: Text = Field(description="what the source does not state")
    figure: DecidingFigure
    setting: tuple[Setting, ...] = Field(min_length=1)
    scenario: dict[str, Any]

    def scenario_with(self, *, mended: bool, overrides: Iterable[str] = ()) -> Scenario:
        """Return the scenario with the broken or the mending settings; `overrides` as in `load_scenario`.

        Raises:
            SimulatorError: the scenario or an override is invalid; the message is one line.
        """
        where = f"case {self.name}"
        data = deepcopy(self.scenario)
        data.setdefault("name", self.name)
        data.setdefault("summary", self.title)
        for setting in self.setting:
            set_key(data, setting.key, setting.mending if mended else setting.broken, f"{where}: setting")
        return read_scenario(data, where, overrides)


def load_case(name_or_path: str) -> Case:
    """Return a case by its shipped name or its path, both of its scenarios checked.

    Raises:
        SimulatorError: there is no such case or it is invalid; the message is one line.
    """
    name, source, text = CASES.find(name_or_path)
    if not text.strip():
        raise SimulatorError(f"{source}: the file is empty; expected a case in TOML")
    case = validate(Case, {"name": name, **parse_toml(text, source)}, source)
    for mended in (False, True):
        case.scenario_with(mended=mended)
    return case
