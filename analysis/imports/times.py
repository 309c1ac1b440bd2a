"""Times as logs write them, in s.

A number of seconds, milliseconds, microseconds or nanoseconds since 1970 is told apart by its size: for times from 1973
to 5138 the four do not overlap. A column whose name ends with `_ms` and so on says its unit itself. Dates are
ISO 8601; without a zone they are taken for UTC.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
SMALLEST = (("ns", 1e17), ("us", 1e14), ("ms", 1e11))
"""From which value on a number is in a unit, the greatest unit first: 1e11 s is the year 5138, 1e11 ms is 1973."""
LATEST_S = 1e11
ZONE = re.compile(r"(Z|[+-]\d\d:?(\d\d)?)\s*$", re.IGNORECASE)
NAMED_UNIT = re.compile(r"_(s|ms|us|ns)$")
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a column writes times: in a unit (`s`, `ms`, `us`, `ns`), or as dates (`date`), with a zone or without."""

    unit: str
    zoned: bool = True

    @property
    def note(self) -> str | None:
        """What a user must know of it."""
        if self.unit == "date":
            return None if self.zoned else "The times have no zone and were taken for UTC."
        return None if self.unit == "s" else f"The times were read as {self.unit}."


def form_of(value: object, column: str = "", unit: str | None = None) -> TimeForm | None:
    """Return how a time is written, from one value, the name of its column, and the unit that a user named."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        return TimeForm("date", bool(ZONE.search(value))) if np.isfinite(dates([value])[0]) else None
    named = NAMED_UNIT.search(column)
    if unit or named:
        return TimeForm(unit or (named[1] if named else "s"))
    try:
        size = abs(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not np.isfinite(size):
        return None
    return TimeForm(next((unit for unit, least in SMALLEST if size >= least), "s"))


def seconds(values: Any, form: TimeForm) -> NDArray[np.float64]:
    """Return times in s; NaN for what is none, or is out of range."""
    if form.unit == "date":
        return dates(values)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64) * UNITS[form.unit]
        return np.where(np.abs(scaled) < LATEST_S, scaled, np.nan)


def dates(values: Any) -> NDArray[np.float64]:
    """Return dates in ISO 8601 as s since 1970; NaN for what is none. Python's logs have a decimal comma."""
    texts = (
        values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string(), from_pandas=True)
    )
    try:  # ten times as fast, but all have a zone or none has, and none is wrong
        stamps = texts.cast(pa.timestamp("us", "UTC")).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        plain = texts.to_pandas().str.replace(",", ".")
        stamps = pd.to_datetime(plain, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None).to_numpy()
    stamps = stamps.astype("datetime64[us]")
    return np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e6)
