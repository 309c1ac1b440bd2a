"""Parsing and formatting of durations and rates: `90s`, `85ms`, `1h30m`, `1/node-week`.

A bare number is in seconds, as everywhere in this project. Negative, infinite and NaN values are rejected.
"""

import math
import re

from heartbench.simulator.errors import SimulatorError

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
NODE_DAYS = {"node-hour": 1 / 24, "node-day": 1.0, "node-week": 7.0, "node-month": 30.0, "node-year": 365.0}

LONGEST_S = 1e9
"""Longest duration that a scenario or profile may contain, s: about thirty years."""

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+"
_DURATION = re.compile(rf"(?:(?:{_NUMBER})\s*(?:ms|s|m|h|d|w)\s*)+")
_PART = re.compile(rf"({_NUMBER})\s*(ms|s|m|h|d|w)")
_RATE = re.compile(rf"({_NUMBER})\s*/\s*(node-[a-z]+)")
DURATION_PATTERN = rf"^(?:{_NUMBER}|{_DURATION.pattern})$"
"""Regular expression of a duration in lower case, for the schema of a file."""


def parse_duration(text: str | float, key: str = "") -> float:
    """Return the duration `text` in s.

    Args:
        text: `90s`, `85ms`, `10m`, `24h`, `2d`, `1h30m`, or a number of seconds.
        key: the option or key that the error names.

    Raises:
        SimulatorError: `text` is not a duration, is negative or is not finite.
    """
    plain = str(text).strip().lower()
    if re.fullmatch(_NUMBER, plain):
        seconds = float(plain)
    elif _DURATION.fullmatch(plain):
        # Dividing keeps 85ms the float 0.085; multiplying by 0.001 would not.
        parts = [float(n) / 1000 if unit == "ms" else float(n) * SECONDS[unit] for n, unit in _PART.findall(plain)]
        try:
            seconds = math.fsum(parts)
        except OverflowError:
            seconds = math.inf
    else:
        seconds = math.inf
    if math.isfinite(seconds) and not isinstance(text, bool):
        return seconds
    raise SimulatorError(
        f'{_named(key)}"{text}" is not a duration; expected a number with ms, s, m, h, d or w, such as 85ms, 90s or 24h'
    )


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` converts back to exactly `seconds`."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds * 1000 if unit == "ms" else seconds / SECONDS[unit]
        text = f"{count:.10g}{unit}"
        whole = unit in ("s", "ms") or count == int(count)
        least = {"d": 2, "ms": 0}.get(unit, 1)  # 24h and 0.1ms, not 1d and 0.0001s
        if whole and least <= count < math.inf and "e" not in text and parse_duration(text) == seconds != 0:
            return text
    return f"{seconds!r}s" if seconds else "0s"


def parse_rate(text: str, key: str = "") -> float:
    """Return the rate `text` in events per node-day: `1/node-week` is 1/7.

    Raises:
        SimulatorError: `text` is not a rate, or is 0, which no log of finite length can show to be kept.
    """
    match = _RATE.fullmatch(str(text).strip().lower())
    if match and match[2] in NODE_DAYS and math.isfinite(float(match[1])):
        if float(match[1]) > 0:
            return float(match[1]) / NODE_DAYS[match[2]]
        raise SimulatorError(f"{_named(key)}{text}: must be above 0: no observation shows a rate of 0")
    raise SimulatorError(
        f'{_named(key)}"{text}" is not a rate; expected a number per {", ".join(NODE_DAYS)}, such as 1/node-week'
    )


def _named(key: str) -> str:
    return f"{key}: " if key else ""
