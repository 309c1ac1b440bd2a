"""Formatting of figures: two digits, a unit, and a mark for how the figure is known."""

import math
from typing import Literal

Known = Literal["m", "s", "g", ""]
"""m: measured on the named machine; s: simulated by the model; g: given, a setting or a figure from elsewhere."""


def digits(value: float, count: int = 2) -> str:
    """Return a figure with `count` significant digits, without powers of ten."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = f"{value:.{count - 1}e}"
    return f"{float(rounded):,.{max(0, count - 1 - int(rounded.partition('e')[2]))}f}"


def marked(text: str, known: Known) -> str:
    """Return a figure with its mark."""
    return f"{text}<sup>{known}</sup>" if known else text


def time_text(seconds: float, known: Known = "") -> str:
    """Return a time in s, ms or µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size or unit == "µs":
            return marked(f"{digits(seconds / size)} {unit}", known)
    raise AssertionError


def memory_text(size_bytes: float, known: Known = "") -> str:
    """Return a size in MiB or GiB; below a tenth of a MiB in KiB."""
    if not math.isfinite(size_bytes):
        return "–"
    if abs(size_bytes) >= 2**30:
        return marked(f"{digits(size_bytes / 2**30)} GiB", known)
    if abs(size_bytes) >= 0.1 * 2**20:
        return marked(f"{digits(size_bytes / 2**20)} MiB", known)
    return marked(f"{digits(size_bytes / 2**10)} KiB", known)


def share_text(share: float, known: Known = "") -> str:
    """Return a share as a percentage."""
    return marked(f"{share * 100:.0f}%", known)


def size_text(size_bytes: int) -> str:
    """Return the size of a chunk."""
    return f"{size_bytes // 1024} KiB" if size_bytes >= 1024 else f"{size_bytes} B"


def count_text(count: float, known: Known = "") -> str:
    """Return a count."""
    return marked(f"{count:,.0f}", known)
