"""The ways to read what a log leaves open. Each is judged, and the worst one decides.

all silent          times in which all nodes were silent at once are silences of the nodes; or the hub was down, and
                    they count against nobody
silent at the end   a node that fell silent long before the end of the log is dead, which is no mistake of a hub;
                    or it is alive, and marking it stale was one
step                if each time is known only to within a step, a gap may be shorter or longer by that much
"""

import enum
from dataclasses import dataclass
from itertools import product


class SilentAtEnd(enum.StrEnum):
    """What became of the nodes that fell silent before the end."""

    DEAD = "dead"
    ALIVE = "alive"


class AllSilent(enum.StrEnum):
    """Where the hub was while all nodes were silent."""

    UP = "hub-up"
    DOWN = "hub-down"


class WithinStep(enum.StrEnum):
    """How long the gaps were within the step of their times."""

    SHORTEST = "shortest"
    LONGEST = "longest"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a log; None: the log does not leave that open."""

    silent: SilentAtEnd | None = None
    within_step: WithinStep | None = None
    all_silent: AllSilent | None = None

    @property
    def name(self) -> str:
        """Its name, in tables and JSON."""
        return ", ".join(filter(None, (self.all_silent, self.silent, self.within_step)))

    @property
    def meaning(self) -> str:
        """What it takes for true, in words."""
        hub = "down" if self.all_silent is AllSilent.DOWN else "up"
        away = f"the hub was {hub} while all nodes were silent at once" if self.all_silent else ""
        silent = f"nodes that are silent at the end are {self.silent}" if self.silent else ""
        step = f"gaps are the {self.within_step} that the step of the times allows" if self.within_step else ""
        return ", ".join(filter(None, (away, silent, step)))

    def silence_s(self, stale_after_s: float, step_s: float) -> float:
        """Return how long a recorded gap may be before a hub with that threshold marks the node stale, s."""
        if self.within_step is None:
            return stale_after_s
        return max(stale_after_s + (step_s if self.within_step is WithinStep.SHORTEST else -step_s), 0.0)


PLAIN = Reading()


def readings_of(
    suspects: bool, silent: SilentAtEnd | None, censored: bool, all_silent: bool = False
) -> tuple[Reading, ...]:
    """Return the readings of a log.

    Args:
        suspects: whether nodes fell silent before its end.
        silent: what the user says about them; None: both are possible.
        censored: whether its times are known only to within a step.
        all_silent: whether all nodes were silent at once, and nobody says that the hub was down then.
    """
    hubs = tuple(AllSilent) if all_silent else (None,)
    ends = (None,) if not suspects else tuple(SilentAtEnd) if silent is None else (silent,)
    steps = tuple(WithinStep) if censored else (None,)
    return tuple(Reading(silent, step, hub) for hub, silent, step in product(hubs, ends, steps))


def reading_named(name: str) -> Reading:
    """Return the reading of that name."""
    parts = name.split(", ") if name else []
    silent = next((each for each in SilentAtEnd if each in parts), None)
    step = next((each for each in WithinStep if each in parts), None)
    return Reading(silent, step, next((each for each in AllSilent if each in parts), None))
