"""Whether a fit recovers loss bursts that make runs of lost probes as long as outages.

    python -m heartbench.analysis.validation.bursts --seeds 20

`fitted` tries the shipped profiles, whose bursts are too short for that. Here are networks with bursts of 0.2 to 2 s
that lose 30 to 90% on each way, with outages and without, probed once a second for a day or every 0.2 s for 12 h.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pandas as pd
import typer

from heartbench.analysis.fit import fit_recording
from heartbench.analysis.validation.fitted import Truth, judge, lines
from heartbench.simulator.ping import record
from heartbench.simulator.profile import Profile
from heartbench.simulator.tomlfile import validate

OUTAGES = {"rates": [["500ms", 6]], "shape": 0.35, "scale": "2.5s"}


@dataclass(frozen=True, slots=True)
class World:
    """A network with loss bursts, and how it is probed; times in s."""

    step_s: float
    good_mean_s: float
    bad_mean_s: float
    bad: float
    has_outages: bool = False

    @property
    def hours(self) -> float:
        """Time that is probed, h."""
        return 24.0 if self.step_s >= 1 else 12.0

    @property
    def name(self) -> str:
        """What it is, in short."""
        outages = ", outages" if self.has_outages else ""
        return f"every {self.step_s:g} s: bursts of {self.bad_mean_s:g} s that lose {self.bad:.0%}{outages}"

    def profile(self) -> Profile:
        """Return the network."""
        means = {"good_mean": f"{self.good_mean_s:g}s", "bad_mean": f"{self.bad_mean_s:g}s"}
        way = {"base_delay": "20ms", "jitter": [[0.5, "5ms"]], "loss": {"good": 0.0005, "bad": self.bad, **means}}
        outage = {"outage": OUTAGES} if self.has_outages else {}
        return validate(Profile, {"up": way, "down": way, **outage}, self.name)


WORLDS = (
    World(0.2, 60, 0.2, 0.6),
    World(0.2, 120, 0.5, 0.3),
    World(0.2, 100, 0.5, 0.9),
    World(0.2, 80, 0.6, 0.6),
    World(0.2, 80, 0.6, 0.6, has_outages=True),
    World(0.2, 100, 1, 0.5, has_outages=True),
    World(0.2, 200, 2, 0.5),
    World(1, 120, 1.5, 0.6),
    World(1, 120, 1.5, 0.4, has_outages=True),
    World(1, 200, 2, 0.5, has_outages=True),
)


def recovered(world: World, seeds: int) -> Iterator[dict[str, object]]:
    """Yield a row for each figure of losses and outages, and each seed, as `judge`."""
    profile = world.profile()
    network = Truth.of(profile)
    for seed in range(seeds):
        fit = fit_recording(record(profile, world.hours * 3600, seed, world.step_s))
        for row in judge(world.name, network, seed, fit):
            if str(row["figure"]).startswith(("loss.", "outage.")):
                yield row


def main(seeds: Annotated[int, typer.Option(help="Recordings of each network.")] = 20) -> None:
    """Print how often a fit recovers the bursts and outages of each network."""
    rows = [row for world in WORLDS for row in recovered(world, seeds)]
    print("\n".join(lines(pd.DataFrame(rows))))


if __name__ == "__main__":
    typer.run(main)
