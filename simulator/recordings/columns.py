"""Which columns of a CSV file hold what; the command line fills this from its options."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of a CSV file and their units.

    The time is when the probe left, as a number in `time_unit` or as a date in ISO 8601. The round-trip time is a
    column of its own (`rtt`, in `rtt_unit`), or the difference from the time to a column with the time of the answer
    (`answered`). An empty field says that the probe was lost.
    """

    time: str
    rtt: str | None = None
    answered: str | None = None
    time_unit: str = "s"
    rtt_unit: str = "ms"
